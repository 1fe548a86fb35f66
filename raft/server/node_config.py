"""The configuration of a node, as whoever starts it knows it: nothing of the node itself is imported for it."""

from __future__ import annotations

import msgspec

from raft_chaos.raft.network.tls_files import TlsFiles
from raft_chaos.raft.server.node_clock import RIGHT, Segment
from raft_chaos.raft.state.timing import Timing
from raft_chaos.raft.storage.failing import Failing


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
