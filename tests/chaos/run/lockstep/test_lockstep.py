"""The world `lockstep` against the world `sim`: real processes make the same trace, and every cheat makes another."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import psutil
import pytest

from builders.processes import lives
from builders.runs import in_lockstep, in_sim
from builders.stepped import config, last_words, torn_and_damaged
from builders.storms import stormy
from raft_chaos.chaos.faults.process import Kill
from raft_chaos.chaos.mutants import SABOTAGES
from raft_chaos.chaos.processes.supervisor import Supervisor
from raft_chaos.chaos.run.lockstep.driver import LockstepDriver
from raft_chaos.chaos.run.lockstep.gate import DivergenceError
from raft_chaos.chaos.run.nodes.memory_driver import MemoryDriver
from raft_chaos.invariants.rundir import RunDir
from raft_chaos.raft.server.exit_codes import EXIT_CRASHED, EXIT_REFUSED
from raft_chaos.raft.server.parts import Parts
from raft_chaos.raft.storage.log_file import FILE

pytestmark = pytest.mark.live

SEEDS = (1, 2, 7)
CHEATS = [sabotage.id for sabotage in SABOTAGES.values() if sabotage.shows == "lockstep"]


@pytest.fixture
def driver(tmp_path: Path) -> Iterator[LockstepDriver]:
    with Supervisor() as supervisor, LockstepDriver(RunDir(tmp_path), None, supervisor) as one:
        yield one


def family() -> list[int]:
    """Everything that this process has started and that still runs."""
    return sorted(process.pid for process in psutil.Process().children(recursive=True) if lives(process))


def test_the_seeds_have_everything_in_which_the_worlds_could_differ() -> None:
    stats = [in_sim(stormy(seed)).analysis.stats for seed in SEEDS]
    for what in ("restarts", "torn_writes", "lost_writes", "frames_duplicated", "frames_reordered", "frames_lost"):
        assert sum(int(of[what]) for of in stats) > 0, what
    kills = [fault.action for seed in SEEDS for fault in stormy(seed).faults if isinstance(fault.action, Kill)]
    assert len({kill.failpoint for kill in kills}) > 3


@pytest.mark.parametrize("seed", SEEDS)
def test_the_same_seed_makes_the_same_trace_in_sim_and_in_lockstep(seed: int, tmp_path: Path) -> None:
    simulated = in_sim(stormy(seed))
    info = in_lockstep(stormy(seed), tmp_path)
    assert info.trace_sha256 == simulated.trace_sha256
    assert {**info.stats, "wall_s": 0} == {**simulated.analysis.stats, "wall_s": 0}, "stale frames are counted too"
    assert (info.verdict, info.vacuous) == (simulated.analysis.verdict, simulated.analysis.vacuous)
    # The digest is of what the scheduler was told; the nodes have written the same into their own files.
    lines = sha256()
    for item in RunDir(tmp_path / "run").trace():
        lines.update(item.line)
    assert lines.hexdigest() == info.trace_sha256


def test_nodes_that_prove_who_they_are_make_the_same_trace(tmp_path: Path) -> None:
    """The gate answers and repeats their handshakes, which are no messages."""
    without = in_sim(stormy(1))
    assert without.analysis.stats["restarts"] > 0
    info = in_lockstep(stormy(1), tmp_path, peer_auth=True)
    assert info.trace_sha256 == without.trace_sha256
    run = RunDir(tmp_path / "run")
    assert not run.secrets.exists()
    assert info.evidence is not None and not [name for name in info.evidence if "secret" in name]


def test_a_mutant_makes_the_same_mistake_in_both_worlds(tmp_path: Path) -> None:
    right, wrong = in_sim(stormy(1)), in_sim(stormy(1), "ack_before_sync")
    assert wrong.trace_sha256 != right.trace_sha256
    assert in_lockstep(stormy(1), tmp_path, "ack_before_sync").trace_sha256 == wrong.trace_sha256


@pytest.mark.parametrize("cheat", CHEATS)
def test_a_sabotaged_world_makes_another_trace(cheat: str, tmp_path: Path) -> None:
    simulated = in_sim(stormy(1), cheat)
    assert simulated.trace_sha256 == in_sim(stormy(1)).trace_sha256, "it must not show in the simulator"
    try:
        info = in_lockstep(stormy(1), tmp_path, cheat)
    except DivergenceError as error:
        assert "where" in str(error)
    else:
        assert info.trace_sha256 != simulated.trace_sha256


def test_a_run_that_fails_in_the_middle_leaves_no_process_and_no_socket(tmp_path: Path) -> None:
    with Supervisor():
        pass  # the fork server and the reaper live as long as this process
    before, me = family(), psutil.Process()
    sockets = len(me.net_connections("all"))
    with pytest.raises(DivergenceError, match=r"n\d/\d > n\d: frame 50 came, again, where"):
        in_lockstep(stormy(1), tmp_path, "frame_sent_twice")
    assert family() == before
    assert len(me.net_connections("all")) == sockets
    assert RunDir(tmp_path / "run").load_info().state == "failed"


def test_a_real_node_tears_records_and_dies_like_a_simulated_one(driver: LockstepDriver, tmp_path: Path) -> None:
    memory = MemoryDriver(Parts())
    log = RunDir(tmp_path).node("n1") / "data" / FILE

    def damage_in_memory() -> None:
        memory.disk("n1").files[FILE][12] ^= 1

    def damage() -> None:
        content = bytearray(log.read_bytes())
        content[12] ^= 1
        log.write_bytes(content)

    seen, simulated = torn_and_damaged(driver, damage), torn_and_damaged(memory, damage_in_memory)
    assert seen == simulated
    assert log.read_bytes() == memory.disk("n1").files[FILE]
    in_a_step, at_the_start = seen[-2:]
    assert (
        isinstance(in_a_step, tuple) and in_a_step[0] == EXIT_CRASHED and in_a_step[1].startswith("ValidationError: ")
    )
    assert isinstance(at_the_start, tuple) and at_the_start[0] == EXIT_REFUSED
    assert at_the_start[1].startswith(f"CorruptLogError: {FILE}, offset 8: the record is damaged")


def test_a_process_killed_from_outside_is_a_node_that_died(driver: LockstepDriver) -> None:
    node = driver.start(config(), 0)
    os.kill(node.pid, signal.SIGKILL)
    assert last_words(lambda: node.tick(1, None)) == (-signal.SIGKILL, "the process ended without a word")
    assert driver.living == {}


def test_killing_a_process_that_is_gone_is_a_divergence(driver: LockstepDriver) -> None:
    node = driver.start(config(), 0)
    os.kill(node.pid, signal.SIGKILL)
    with pytest.raises(DivergenceError, match="n1: the process ended without a word, with exit code -9"):
        node.crash(0)


def test_an_unannounced_frame_is_refused(driver: LockstepDriver) -> None:
    n1, n2 = (driver.start(config(node, (peer,)), 0) for node, peer in (("n1", "n2"), ("n2", "n1")))
    now_us = n1.first.deadline_us
    for _ in range(2):
        write = n1.tick(now_us, None)
        now_us = write.deadline_us
        (to, number, _), *_ = n1.persisted(write.write_lsn, now_us, None).sends
    assert (to, number) == ("n2", 2)
    driver.gate.deliver("n1", 1, 1, "n2")
    with pytest.raises(
        DivergenceError, match=r"n2: frame \d of n1/1 came (before its turn|instead of frame 2 of n1/1)"
    ):
        n2.receive("n1", 1, 2, None, now_us, None)
