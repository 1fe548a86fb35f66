"""The nemesis in virtual time: carries out a schedule's faults, heals each, and sees what came of it.

A fault has a moment (a time, or so long after an anchor), at which it is injected, and a later one at which it is
healed. Where the safety phase ends before, it is healed then; a fault whose moment has not come by then never fires.
What is told of a fault, and what excuses one without effect, is in `chaos.run.fault_log`, as for the live nemesis.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from raft_chaos.chaos.faults.actions import (
    Clock,
    Clog,
    Kill,
    Network,
    Partition,
    Pause,
    Reset,
    SlowSync,
    keeps,
    restarts,
)
from raft_chaos.chaos.faults.grudge import cut_links, resolve
from raft_chaos.chaos.run import fault_log
from raft_chaos.chaos.run.cluster_view import ClusterView
from raft_chaos.chaos.run.fault_log import FaultBook
from raft_chaos.chaos.run.sim.cluster import VirtualCluster
from raft_chaos.chaos.run.sim.scheduler import Scheduler
from raft_chaos.chaos.schedule.data import AnchorEvent, Fault

LEADER_POLL_US = 10_000
FAILPOINT_PATIENCE_US = 500_000
"""A node that does not get to its failpoint in this time is killed where it stands."""
TRAFFIC_POLL_US = 100
TRAFFIC_PATIENCE_US = 1_000_000
"""A reset waits this long for frames in flight: without any it would break nothing."""


class VirtualNemesis:
    """Runs the faults of one schedule on a virtual cluster."""

    def __init__(
        self, *, cluster: VirtualCluster, view: ClusterView, book: FaultBook, nodes: list[str], scheduler: Scheduler
    ) -> None:
        self.book = book
        self._cluster = cluster
        self._network = cluster.network
        self._view = view
        self._nodes = nodes
        self._scheduler = scheduler
        self._ended = False
        self._anchored: dict[tuple[AnchorEvent, int], list[Fault]] = {}
        # Of the faults in force, in the order in which they set in:
        self._healing: dict[str, Callable[[], None]] = {}
        self._pausing: dict[str, list[str]] = {}
        self._slowing: dict[str, tuple[list[str], SlowSync]] = {}
        self._bending: dict[str, tuple[list[str], Clock]] = {}

    def start(self, faults: Sequence[Fault]) -> None:
        """The safety phase begins. Anchors that have been passed by now count as passed at this moment."""
        for fault in faults:
            when = fault.when
            if when.on is None:
                self._scheduler.at(when.at_us or 0, self._moment, (fault, None))
                continue
            seen = self._view.seen[when.on]
            if when.nth in seen:
                self._anchor_passed(fault, seen[when.nth])
            else:
                self._anchored.setdefault((when.on, when.nth), []).append(fault)

    def happened(self, event: AnchorEvent, number: int, reporter: str) -> None:
        """An anchor event; whoever waits for this one goes on from here."""
        for fault in self._anchored.pop((event, number), ()):
            self._anchor_passed(fault, reporter)

    def end(self) -> None:
        """The safety phase is over: heal all, start no more."""
        self._ended = True
        for heal in list(self._healing.values()):
            heal()

    # ---- one fault ------------------------------------------------------------------------------------------------

    def _anchor_passed(self, fault: Fault, reporter: str) -> None:
        voter = reporter if fault.when.on == "vote_granted" else None
        self._scheduler.after(fault.when.after_us, self._moment, (fault, voter))

    def _moment(self, due: tuple[Fault, str | None]) -> None:
        fault, voter = due
        if self._ended:
            return
        leader = self._leader()
        if self.book.must_wait(fault.action, leader):
            self._scheduler.after(LEADER_POLL_US, self._moment, due)
            return
        match fault.action:
            case Kill():
                _Killing(self, fault, fault.action, leader, voter)
            case Pause():
                self._pause(fault, fault.action, leader)
            case SlowSync():
                self._slow_sync(fault, fault.action, leader)
            case Partition():
                self._partition(fault, fault.action, leader)
            case Network():
                self._degrade(fault, fault.action, leader)
            case Clog():
                self._clog(fault, fault.action, leader)
            case Reset():
                nodes = self.book.named(fault.action.nodes, leader)
                self._reset((fault, fault.action, nodes, leader, self._scheduler.now_us, self._network.arrivals))
            case Clock():
                self._clock(fault, fault.action, leader)

    def _leader(self) -> str | None:
        """The leader, if there is one that runs and reaches others: see the live nemesis."""
        leader = self._view.leader
        if leader is None or self._cluster.state(leader) != "up" or self.book.isolates(leader):
            return None
        return leader

    def hold(self, fault: Fault, duration_us: int, heal: Callable[[], None]) -> None:
        """`heal` is called once: when the time is over, or with the safety phase."""

        def once() -> None:
            if self._healing.pop(fault.id, None) is not None:
                heal()

        self._healing[fault.id] = once
        self._scheduler.after(duration_us, lambda _: once())

    # ---- what each kind does --------------------------------------------------------------------------------------

    def _pause(self, fault: Fault, action: Pause, leader: str | None) -> None:
        nodes = self.book.named(action.nodes, leader)
        span = self.book.begin(fault, nodes, leader)
        stopped = [node for node in nodes if self._cluster.pause(node)]
        self._pausing[fault.id] = nodes
        self.book.injected(span, fault_log.pausing(nodes))

        def heal() -> None:
            del self._pausing[fault.id]
            for node in nodes:
                if not any(node in held for held in self._pausing.values()):
                    self._cluster.resume(node)
            self.book.healed(span, fault_log.paused(nodes, stopped))

        self.hold(fault, fault.duration_us, heal)

    def _slow_sync(self, fault: Fault, action: SlowSync, leader: str | None) -> None:
        nodes = self.book.named(action.nodes, leader)
        span = self.book.begin(fault, nodes, leader)
        self._slowing[fault.id] = (nodes, action)
        self._put_slow_syncs_in_force(nodes)
        self.book.injected(span, fault_log.slowing(nodes, action))
        before = [self._cluster.syncs(node) for node in nodes]

        def heal() -> None:
            del self._slowing[fault.id]
            self._put_slow_syncs_in_force(nodes)
            after = [self._cluster.syncs(node) for node in nodes]
            writes, slowed = (
                sum(late[what] - early[what] for early, late in zip(before, after, strict=True)) for what in (0, 1)
            )
            self.book.healed(span, fault_log.slowed(slowed, writes))

        self.hold(fault, fault.duration_us, heal)

    def _put_slow_syncs_in_force(self, nodes: list[str]) -> None:
        """Of several on a node the latest counts."""
        for node in nodes:
            on_it = [action for hit, action in self._slowing.values() if node in hit]
            least_us, most_us = (on_it[-1].min_us, on_it[-1].max_us) if on_it else (0, 0)
            self._cluster.slow_sync(node, least_us, most_us)

    def _partition(self, fault: Fault, action: Partition, leader: str | None) -> None:
        grudge = resolve(action.grudge, self._nodes, leader)
        links = cut_links(grudge)
        span = self.book.begin(fault, sorted({node for link in links for node in link}), leader)
        before = self._network.counters()
        self._network.cut(fault.id, links)
        self.book.injected(span, fault_log.cutting(action.shape, grudge))

        def heal() -> None:
            self._network.heal(fault.id)
            after = self._network.counters()
            held = {link: after[link].cut - before[link].cut for link in links}
            self.book.healed(span, fault_log.cut(grudge, held))

        self.hold(fault, fault.duration_us, heal)

    def _degrade(self, fault: Fault, action: Network, leader: str | None) -> None:
        nodes = self.book.named(action.nodes, leader)
        span = self.book.begin(fault, nodes, leader)
        before = self._network.counters()
        links = self._network.degrade(fault.id, nodes, action)
        self.book.injected(span, fault_log.degrading(nodes, action))

        def heal() -> None:
            self._network.heal(fault.id)
            after = self._network.counters()

            def suffered(what: str) -> int:
                return sum(getattr(after[link], what) - getattr(before[link], what) for link in links)

            seen = fault_log.degraded(
                delayed=suffered("delayed"),
                lost=suffered("lost"),
                duplicated=suffered("duplicated"),
                reordered=suffered("reordered"),
            )
            self.book.healed(span, seen)

        self.hold(fault, fault.duration_us, heal)

    def _clog(self, fault: Fault, action: Clog, leader: str | None) -> None:
        grudge = resolve(action.grudge, self._nodes, leader)
        links = cut_links(grudge)
        span = self.book.begin(fault, sorted({node for link in links for node in link}), leader)
        before = self._network.counters()
        self._network.clog(fault.id, links)
        self.book.injected(span, fault_log.clogging(grudge))

        def heal() -> None:
            self._network.heal(fault.id)
            after = self._network.counters()
            held, passed = (
                sum(getattr(after[link], what) - getattr(before[link], what) for link in links)
                for what in ("clogged", "forwarded")
            )
            self.book.healed(span, fault_log.clogged(held, passed))

        self.hold(fault, fault.duration_us, heal)

    def _reset(self, due: tuple[Fault, Reset, list[str], str | None, int, int]) -> None:
        fault, action, nodes, leader, since_us, arrivals = due
        if self._ended:
            return
        arrived, lost = self._network.reset(fault.id, nodes, action.delivered)
        if not arrived + lost and self._scheduler.now_us - since_us < TRAFFIC_PATIENCE_US:
            self._scheduler.after(TRAFFIC_POLL_US, self._reset, due)
            return
        span = self.book.begin(fault, nodes, leader)
        self.book.injected(span, fault_log.resetting(nodes))
        self.book.healed(span, fault_log.reset(arrived, lost, self._network.arrivals - arrivals))

    def _clock(self, fault: Fault, action: Clock, leader: str | None) -> None:
        nodes = self.book.named(action.nodes, leader)
        span = self.book.begin(fault, nodes, leader)
        began_us = self._scheduler.now_us
        self._bending[fault.id] = (nodes, action)
        for node in nodes:
            self._cluster.change_clock(node, action.rate_ppm, action.jump_us)
        self.book.injected(span, fault_log.bending(nodes, action))

        def heal() -> None:
            del self._bending[fault.id]
            for node in nodes:
                on_it = [other.rate_ppm for hit, other in self._bending.values() if node in hit]
                self._cluster.change_clock(node, on_it[-1] if on_it else 0, 0)
            gained_us = action.jump_us + (self._scheduler.now_us - began_us) * action.rate_ppm // 1_000_000
            self.book.healed(span, fault_log.bent(gained_us))

        self.hold(fault, fault.duration_us, heal)


class _Killing:
    """A kill: the nodes go down, each at once or at its failpoint, and come back, each after its time."""

    def __init__(
        self, nemesis: VirtualNemesis, fault: Fault, action: Kill, leader: str | None, voter: str | None
    ) -> None:
        self._nemesis = nemesis
        self._cluster = nemesis._cluster
        self._scheduler = nemesis._scheduler
        self._after_us = restarts(action, leader, voter)
        self._keep_permille = keeps(action, leader, voter)
        self._hit: list[str] = []
        self._back: list[str] = []
        nodes = list(self._after_us)
        self._span = nemesis.book.begin(fault, nodes, leader)
        if action.failpoint is None:
            self._hit = [node for node in nodes if self._cluster.kill(node, self._keep_permille[node])]
            self._waiting: list[str] = []
        else:
            self._waiting = [
                node for node in nodes if self._cluster.arm(node, action.failpoint, partial(self._strike, node))
            ]
        targets = [*self._hit, *self._waiting]
        nemesis.book.injected(self._span, fault_log.killing(nodes, action.failpoint), targets)
        nemesis._healing[fault.id] = self._end
        for node in self._hit:
            self._scheduler.after(self._after_us[node], self._restart, node)
        for node in self._waiting:
            self._scheduler.after(FAILPOINT_PATIENCE_US, self._strike, node)
        if not targets:
            self._end()

    def _strike(self, node: str) -> None:
        """It has reached its failpoint, or its time for that is over."""
        if node not in self._waiting:
            return
        self._waiting.remove(node)
        self._cluster.disarm(node)
        if self._cluster.kill(node, self._keep_permille[node]):
            self._hit.append(node)
            self._scheduler.after(self._after_us[node], self._restart, node)
        self._end_if_done()

    def _restart(self, node: str) -> None:
        if node in self._back:
            return
        before = self._cluster.incarnation(node)
        if self._cluster.start(node) and self._cluster.incarnation(node) > before:
            self._back.append(node)
        self._end_if_done()

    def _end_if_done(self) -> None:
        if not self._waiting and all(node in self._back for node in self._hit):
            self._end()

    def _end(self) -> None:
        """All are back, or the safety phase is over: who waits for a failpoint is killed, and who is down starts."""
        if self._nemesis._healing.pop(self._span.fault.id, None) is None:
            return
        for node in list(self._waiting):
            self._strike(node)
        for node in self._hit:
            self._restart(node)
        hit = [node for node in self._span.nodes if node in self._hit]
        back = [node for node in hit if node in self._back]
        self._nemesis.book.healed(self._span, fault_log.killed(hit, back))
