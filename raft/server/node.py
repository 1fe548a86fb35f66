"""One node as a process: puts disk, core, links and HTTP together, and starts and stops them in order.

Recovery comes first, and a node that cannot recover does not listen.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from random import Random

from raft_chaos.raft.network.codec import PROTOCOL_VERSION, Hello
from raft_chaos.raft.network.handshake import read_secret
from raft_chaos.raft.network.tls import Tls, check_node_name
from raft_chaos.raft.network.transport import Transport
from raft_chaos.raft.replica.replica import Replica
from raft_chaos.raft.server.event_loop import crash_on_any_error
from raft_chaos.raft.server.host import EventFile, LiveHost
from raft_chaos.raft.server.http_api import HttpApi
from raft_chaos.raft.server.node_clock import Segment
from raft_chaos.raft.server.node_config import NodeConfig
from raft_chaos.raft.server.parts import Parts, make_replica
from raft_chaos.raft.state.configuration import encode_configuration, unknown_members
from raft_chaos.raft.state.messages import Recovered
from raft_chaos.raft.storage.disk import Disk, OsDisk
from raft_chaos.raft.storage.identity import Identity
from raft_chaos.raft.storage.journal import Journal, Start
from raft_chaos.raft.storage.log_file import CorruptLogError


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
        """Raises CorruptLogError, FolderInUseError or OSError if the node must not or cannot start; `exit_codes` says
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
        self._transport = (parts.transport or Transport)(
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
