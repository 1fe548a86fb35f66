"""How long a node takes to start again: from its last snapshot and what follows it (§7), and from its whole log.

The same commands fill two data folders, one of a node that takes snapshots and one of a node that takes none. Each
folder is made by a replica and its log, in the way of a host: a write for as many commands as `CLIENTS` clients have
under way. Then a real process starts on each folder in turn. Measured is the time from its launch until its `/status`
says that it has applied all commands.

The node is alone in its cluster: it elects itself after a short timeout and commits what it recovered, so no other node
affects the time. The commands put one of `KEYS` keys in turn.
"""

from __future__ import annotations

from pathlib import Path
from time import monotonic, sleep

from bench.http import get_status
from bench.measures import Bench, Row
from bench.systems import POLL_S, BenchError, free_ports
from raft_chaos.chaos.processes.supervisor import Supervisor
from raft_chaos.chaos.targets.raft_process import node_main
from raft_chaos.raft.replica.command import Command, encode_command
from raft_chaos.raft.replica.replica import Replica
from raft_chaos.raft.server.node_config import NodeConfig
from raft_chaos.raft.server.parts import Parts, make_replica
from raft_chaos.raft.state.features import Features
from raft_chaos.raft.state.timing import Timing
from raft_chaos.raft.storage.disk import OsDisk
from raft_chaos.raft.storage.identity import Identity
from raft_chaos.raft.storage.wal import WriteAheadLog

NODE, CLUSTER = "n1", "bench"
CLIENTS = 64
KEYS = 10_000
SNAPSHOTS = 100
"""At most so many are taken in all; so the last one is followed by up to a hundredth of the commands."""
TIMING = Timing(election_timeout_min_us=10_000, election_timeout_max_us=20_000, heartbeat_us=5_000)
LIMIT_S = 300.0
FIRST = 2
"""The first incarnation that is a process; the one before it filled the folder."""


def measure(bench: Bench) -> list[Row]:
    """The rows of `python -m bench --only restart`."""
    commands = bench.sizes.restarted
    every = commands // SNAPSHOTS + 1
    row = Row(f"a node starts after {commands} commands, s", [], [], more_is_better=False)
    compacted = fill(bench.new_folder(), commands, every)
    whole = fill(bench.new_folder(), commands, 0)
    for incarnation in range(FIRST, FIRST + 1 + bench.sizes.rounds):
        ours_s = _restart_s(bench.supervisor, compacted, every, incarnation, commands)
        theirs_s = _restart_s(bench.supervisor, whole, 0, incarnation, commands)
        if incarnation > FIRST:  # the first start of a process loads its modules
            row.ours.append(ours_s)
            row.theirs.append(theirs_s)
    return [row]


def fill(folder: Path, commands: int, snapshot_every: int) -> Path:
    """A data folder of a node that has applied so many commands, and taken a snapshot whenever it had applied
    `snapshot_every` entries since the last one (0: none). Returns the folder."""
    disk = OsDisk(folder)
    try:
        wal = WriteAheadLog(disk)
        recovered = wal.recover(Identity(CLUSTER, NODE))
        timing = TIMING.with_features(Features(snapshot_every=snapshot_every))
        replica = make_replica(
            Parts(), node=NODE, peers=(), incarnation=1, timing=timing, seed=1, recovered=recovered, now_us=0
        )
        now_us = replica.core.deadline_us
        replica.tick(now_us)
        _write(replica, wal, now_us)
        for first in range(1, commands + 1, CLIENTS):
            for number in range(first, min(first + CLIENTS, commands + 1)):
                command = Command("put", f"k{number % KEYS}", f"{number % CLIENTS}.{number}")
                assert replica.submit(None, encode_command(command), now_us), "it leads"
            _write(replica, wal, now_us)
        return folder
    finally:
        disk.close()


def _write(replica: Replica, wal: WriteAheadLog, now_us: int) -> None:
    """Carries out all writes that are due, a snapshot included."""
    while (write := replica.advance().write) is not None:
        wal.append(write.records)
        wal.sync()
        replica.persisted(write.lsn, now_us)


def _restart_s(supervisor: Supervisor, folder: Path, snapshot_every: int, incarnation: int, commands: int) -> float:
    """The time from the launch of a process until it has applied all commands. Kills it afterwards."""
    (port,) = free_ports(1)
    config = NodeConfig(
        cluster=CLUSTER,
        node=NODE,
        peers={},
        data_dir=str(folder),
        http_port=port,
        timing=TIMING.with_features(Features(snapshot_every=snapshot_every)),
        seed=incarnation,
        incarnation=incarnation,
    )
    ours, theirs = supervisor.pipe()
    log = folder.with_suffix(".log")
    began = monotonic()
    child = supervisor.start(NODE, node_main, config, None, theirs, stderr=log)
    theirs.close()
    try:
        if not ours.poll(LIMIT_S):
            raise BenchError(f"the node was not ready after {LIMIT_S:g} s; see {log}")
        try:
            ours.recv()
        except EOFError:
            raise BenchError(f"the node ended at its start:\n{log.read_text()}") from None
        while (status := get_status(port)) is None or status["last_applied"] <= commands:  # the no-op is entry 1
            if monotonic() - began > LIMIT_S:
                raise BenchError(f"the node has not applied {commands} commands within {LIMIT_S:g} s: {status}")
            sleep(POLL_S)
        return monotonic() - began
    finally:
        child.kill()
        ours.close()
