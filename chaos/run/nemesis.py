"""The nemesis: carries out a schedule's faults in any world, heals each, and observes its effect.

Each fault is a task of its own. It waits for its moment (a time, or a delay after an anchor or another fault) and until
the roles that it names are filled; then its kind strikes (`chaos.faults`). When the safety phase ends, the nemesis
heals the faults in force, and cancels those that still wait.

Faults may overlap. Only the nemesis merges the faults on one node or link, from the set of faults in force (`InForce`):
when a fault starts or ends, it changes only the values that the whole set changes.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from raft_chaos.chaos.faults.membership import restore
from raft_chaos.chaos.faults.names import LEADER, ROLES, VOTER, Roles
from raft_chaos.chaos.faults.process import ARMED
from raft_chaos.chaos.faults.strike import Effect, Layer, NotPossibleError
from raft_chaos.chaos.run.cluster_view import ClusterView
from raft_chaos.chaos.run.fault_log import FaultLog, Span
from raft_chaos.chaos.run.tasks import Signal, Task, Tasks
from raft_chaos.chaos.schedule.data import AnchorEvent, Fault

LEADER_POLL_US = 10_000

Capability = TypeVar("Capability")
Subject = TypeVar("Subject")
Value = TypeVar("Value")
Result = TypeVar("Result")


class World(Protocol):
    """What the nemesis itself needs from a world. The kinds of faults need capabilities, which are protocols too."""

    def is_up(self, node: str) -> bool:
        """Whether the node runs and is not paused."""
        ...


@dataclass(frozen=True)
class Moment:
    """When a fault struck: the time (µs), and how many of each anchor event had happened by then."""

    at_us: int
    passed: Mapping[AnchorEvent, int] = field(default_factory=dict)


class Nemesis:
    """Runs the faults of one schedule on a world."""

    def __init__(self, *, world: World, view: ClusterView, log: FaultLog, nodes: list[str], tasks: Tasks) -> None:
        self.log = log
        self.world = world
        self.nodes = nodes
        self.tasks = tasks
        self.in_force = InForce()
        self.ending = tasks.signal()
        self.members = view.members
        self._view = view
        self._waiting: dict[str, Task] = {}
        self._striking: dict[str, Task] = {}
        self._anchors: dict[tuple[AnchorEvent, int], Signal] = {}
        self._polling: dict[str, Fault] = {}  # those that are due, and wait for who has their roles
        self._moments: dict[str, Moment] = {}  # fault id -> its own
        self._followed: dict[str, Signal] = {}  # fault id -> for those that fire since it strikes
        self._then: dict[str, Sequence[str]] = {}  # "role@fault" -> who had it when the fault struck

    def start(self, faults: Sequence[Fault]) -> None:
        """The safety phase begins. Anchor events that happened before count as happening now."""
        for fault in faults:
            self._spawn(fault)

    def happened(self, event: AnchorEvent, number: int, reporter: str) -> None:
        """An anchor event; the faults that wait for it continue."""
        if (passed := self._anchors.pop((event, number), None)) is not None:
            passed.set()

    async def end(self) -> None:
        """The safety phase is over: heals all faults, and starts no more. Returns once all are healed."""
        for task in self._waiting.values():
            task.cancel()
        self._waiting.clear()
        self.ending.set()
        for task in list(self._striking.values()):
            await task.ended()

    async def restore_members(self, within_us: int) -> list[str]:
        """Once all is healed: all nodes vote again, if their members change at all. Returns those that do not after so
        long, and at least some seconds."""
        if await restore(_Afterwards(self), within_us):
            return []
        return [node for node in self.nodes if not self.members.votes(node)]

    def leader(self) -> str | None:
        """The leader, if there is one that runs and reaches others.

        A leader that is paused, cut off or about to die at a failpoint leads nobody; the next fault on "the leader" is
        meant for its successor.
        """
        leader = self._view.leader
        if leader is None or not self.world.is_up(leader) or self.log.isolates(leader):
            return None
        return None if self.in_force.merged(ARMED, leader) else leader

    @property
    def outsiders(self) -> list[str]:
        """The nodes that are no members of the cluster now (§6)."""
        return [node for node in self.nodes if not self.members.includes(node)]

    # ---- one fault ------------------------------------------------------------------------------------------------

    def _spawn(self, fault: Fault) -> None:
        started = self.tasks.signal()

        async def one() -> None:
            await self.tasks.first(started)
            roles = await self._moment(fault)
            self._striking[fault.id] = self._waiting.pop(fault.id)
            await fault.action.strike(_Strike(self, fault, self.leader(), roles))
            del self._striking[fault.id]

        # The task may continue at once, and must then find itself in `_waiting`.
        self._waiting[fault.id] = self.tasks.spawn(one(), fault.id)
        started.set()

    async def _moment(self, fault: Fault) -> Roles:
        """Waits until the fault is to fire; returns who has which role then."""
        when, tasks = fault.when, self.tasks
        voter: dict[str, list[str]] = {}
        if when.on is None and not when.since:
            await tasks.sleep_until(when.at_us or 0)
        else:
            since = await self._followed_up(when.since) if when.since else Moment(0)
            if when.on is not None:
                number = since.passed.get(when.on, 0) + when.nth
                reporters = self._view.seen[when.on]  # in real time an event may come between `start` and here
                if number not in reporters:
                    await tasks.first(self._anchors.setdefault((when.on, number), tasks.signal()))
                voter = {VOTER: [reporters[number]]} if when.on == "vote_granted" else {}
            await tasks.sleep_until((since.at_us if when.on is None else tasks.now_us) + when.after_us)
        must_wait = fault.action.must_wait
        while must_wait(self.nodes, roles := self._roles(voter), self.outsiders) or self._lets_pass(fault):
            self._polling[fault.id] = fault
            await tasks.sleep_until(tasks.now_us + LEADER_POLL_US)
        self._polling.pop(fault.id, None)
        return roles

    def _lets_pass(self, fault: Fault) -> bool:
        """Of faults that wait for a leader, the one that cuts it off goes first: a run must have such a cut, and where
        elections are rare, the others would take each leader before its turn."""
        if fault.id not in self._polling or fault.action.cuts_off_leader:
            return False
        return LEADER in fault.action.names and any(one.action.cuts_off_leader for one in self._polling.values())

    def _roles(self, voter: Roles) -> Roles:
        """Who has which role now, and who had it when an earlier fault struck."""
        return ChainMap({**self._view.roles(self.leader()), **voter}, self._then)

    async def _followed_up(self, fault: str) -> Moment:
        """The moment of that fault, once it has come."""
        if fault not in self._moments:
            await self.tasks.first(self._followed.setdefault(fault, self.tasks.signal()))
        return self._moments[fault]

    def struck(self, fault: Fault, roles: Roles) -> None:
        """The fault is in force; those that follow it continue."""
        passed = {event: len(numbers) for event, numbers in self._view.seen.items()}
        passed["leader_committed"] = passed["leader_elected"]  # has the number of its leader
        self._moments[fault.id] = Moment(self.tasks.now_us, passed)
        self._then |= {f"{role}@{fault.id}": nodes for role, nodes in roles.items() if role in ROLES}
        if (followed := self._followed.pop(fault.id, None)) is not None:
            followed.set()


class _Strike:
    """See `chaos.faults.strike.Strike`."""

    def __init__(self, nemesis: Nemesis, fault: Fault, leader: str | None, roles: Roles) -> None:
        self.id = fault.id
        self.duration_us = fault.duration_us
        self.nodes = nemesis.nodes
        self.leader = leader
        self.roles = roles
        self._nemesis = nemesis
        self._fault = fault
        self._span: Span | None = None

    @property
    def voters(self) -> list[str]:
        members = self._nemesis.members.members
        return [node for node in self.nodes if members is None or members.votes(node)]

    @property
    def outsiders(self) -> list[str]:
        return self._nemesis.outsiders

    @property
    def damaged(self) -> list[str]:
        return self._nemesis.log.damaged

    @property
    def now_us(self) -> int:
        return self._nemesis.tasks.now_us

    @property
    def is_over(self) -> bool:
        return self._nemesis.ending.is_set

    def can(self, capability: type[Capability]) -> Capability:
        offered = self.offered(capability)
        if offered is None:
            raise NotPossibleError(f"fault {self.id}: this world's nodes cannot suffer a {self._fault.action.kind()}")
        return offered

    def offered(self, capability: type[Capability]) -> Capability | None:
        world: object = self._nemesis.world
        return world if isinstance(world, capability) else None

    def lay(self, layer: Layer[Value], values: Mapping[Subject, Value]) -> dict[Subject, Value]:
        return self._nemesis.in_force.change(layer, self.id, values)

    def lift(self, layer: Layer[Value]) -> dict[Any, Value]:
        return self._nemesis.in_force.change(layer, self.id, {})

    def merged(self, layer: Layer[Value], subject: Any) -> Value:
        return self._nemesis.in_force.merged(layer, subject)

    def begin(self, nodes: Sequence[str]) -> None:
        self._span = self._nemesis.log.begin(self._fault, nodes, self.leader)

    def injected(
        self, detail: str, targets: Sequence[str] | None = None, links: Sequence[tuple[str, str]] = ()
    ) -> None:
        assert self._span is not None
        self._nemesis.log.injected(self._span, detail, targets, links)
        self._nemesis.struck(self._fault, self.roles)

    def ended(self, nodes: Sequence[str]) -> None:
        assert self._span is not None
        self._nemesis.log.ended(self._span, nodes)

    def healed(self, effect: Effect) -> None:
        assert self._span is not None
        self._nemesis.log.healed(self._span, effect, is_over=self.is_over)

    def change_answered(self, node: str, index: int) -> None:
        self._nemesis.log.change_answered(node, index)

    async def hold(self, for_us: int) -> None:
        await self._nemesis.tasks.first(self._nemesis.ending, within_us=for_us)

    async def wait(self, for_us: int) -> None:
        await self._nemesis.tasks.sleep_until(self.now_us + for_us)

    def signal(self) -> Signal:
        return self._nemesis.tasks.signal()

    async def until(self, signal: Any, within_us: int) -> None:
        await self._nemesis.tasks.first(signal, self._nemesis.ending, within_us=within_us)

    async def together(self, coroutines: Sequence[Coroutine[Any, Any, Result]]) -> list[Result]:
        return await self._nemesis.tasks.together(coroutines)


class _Afterwards:
    """When all faults are healed: see `chaos.faults.membership.Administered`."""

    is_over = True

    def __init__(self, nemesis: Nemesis) -> None:
        self.nodes = nemesis.nodes
        self.leader = nemesis.leader()
        self._nemesis = nemesis

    @property
    def now_us(self) -> int:
        return self._nemesis.tasks.now_us

    def can(self, capability: type[Capability]) -> Capability:
        world: object = self._nemesis.world
        if not isinstance(world, capability):
            raise NotPossibleError("this world's nodes cannot be asked for other members")
        return world

    def change_answered(self, node: str, index: int) -> None:
        self._nemesis.log.change_answered(node, index)

    async def wait(self, for_us: int) -> None:
        await self._nemesis.tasks.sleep_until(self.now_us + for_us)


class InForce:
    """The faults in force on each node and link, layer by layer, in the order in which they started."""

    def __init__(self) -> None:
        self._layers: dict[Layer[Any], dict[str, Mapping[Any, Any]]] = {}

    def change(self, layer: Layer[Value], fault: str, values: Mapping[Subject, Value]) -> dict[Subject, Value]:
        """Replaces all values of the fault by these; returns the merged values that this changes, by subject."""
        faults = self._layers.setdefault(layer, {})
        touched = dict.fromkeys([*faults.get(fault, {}), *values])
        before = {subject: self.merged(layer, subject) for subject in touched}
        faults.pop(fault, None)
        if values:
            faults[fault] = values
        after = {subject: self.merged(layer, subject) for subject in touched}
        return {subject: value for subject, value in after.items() if value != before[subject]}

    def merged(self, layer: Layer[Value], subject: Any) -> Value:
        faults = self._layers.get(layer, {}).values()
        return layer.merged([values[subject] for values in faults if subject in values])
