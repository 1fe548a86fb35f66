"""The watcher: reads the nodes' events as they report them, and passes them to the judge and to all other observers.

It tails the event files, because a later check of the run sees the same files. It knows who leads, and calls `happened`
with each event of the protocol that a fault may wait for.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

from raft_chaos.chaos.run.cluster_view import ClusterView, NodeView
from raft_chaos.chaos.run.live.tail import Tail
from raft_chaos.chaos.schedule.data import AnchorEvent
from raft_chaos.invariants.events import AnyEvent, Role, decode

POLL_S = 0.005


class Watcher:
    """Everything that the nodes have reported so far. `observe` is called with each event, in each node's own order."""

    def __init__(
        self,
        nodes: list[str],
        observe: Callable[[AnyEvent], None],
        happened: Callable[[AnchorEvent, int, str], None],
        first_voters: Sequence[str] = (),
    ) -> None:
        self.view = ClusterView(nodes, happened, first_voters)
        self.events = 0
        self._observe = observe
        self._tails: dict[str, deque[Tail[AnyEvent]]] = {node: deque() for node in nodes}

    # ---- queries --------------------------------------------------------------------------------------------------

    @property
    def nodes(self) -> dict[str, NodeView]:
        return self.view.nodes

    @property
    def leader(self) -> str | None:
        """The node that leads in the highest term, among those that are up; None if there is none."""
        return self.view.leader

    # ---- inputs ---------------------------------------------------------------------------------------------------

    def follow(self, node: str, file: Path) -> None:
        """A new incarnation of the node will write its events to `file`."""
        self._tails[node].append(Tail(file, decode))
        self.view.up(node)

    def gone(self, node: str) -> None:
        """The node is down; `read` still reads what it wrote before."""
        self.view.gone(node)

    def status(self, node: str, role: Role | None, term: int) -> None:
        """The status answer of a node that reports no events."""
        self.view.status(node, role, term)

    async def run(self) -> None:
        """Reads again and again until cancelled."""
        while True:
            self.read()
            await asyncio.sleep(POLL_S)

    def read(self) -> None:
        """Reads everything that the files hold now. Raises one of `MALFORMED` for a line that is no event."""
        for tails in self._tails.values():
            while tails:
                for event in tails[0].read():
                    self._take(event)
                if len(tails) == 1:
                    break
                tails.popleft().close()  # a later incarnation exists, so this one writes no more

    def close(self) -> None:
        for tails in self._tails.values():
            for tail in tails:
                tail.close()

    # ---- what it derives ------------------------------------------------------------------------------------------

    def _take(self, event: AnyEvent) -> None:
        self.events += 1
        self._observe(event)
        self.view.observe(event)
