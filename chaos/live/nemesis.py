"""The nemesis: carries out a schedule's faults, heals each, and says what was seen of it.

Each fault is a task of its own: wait for its moment, inject, hold, heal. When the safety phase ends, those that still
wait never fire, and those in force are healed at once.

A fault whose effect was not seen makes a run vacuous, unless another fault left it nothing to do: a link cut to a node
that is down carries no frame to hold back. Such a fault is reported as moot, with the name of the other; so is one that
the end of the safety phase cut short.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

from chaos.grudge import cut_links, resolve
from chaos.live.cluster import LiveCluster
from chaos.live.links import LinkFaults
from chaos.live.watcher import Watcher
from chaos.schedule import (
    LEADER,
    OTHERS,
    Fault,
    Kill,
    Network,
    Partition,
    Pause,
    SlowSync,
    kind_of,
    restarts,
)
from invariants.events import HARNESS, FaultHealed, FaultInjected, HarnessEvent

LEADER_POLL_S = 0.01


@dataclass
class Seen:
    """What was seen of a fault: its effect in words, and whether all that it was to do was done."""

    effective: bool
    effect: str


@dataclass
class _Span:
    """From when to when (µs; None: still) a fault touched which nodes."""

    fault: str
    nodes: frozenset[str]
    from_us: int
    to_us: int | None = None


class Nemesis:
    """Runs the faults of one schedule. Times count from `zero_us`, the moment at which the warmup began."""

    def __init__(
        self,
        *,
        cluster: LiveCluster,
        links: LinkFaults,
        watcher: Watcher,
        nodes: list[str],
        zero_us: int,
        now_us: Callable[[], int],
        report: Callable[[HarnessEvent], None],
    ) -> None:
        self._cluster = cluster
        self._links = links
        self._watcher = watcher
        self._nodes = nodes
        self._zero_us = zero_us
        self._now_us = now_us
        self._report = report
        self._ending = asyncio.Event()
        self._spans: list[_Span] = []
        self._cut_off: dict[str, str] = {}  # fault id -> the leader that it isolates
        self.current: dict[str, str] = {}  # fault id -> what it does, for the live view
        self.touched: set[str] = set()  # nodes killed, paused or cut off; asked for membership only

    async def run(self, faults: Sequence[Fault]) -> None:
        """Returns once `end` was called and everything is healed. Raises what went wrong in the harness itself."""
        async with asyncio.TaskGroup() as group:
            for fault in faults:
                group.create_task(self._one(fault), name=fault.id)

    def end(self) -> None:
        """The safety phase is over: heal all, start no more."""
        self._ending.set()

    # ---- one fault ------------------------------------------------------------------------------------------------

    async def _one(self, fault: Fault) -> None:
        moment = await self._unless_ending(self._moment(fault))
        if moment is None:
            return
        leader, voter = moment
        action = fault.action
        if isinstance(action, Kill):
            await self._kill(fault, action, leader, voter)
        elif isinstance(action, Pause):
            await self._pause(fault, action, leader)
        elif isinstance(action, SlowSync):
            await self._slow_sync(fault, action, leader)
        elif isinstance(action, Partition):
            await self._partition(fault, action, leader)
        else:
            await self._network(fault, action, leader)

    async def _moment(self, fault: Fault) -> tuple[str | None, str | None]:
        """Waits until the fault is to fire; returns the leader then, and for a vote the voter."""
        when, voter = fault.when, None
        if when.on is not None:
            reporter = await self._watcher.anchor(when.on, when.nth)
            voter = reporter if when.on == "vote_granted" else None
            await asyncio.sleep(when.after_us / 1e6)
        else:
            await asyncio.sleep(max(0, self._zero_us + (when.at_us or 0) - self._now_us()) / 1e6)
        while self._leader() is None and self._needs_leader(fault):  # noqa: ASYNC110 - roles change with each event read
            await asyncio.sleep(LEADER_POLL_S)
        return self._leader(), voter

    def _leader(self) -> str | None:
        """The leader, if there is one that runs and reaches others.

        One that is paused or cut off already leads nobody; the next fault on "the leader" is meant for its successor.
        """
        leader = self._watcher.leader
        if leader is None or self._cluster.state(leader) != "up" or leader in self._cut_off.values():
            return None
        return leader

    def _needs_leader(self, fault: Fault) -> bool:
        action = fault.action
        if isinstance(action, Partition):
            return not resolve(action.grudge, self._nodes, None)
        return LEADER in action.nodes or OTHERS in action.nodes

    async def _unless_ending(self, waiting: Coroutine[Any, Any, Any]) -> Any:
        """The result of `waiting`, or None if the safety phase ends first."""
        task = asyncio.ensure_future(waiting)
        ending = asyncio.ensure_future(self._ending.wait())
        try:
            await asyncio.wait({task, ending}, return_when=asyncio.FIRST_COMPLETED)
            return task.result() if task.done() else None
        finally:
            task.cancel()
            ending.cancel()

    async def _hold(self, duration_us: int) -> None:
        await self._unless_ending(asyncio.sleep(duration_us / 1e6))

    # ---- what each kind does --------------------------------------------------------------------------------------

    async def _kill(self, fault: Fault, action: Kill, leader: str | None, voter: str | None) -> None:
        after_us = restarts(action, leader, voter)
        span = self._begin(fault, list(after_us))
        hit = await self._cluster.kill(list(after_us))
        self._injected(fault, hit, leader, f"kill {' '.join(after_us)}")
        before = {node: self._cluster.incarnation(node) for node in hit}

        async def start_later(node: str) -> bool:
            await self._hold(after_us[node])
            return await self._cluster.start(node)

        came = await asyncio.gather(*(start_later(node) for node in hit))
        back = [n for n, up in zip(hit, came, strict=True) if up and self._cluster.incarnation(n) > before[n]]
        effect = f"killed {' '.join(hit) or 'nothing'}, new incarnation of {' '.join(back) or 'none'}"
        self._healed(fault, span, Seen(bool(hit) and back == hit, effect))

    async def _pause(self, fault: Fault, action: Pause, leader: str | None) -> None:
        nodes = self._named(action.nodes, leader)
        span = self._begin(fault, nodes)
        stopped = [node for node in nodes if await self._cluster.pause(node)]
        self._injected(fault, nodes, leader, f"pause {' '.join(nodes)}")
        await self._hold(fault.duration_us)
        for node in stopped:
            await self._cluster.resume(node)
        self._healed(fault, span, Seen(stopped == nodes, f"seen stopped: {' '.join(stopped) or 'none'}"))

    async def _slow_sync(self, fault: Fault, action: SlowSync, leader: str | None) -> None:
        nodes = self._named(action.nodes, leader)
        span = self._begin(fault, nodes)
        for node in nodes:
            await self._cluster.slow_sync(node, action.min_us, action.max_us)
        detail = f"syncs of {' '.join(nodes)} take {action.min_us / 1000:g} to {action.max_us / 1000:g} ms longer"
        self._injected(fault, nodes, leader, detail, touches=False)
        await self._hold(fault.duration_us)
        slowed = sum([await self._cluster.slow_sync(node, 0, 0) for node in nodes])
        self._healed(fault, span, Seen(slowed > 0, f"{slowed} syncs slowed"))

    async def _partition(self, fault: Fault, action: Partition, leader: str | None) -> None:
        grudge = resolve(action.grudge, self._nodes, leader)
        links = cut_links(grudge)
        nodes = sorted({node for link in links for node in link})
        span = self._begin(fault, nodes)
        before = self._links.counters()
        self._links.cut(fault.id, links)
        if action.shape == "isolate_leader" and leader is not None:
            self._cut_off[fault.id] = leader
        detail = f"{action.shape}: " + ", ".join(f"{node} hears not {' '.join(grudge[node])}" for node in grudge)
        self._injected(fault, nodes, leader, detail)
        await self._hold(fault.duration_us)
        self._links.heal(fault.id)
        self._cut_off.pop(fault.id, None)
        after = self._links.counters()
        held = {link: after[link].cut - before[link].cut for link in links}
        silent = [
            f"{' '.join(senders)} > {' '.join(receivers)}"
            for senders, receivers in _directions(grudge)
            if not any(held[sender, receiver] for sender in senders for receiver in receivers)
        ]
        effect = f"{sum(held.values())} frames held back" + (f", none {'; '.join(silent)}" if silent else "")
        self._healed(fault, span, Seen(not silent, effect))

    async def _network(self, fault: Fault, action: Network, leader: str | None) -> None:
        nodes = self._named(action.nodes, leader)
        span = self._begin(fault, nodes)
        before = self._links.counters()
        links = self._links.degrade(fault.id, nodes, action)
        detail = (
            f"{' '.join(nodes)}: delay {action.delay_min_us / 1000:g} to {action.delay_max_us / 1000:g} ms, "
            f"loss {action.loss:.0%}, duplicate {action.duplicate:.0%}, reorder {action.reorder:.0%}"
        )
        self._injected(fault, nodes, leader, detail, touches=False)
        await self._hold(fault.duration_us)
        self._links.heal(fault.id)
        after = self._links.counters()
        counts = {
            what: sum(getattr(after[link], what) - getattr(before[link], what) for link in links)
            for what in ("delayed", "lost", "duplicated", "reordered")
        }
        effect = ", ".join(f"{count} {what}" for what, count in counts.items())
        self._healed(fault, span, Seen(any(counts.values()), f"frames: {effect}"))

    def _named(self, names: Sequence[str], leader: str | None) -> list[str]:
        """The nodes that are meant; each once, in the order in which they are first named."""
        nodes: list[str] = []
        for name in names:
            if name == OTHERS:
                nodes += [node for node in self._nodes if node != leader]
            else:
                nodes.append(leader if name == LEADER and leader is not None else name)
        return list(dict.fromkeys(nodes))

    # ---- what is told of it ---------------------------------------------------------------------------------------

    def _begin(self, fault: Fault, nodes: list[str]) -> _Span:
        span = _Span(fault.id, frozenset(nodes), self._now_us())
        self._spans.append(span)
        return span

    def _injected(
        self, fault: Fault, nodes: list[str], leader: str | None, detail: str, *, touches: bool = True
    ) -> None:
        if touches:
            self.touched.update(nodes)
        self.current[fault.id] = detail
        self._report(
            FaultInjected(
                node=HARNESS,
                inc=1,
                t_us=self._now_us(),
                fault=fault.id,
                type=kind_of(fault.action),
                targets=tuple(nodes),
                detail=detail,
                leader=leader,
            )
        )

    def _healed(self, fault: Fault, span: _Span, seen: Seen) -> None:
        span.to_us = self._now_us()
        self.current.pop(fault.id, None)
        self._report(
            FaultHealed(
                node=HARNESS,
                inc=1,
                t_us=span.to_us,
                fault=fault.id,
                type=kind_of(fault.action),
                effective=seen.effective,
                effect=seen.effect,
                moot="" if seen.effective else self._others(span) or self._cut_short(fault, span),
            )
        )

    def _cut_short(self, fault: Fault, span: _Span) -> str:
        """An anchored fault may fire so late that it is healed before anybody can have noticed it."""
        assert span.to_us is not None
        return "end of the safety phase" if span.to_us - span.from_us < fault.duration_us else ""

    def _others(self, span: _Span) -> str:
        """The faults that touched one of its nodes at the same time."""
        assert span.to_us is not None
        others = [
            other.fault
            for other in self._spans
            if other is not span
            and other.nodes & span.nodes
            and other.from_us <= span.to_us
            and (other.to_us is None or other.to_us >= span.from_us)
        ]
        return " ".join(others)


def _directions(grudge: dict[str, list[str]]) -> list[tuple[list[str], list[str]]]:
    """(senders, receivers) for each direction of a cut: receivers that are denied the same senders form one."""
    directions: dict[tuple[str, ...], list[str]] = {}
    for receiver, senders in grudge.items():
        directions.setdefault(tuple(sorted(senders)), []).append(receiver)
    return [(list(senders), receivers) for senders, receivers in directions.items()]
