"""One node as a process: puts disk, core, links and HTTP together, and starts and stops them in order.

Recovery comes first, and a node that cannot recover does not listen.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import traceback
from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from random import Random
from typing import Any, NoReturn

import msgspec

from raft_chaos.raft.network.codec import PROTOCOL_VERSION, Hello
from raft_chaos.raft.network.handshake import read_secret
from raft_chaos.raft.network.tls import Tls, TlsFiles, check_node_name
from raft_chaos.raft.network.transport import Transport
from raft_chaos.raft.replica.replica import Replica
from raft_chaos.raft.replica.saved_state import SnapshotError
from raft_chaos.raft.server.host import EventFile, LiveHost
from raft_chaos.raft.server.http_api import HttpApi
from raft_chaos.raft.server.node_clock import RIGHT, Segment
from raft_chaos.raft.server.parts import Parts, make_replica
from raft_chaos.raft.state.configuration import encode_configuration, unknown_members
from raft_chaos.raft.state.messages import Recovered
from raft_chaos.raft.state.timing import Timing
from raft_chaos.raft.storage.disk import Disk, OsDisk
from raft_chaos.raft.storage.fault_disk import Failing
from raft_chaos.raft.storage.identity import Identity
from raft_chaos.raft.storage.journal import Journal, Start
from raft_chaos.raft.storage.log_file import CorruptLogError
from raft_chaos.raft.storage.wal import DiskFailedError

EXIT_CRASHED = 70
EXIT_DISK = 74
EXIT_STARVED = 75
EXIT_REFUSED = 78
"""Exit codes of a node: an internal error; a disk that failed; too little of the machine (open files, memory, disk); a
data folder or an address that cannot be used."""


class NodeConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The configuration of a node. Port 0 takes a free one. Without `events_file` it reports no events, without
    `journal_file` it keeps no journal.

    `seed` feeds the election timer's stream and the disk's; `epoch_us` is time 0 on the monotonic clock,
    and `clock` is what the node's own clock shows.
    `fault_disk` wraps the real disk in the layer that loses unsynced writes, of which an operation may be `failing`.
    `client_urls` is where clients reach each
    peer, for redirects; `allowed_hosts` are names by which clients may call this node, besides its address.
    """

    cluster: str
    node: str
    peers: dict[str, tuple[str, int]]
    data_dir: str
    host: str = "127.0.0.1"
    raft_port: int = 0
    http_port: int = 0
    timing: Timing = Timing()
    seed: int
    incarnation: int = 1
    epoch_us: int = 0
    clock: Segment = RIGHT
    events_file: str | None = None
    journal_file: str | None = None
    fault_disk: bool = False
    failing: Failing | None = None
    commit_timeout_s: float = 5.0
    token: str | None = None
    secret_file: str | None = None
    tls: TlsFiles | None = None
    client_urls: dict[str, str] = {}
    allowed_hosts: list[str] = []


class Node:
    """A running node. `start` returns once it listens and answers."""

    def __init__(self, config: NodeConfig, parts: Parts) -> None:
        self.config = config
        self.parts = parts
        self.disk: Disk | None = None
        self.raft_port = 0
        self.http_url = ""
        self._host: LiveHost | None = None
        self._transport: Transport | None = None
        self._api: HttpApi | None = None

    async def start(self) -> None:
        """Raises CorruptLogError, FolderInUseError or OSError if the node must not or cannot start; `exit_code_of` says
        what each means."""
        config, parts = self.config, self.parts
        crash_on_any_error(asyncio.get_running_loop())
        secret = read_secret(Path(config.secret_file)) if config.secret_file else None
        tls, own_names = self._tls()
        disk: Disk = OsDisk(Path(config.data_dir))
        self.disk = parts.disk(disk, config.failing) if config.fault_disk else disk
        wal = parts.wal(self.disk)
        recovered = wal.recover(Identity(config.cluster, config.node))
        _check_members(recovered, config)
        journal = Journal(Path(config.journal_file)) if config.journal_file else None
        peers = sorted(config.peers)

        def make(now_us: int) -> Replica:
            if journal is not None:
                journal.start(
                    Start(
                        cluster=config.cluster,
                        node=config.node,
                        peers=peers,
                        incarnation=config.incarnation,
                        timing=config.timing,
                        seed=config.seed,
                        log_size=wal.size(),
                        clock=[config.clock],
                        now_us=now_us,
                        files=wal.files(compacts=config.timing.features.snapshot_every > 0),
                    )
                )
            return make_replica(
                parts,
                node=config.node,
                peers=peers,
                incarnation=config.incarnation,
                timing=config.timing,
                seed=config.seed,
                recovered=recovered,
                now_us=now_us,
                source=wal,
                reports=journal is not None or config.events_file is not None,  # a journal has a digest of all events
            )

        self._host = host = LiveHost(
            make_replica=make,
            wal=wal,
            epoch_us=config.epoch_us,
            clock=config.clock,
            random=Random(f"{config.seed}/disk"),
            events=EventFile(Path(config.events_file)) if config.events_file else None,
            journal=journal,
        )
        hello = Hello(PROTOCOL_VERSION, config.cluster, config.node, config.incarnation)
        self._transport = parts.transport(
            hello, config.peers, host.on_message, secret, tls, frames=parts.frames, holds=True
        )
        await self._transport.listen(config.host, config.raft_port)
        self.raft_port = self._transport.port
        self._api = HttpApi(
            host,
            config.client_urls,
            commit_timeout_s=config.commit_timeout_s,
            token=config.token,
            allowed_hosts=[*config.allowed_hosts, *own_names],
            tls=tls,
        )
        self.http_url = await self._api.listen(config.host, config.http_port)
        self._transport.connect()
        host.start(self._transport)

    def set_clock(self, clock: Segment) -> tuple[int, int]:
        """From now on the node lives by this clock. Returns how far its clock was ahead before and is now (µs)."""
        assert self._host is not None, "it has started"
        return self._host.set_clock(clock)

    def transfer(self, target: str) -> bool:
        """Asks this node to hand over the leadership to `target`. Returns whether it begins to."""
        assert self._host is not None, "it has started"
        return self._host.transfer(target) is not None

    def _tls(self) -> tuple[Tls | None, list[str]]:
        """TLS, and the names in this node's certificate. Raises TlsError."""
        if self.config.tls is None:
            return None, []
        for name in (self.config.node, *self.config.peers):
            check_node_name(name)
        tls = Tls(self.config.tls)
        return tls, tls.check_own(self.config.node)

    async def stop(self) -> None:
        """Stops in order: takes no new requests and no new messages, and completes the write under way.

        Raises DiskFailedError if the disk fails at that.
        """
        if self._api is not None:
            await self._api.close()
        if self._transport is not None:
            await self._transport.close()
        if self._host is not None:
            await self._host.close()
        if self.disk is not None:
            self.disk.close()


_SILENT_S = 10.0
_TOO_MUCH_OPEN = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


def crash_on_any_error(loop: asyncio.AbstractEventLoop) -> None:
    """Ends the node on any unexpected error: it may have stopped in the middle of a step.

    A connection that cannot be accepted is no such error: asyncio stops accepting for a second, and tries again. It
    reports the error many times at once.
    """
    silent_until = 0.0

    def crash(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        nonlocal silent_until
        error = context.get("exception")
        if isinstance(error, OSError) and error.errno in _TOO_MUCH_OPEN and "accept" in context.get("message", ""):
            if loop.time() >= silent_until:
                silent_until = loop.time() + _SILENT_S
                logging.getLogger("raft.node").warning("cannot accept connections: %s; see `ulimit -n`", error.strerror)
            return
        if isinstance(error, DiskFailedError):
            logging.getLogger("raft.node").critical("%s", error)
            os._exit(exit_code_of(error))
        if error is not None and is_starved(error):
            _end_starved(error)
        logging.getLogger("raft.node").critical(
            "%s\n%s", context.get("message"), "".join(traceback.format_exception(error)) if error else ""
        )
        os._exit(EXIT_CRASHED)

    loop.set_exception_handler(crash)


def _end_starved(error: BaseException) -> NoReturn:
    """Ends the process with one line: where the machine ran out of something, a traceback helps nobody."""
    logging.getLogger("raft.node").critical("the node has too little of something: %s", " ".join(f"{error!r}".split()))
    os._exit(EXIT_STARVED)


def _check_members(recovered: Recovered, config: NodeConfig) -> None:
    """Raises CorruptLogError if the log names a member of which this node was not told: it could not send it anything,
    nor count its vote."""
    commands: Iterable[bytes] = (entry.command for entry in recovered.entries)
    if recovered.snapshot is not None and recovered.snapshot.configuration is not None:
        commands = chain(commands, (encode_configuration(recovered.snapshot.configuration),))
    if unknown := unknown_members(commands, (config.node, *config.peers)):
        raise CorruptLogError(
            f"{config.data_dir}: the log has {', '.join(unknown)} as a member of the cluster, and this node was not "
            "told where to find it. Start the node with all members among its peers."
        )


def exit_code_of(error: BaseException) -> int:
    """With which code a node ends of this error, in every world."""
    if is_starved(error):
        return EXIT_STARVED
    if isinstance(error, DiskFailedError):
        return EXIT_DISK
    return EXIT_REFUSED if isinstance(error, CorruptLogError | SnapshotError) else EXIT_CRASHED


def exit_code_at_start(error: BaseException) -> int:
    """The same for a node that does not start: an error of no other kind means that it cannot use what it was given."""
    code = exit_code_of(error)
    return EXIT_REFUSED if code == EXIT_CRASHED else code


def is_starved(error: BaseException | None) -> bool:
    """Whether the machine ran out of something, which is no mistake of the node."""
    if isinstance(error, RuntimeError):
        return str(error) == NO_THREAD
    return isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno in _STARVED)


NO_THREAD = "can't start new thread"
"""All that Python says when there is no memory for a thread, or when the user may have no more of them."""


_STARVED = {
    errno.EMFILE,
    errno.ENFILE,
    errno.ENOMEM,
    errno.ENOBUFS,
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EFBIG,
}


def run_event_loop(main: Any) -> Any:
    """`asyncio.run`, on uvloop if it is installed. A node that is starved while it starts or ends does so with
    EXIT_STARVED."""
    try:
        import uvloop
    except ImportError:
        factory = None
    else:
        factory = uvloop.new_event_loop
    try:
        with asyncio.Runner(loop_factory=factory) as runner:
            return runner.run(main)
    except Exception as error:
        if not is_starved(error):
            raise
        _end_starved(error)
