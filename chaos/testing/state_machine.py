"""A cluster as a hypothesis state machine: hypothesis chooses each step, and shrinks a failing example.

    class Votes(RaftStateMachine):    # with your rules and invariants, or none
        nodes = 5

    TestVotes = Votes.TestCase        # for pytest and unittest

Each rule is a step of one node, or of a client, in a simulated cluster: a timer fires, a message arrives, a write is
durable, a node crashes. Nothing happens outside the rules, so an example is just a sequence of steps. Only `settle`,
`settle_slowly` and `stand_for_election` do many steps at once; without them random steps would rarely elect a leader.

After each rule the judge must have found no violation. The smallest example that violates an invariant of the judge
leaves a reproduction file for `raft-chaos repro`. If a rule or an invariant of a subclass fails, the failure lists the
steps instead, since only that test can judge it.
"""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import ClassVar, Generic, TypeVar

try:
    from hypothesis import Phase, currently_in_test_context, settings
    from hypothesis import strategies as st
    from hypothesis.control import current_build_context
    from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
except ImportError as error:
    raise ImportError(
        "raft_chaos.chaos.testing.state_machine needs hypothesis, which is not installed: "
        "pip install 'raft-chaos[hypothesis]'"
    ) from error

from raft_chaos.chaos.execution.narrate import narrate
from raft_chaos.chaos.execution.player import Frame, Link
from raft_chaos.chaos.execution.session import Session
from raft_chaos.chaos.execution.steps import (
    Call,
    Crash,
    Deliver,
    Execution,
    Persist,
    Return,
    Start,
    Step,
    Submit,
    Timeout,
)
from raft_chaos.chaos.faults.grudge import majority_of
from raft_chaos.chaos.mutants import MUTANTS, parts_of
from raft_chaos.chaos.reproduction.file import save
from raft_chaos.chaos.reproduction.make import NotReproducedError
from raft_chaos.chaos.run.settings import program
from raft_chaos.chaos.shrink.from_execution import reproduction_of
from raft_chaos.invariants.history import OpFunction
from raft_chaos.invariants.judge import Judge
from raft_chaos.invariants.verdict import Violation
from raft_chaos.raft.core import Core
from raft_chaos.raft.replica.machine import Machine
from raft_chaos.raft.replica.replica import Replica
from raft_chaos.raft.server.parts import Parts
from raft_chaos.raft.state.log import Log
from raft_chaos.raft.state.timing import Timing

__all__ = ["REPRODUCTIONS", "InvariantViolatedError", "RaftStateMachine"]

REPRODUCTIONS = "RAFT_CHAOS_REPRODUCTIONS"
"""The environment variable for the folder of reproduction files. It overrides the class attribute."""

SETTLING_STEPS = 1_000
"""More steps than a small cluster needs to settle while no timer fires."""
OWN_KEY = "reg/{client}"
WORK: Sequence[tuple[OpFunction, str]] = (
    ("put", OWN_KEY),
    ("get", "reg/c0"),
    ("append", "list"),
    ("get", "list"),
    ("cas", "mix"),
    ("put", "mix"),
    ("get", "mix"),
    ("delete", "mix"),
)
"""The clients' operations: registers with one writer, a list that all append to, and a key with mixed operations."""

T = TypeVar("T")


class InvariantViolatedError(AssertionError):
    """The judge found a violation of an invariant; `violation` has the witness."""

    def __init__(self, violation: Violation) -> None:
        super().__init__(f"VIOLATED {violation.invariant}: {violation.message}\n  {violation.rule}")
        self.violation = violation


@dataclass(frozen=True)
class _Choice(Generic[T]):
    """A choice among the machine's options that fit its current state."""

    options: Callable[[RaftStateMachine], Sequence[T]]
    fits: Callable[[RaftStateMachine, T], bool]

    def drawn(self) -> st.SearchStrategy[T]:
        return st.runner().flatmap(
            lambda machine: st.sampled_from([one for one in self.options(machine) if self.fits(machine, one)])
        )

    def possible(self, machine: RaftStateMachine) -> bool:
        """The precondition of a rule that draws this choice."""
        return any(self.fits(machine, one) for one in self.options(machine))


def _node(fits: Callable[[RaftStateMachine, str], bool]) -> _Choice[str]:
    return _Choice(lambda machine: machine.names, fits)


def _client(fits: Callable[[RaftStateMachine, str], bool]) -> _Choice[str]:
    return _Choice(lambda machine: machine.client_names, fits)


def _group(fits: Callable[[RaftStateMachine, Sequence[str]], bool]) -> _Choice[tuple[str, ...]]:
    return _Choice(lambda machine: machine.groups, fits)


def _link(fits: Callable[[RaftStateMachine, Link], bool]) -> _Choice[Link]:
    return _Choice(lambda machine: machine.cluster.links, fits)


_UP = _node(lambda machine, node: machine.is_up(node))
_DOWN = _node(lambda machine, node: machine.cluster.is_down(node))
# While a majority is down nothing happens, so such examples would be wasted. But all nodes may bounce one by one.
_SPARE = _node(lambda machine, node: machine.is_up(node) and len(machine.up()) > majority_of(machine.nodes))
_WRITING = _node(lambda machine, node: machine.cluster.is_writing(node))
_LEADING = _node(lambda machine, node: node in machine.leaders())
_IN_FLIGHT = _link(lambda machine, link: bool(machine.cluster.network.on_link(link)) and machine.is_up(link[1]))
_ARRIVED = _link(lambda machine, link: bool(machine.cluster.network.arrived[link]) and machine.is_up(link[1]))
_CUT_OFF = _node(lambda machine, node: any(node in frame.link for frame in machine.cluster.network.frames))
_IDLE = _client(lambda machine, client: machine.cluster.open_call(client) is None)
_WAITING = _client(lambda machine, client: machine.cluster.open_call(client) is not None)
_ANSWERED = _client(lambda machine, client: machine.answer_to(client) is not None)
_UNSETTLED = _group(lambda machine, group: len(group) > 1 and machine.settling_step(group) is not None)
_SOME = _group(lambda machine, group: True)
_MAJORITY = _group(lambda machine, group: len(group) >= majority_of(machine.nodes))


class RaftStateMachine(RuleBasedStateMachine):
    """A cluster that hypothesis drives. Use it as it is, or subclass it with rules and invariants.

    Rules of a subclass may call the rules below as methods: `self.timeout("n1")`. A step that cannot be done raises
    `chaos.execution.steps.ExecutionError`. A subclass disables a rule by setting it to None: `crash = None`.
    A subclass with its own `__init__` or `teardown` must call the one here first.

    `TestCase.settings` are hypothesis' defaults for state machines without the explain phase, which traces every line
    and makes a test several times slower. Change other settings with
    `settings(Votes.TestCase.settings, max_examples=500)`.
    """

    nodes: ClassVar[int] = 3
    """The number of nodes, which are named n1, n2, ..."""
    clients: ClassVar[int] = 2
    """The number of clients, which are named c0, c1, ..."""
    timing: ClassVar[Timing] = Timing(150_000, 300_000, 50_000)
    """The timing of the nodes. Rules decide when timers fire, so only its limits on messages have an effect."""
    mutant: ClassVar[str | None] = None
    """The id of a mutant (`raft-chaos mutants` lists them); None for the unmodified core."""
    parts: ClassVar[Parts | None] = None
    """Your own classes for the parts of a node. A failure is then not saved, since a file cannot hold them."""
    reproductions: ClassVar[str | Path] = ".raft-chaos"
    """The folder for reproduction files. The environment variable RAFT_CHAOS_REPRODUCTIONS overrides it."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        _without_explanations(cls)

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = [f"n{number}" for number in range(1, _checked("nodes", self.nodes) + 1)]
        self.client_names: list[str] = [f"c{number}" for number in range(_checked("clients", self.clients))]
        self.groups: list[tuple[str, ...]] = [
            group for size in (self.nodes, *range(1, self.nodes)) for group in combinations(self.names, size)
        ]
        """Groups of nodes: all, then each single node, then larger groups."""
        self.cluster: Session = Session(self.names, self.client_names, timing=self.timing, parts=self._parts())
        for name in self.names:
            self.do(Start(name))
        self._written: dict[str, str] = {}  # by key, the value of the last write that was invoked

    # ---- the cluster's state --------------------------------------------------------------------------------------

    @property
    def judge(self) -> Judge:
        """The checkers, which have observed everything so far; `judge.verdicts()` gives their verdicts."""
        return self.cluster.player.judge

    @property
    def execution(self) -> Execution:
        """The steps so far."""
        return self.cluster.execution

    def is_up(self, node: str) -> bool:
        return self.cluster.running(node) is not None

    def up(self) -> list[str]:
        """The nodes that are up, in the order of their names."""
        return [node for node in self.names if self.is_up(node)]

    def core(self, node: str) -> Core:
        """The algorithm's state: `role`, `current_term`, `voted_for`, `commit_index`... Raises ValueError if down."""
        return self._running(node).core

    def log(self, node: str) -> Log:
        """The node's log, including entries that are not durable yet. Raises ValueError if the node is down."""
        return self._running(node).core.log

    def machine(self, node: str) -> Machine:
        """The node's state machine. Raises ValueError if the node is down."""
        return self._running(node).machine

    def leaders(self) -> list[str]:
        """The nodes that are up and believe that they lead. There may be several, in different terms."""
        return [node for node in self.up() if self.core(node).role == "leader"]

    def leader(self) -> str | None:
        """The leader with the highest term, or None."""
        return max(self.leaders(), key=lambda node: self.core(node).current_term, default=None)

    # ---- what nodes do --------------------------------------------------------------------------------------------

    @precondition(_UP.possible)
    @rule(node=_UP.drawn())
    def timeout(self, node: str) -> None:
        """The node's timer fires: a leader sends heartbeats, another node stands for election."""
        self.do(Timeout(node))

    @precondition(_IN_FLIGHT.possible)
    @rule(link=_IN_FLIGHT.drawn(), nth=st.integers(0, 3))
    def deliver(self, link: Link, nth: int = 0) -> None:
        """Message `nth` on the link (sender, receiver) arrives; 0 is the oldest. The last one if there are fewer."""
        self.do(_at(self.cluster.network.on_link(link), nth, f"on its way from {link[0]} to {link[1]}"))

    @precondition(_ARRIVED.possible)
    @rule(link=_ARRIVED.drawn(), nth=st.integers(0, 7))
    def deliver_again(self, link: Link, nth: int = 0) -> None:
        """A message that has arrived or was lost arrives again: message `nth` of the link, where 0 is the latest."""
        self.do(_at(self.cluster.network.arrived[link], nth, f"that arrived from {link[0]} at {link[1]}"))

    @precondition(_CUT_OFF.possible)
    @rule(node=_CUT_OFF.drawn())
    def lose(self, node: str) -> None:
        """All messages in flight to and from the node are lost."""
        self.cluster.network.lose(self.links_of(node))

    @precondition(_WRITING.possible)
    @rule(node=_WRITING.drawn())
    def persist(self, node: str) -> None:
        """The node's write under way is durable."""
        self.do(Persist(node))

    @precondition(_SPARE.possible)
    @rule(node=_SPARE.drawn(), keep_permille=st.integers(0, 1000))
    def crash(self, node: str, keep_permille: int = 0) -> None:
        """The node loses power. `keep_permille` thousandths of its unsynced bytes reach the disk."""
        self.do(Crash(node, self.cluster.unsynced_bytes(node) * keep_permille // 1000))

    @precondition(_DOWN.possible)
    @rule(node=_DOWN.drawn())
    def restart(self, node: str) -> None:
        """A node that is down starts again from its disk."""
        self.do(Start(node))

    @precondition(_UP.possible)
    @rule(node=_UP.drawn(), keep_permille=st.integers(0, 1000))
    def bounce(self, node: str, keep_permille: int = 0) -> None:
        """The node crashes and starts again at once."""
        self.crash(node, keep_permille)
        self.restart(node)

    # ---- many steps at once, without which random steps rarely get far --------------------------------------------

    @precondition(_UNSETTLED.possible)
    @rule(group=_UNSETTLED.drawn())
    def settle(self, group: Sequence[str]) -> None:
        """Delivers all messages among these nodes and completes their writes, until nothing more happens."""
        self.settle_slowly(group, ())

    @precondition(_UNSETTLED.possible)
    @rule(group=_UNSETTLED.drawn(), slow=_SOME.drawn())
    def settle_slowly(self, group: Sequence[str], slow: Sequence[str]) -> None:
        """Like `settle`, but the writes of the nodes in `slow` do not complete."""
        for _ in range(SETTLING_STEPS):
            step = self.settling_step(group, slow)
            if step is None or self.cluster.violation is not None:
                return
            self.do(step)

    @precondition(_UP.possible)
    @rule(node=_UP.drawn(), group=_MAJORITY.drawn())
    def stand_for_election(self, node: str, group: Sequence[str]) -> None:
        """The node's timer fires, and it settles with these nodes. If they elect it, it then leads."""
        self.timeout(node)
        self.settle([node, *(other for other in group if other != node)])

    # ---- what clients do ------------------------------------------------------------------------------------------

    @precondition(lambda machine: _IDLE.possible(machine) and _LEADING.possible(machine))
    @rule(client=_IDLE.drawn(), node=_LEADING.drawn(), work=st.sampled_from(WORK))
    def ask(self, client: str, node: str, work: tuple[OpFunction, str]) -> None:
        """The client invokes an operation and submits it to a node that believes that it leads."""
        f, key = work
        key = key.format(client=client)
        expected = self._written.get(key) if f == "cas" else None
        self.submit(client, node, f, key, expected=expected)

    @precondition(lambda machine: _WAITING.possible(machine) and _LEADING.possible(machine))
    @rule(client=_WAITING.drawn(), node=_LEADING.drawn())
    def ask_again(self, client: str, node: str) -> None:
        """The client submits its open operation once more, to any node."""
        self.do(Submit(node, self._open(client).id))

    @precondition(_ANSWERED.possible)
    @rule(client=_ANSWERED.drawn())
    def answer(self, client: str) -> None:
        """The answer reaches the client."""
        call = self._open(client)
        if call.id not in self.cluster.answers:
            raise ValueError(f"{call.id} has no answer yet")
        self.do(Return(call.id, answer=self.cluster.answers[call.id]))

    @precondition(_WAITING.possible)
    @rule(client=_WAITING.drawn())
    def give_up(self, client: str) -> None:
        """The client stops waiting: its operation has an unknown outcome."""
        self.do(Return(self._open(client).id))

    # ---- for rules of a subclass ----------------------------------------------------------------------------------

    def do(self, step: Step) -> None:
        """Does any step of `chaos.execution.steps`. Raises ExecutionError if it cannot be done."""
        self.cluster.do(step)

    def submit(
        self, client: str, node: str, f: OpFunction, key: str, value: str | None = None, expected: str | None = None
    ) -> Call:
        """The client invokes an operation and submits it to the node. Without a `value` it writes a new one.

        Raises ExecutionError if the client waits for another operation, or if the node is down.
        """
        if value is None and f in ("put", "append", "cas"):
            value = f"v{len(self.cluster.player.execution.calls)}"
        call = self.cluster.begin(client, f, key, value, expected)
        if value is not None:
            self._written[key] = value
        self.do(Submit(node, call.id))
        return call

    def links_of(self, node: str) -> list[Link]:
        """The links (sender, receiver) into and out of a node."""
        return [link for link in self.cluster.links if node in link]

    def answer_to(self, client: str) -> int | None:
        """The number of the step that submitted the client's open operation, if it is answered, otherwise None."""
        call = self.cluster.open_call(client)
        return None if call is None else self.cluster.answers.get(call.id)

    # ---- judging, and reporting a failure -------------------------------------------------------------------------

    @invariant()
    def judged(self) -> None:
        """No invariant is violated. `recovery` is not judged, since an example has no liveness phase."""
        if self.cluster.violation is not None:
            raise InvariantViolatedError(self.cluster.violation)

    def teardown(self) -> None:
        """Saves a reproduction file of a failure, or lists its steps, once hypothesis has shrunk it."""
        # hypothesis calls this after each example, while its exception is raised. Only the last run is the smallest.
        failure = sys.exc_info()[1]
        if isinstance(failure, Exception) and _is_last_run():
            violation = self.cluster.violation
            failure.add_note(self._narrated() if violation is None else self._save_reproduction(violation))

    def _save_reproduction(self, violation: Violation) -> str:
        """Writes the reproduction file. Returns the note that says where, or why there is none."""
        if self.parts is not None:
            return f"{self._narrated()}\nNo reproduction file: it cannot hold the parts of {type(self).__name__}."
        file = Path(os.environ.get(REPRODUCTIONS) or self.reproductions) / f"{_name(type(self))}.json"
        try:
            reproduction = reproduction_of(self.execution, violation.invariant, self.mutant)
            file.parent.mkdir(parents=True, exist_ok=True)
            save(reproduction, file)
        except NotReproducedError:
            return f"{self._narrated()}\nNo reproduction file: the execution did not fail again. Is it deterministic?"
        except OSError as error:
            return f"{self._narrated()}\nNo reproduction file: {file} cannot be written ({error.strerror})."
        assert reproduction.execution is not None
        steps = "\n".join(narrate(reproduction.execution, self._parts()))
        return f"The steps of the failure:\n{steps}\nReproduce with:\n{program()} repro {shlex.quote(str(file))}"

    def _narrated(self) -> str:
        return "\n".join(["The steps of the failure:", *narrate(self.execution, self._parts())])

    # ---- helpers --------------------------------------------------------------------------------------------------

    def settling_step(self, group: Sequence[str], slow: Sequence[str] = ()) -> Step | None:
        """The next step of `settle`: writes first, then each link's oldest message. None if the group has settled."""
        for node in group:
            if self.cluster.is_writing(node) and node not in slow:
                return Persist(node)
        for link in self.cluster.links:
            in_flight = self.cluster.network.on_link(link)
            if in_flight and link[0] in group and link[1] in group and self.is_up(link[1]):
                return in_flight[0].arrival()
        return None

    def _parts(self) -> Parts:
        if self.mutant is not None and self.mutant not in MUTANTS:
            raise ValueError(f"mutant: there is no {self.mutant!r}; there are {', '.join(MUTANTS)}")
        if self.mutant is not None and self.parts is not None:
            raise ValueError("mutant and parts: expected only one of them, since a mutant replaces parts too")
        return self.parts or parts_of(self.mutant)

    def _running(self, node: str) -> Replica:
        running = self.cluster.running(node) if node in self.names else None
        if running is None:
            raise ValueError(f"{node} is not up; {', '.join(self.up()) or 'none'} of {', '.join(self.names)} are")
        return running.replica

    def _open(self, client: str) -> Call:
        call = self.cluster.open_call(client)
        if call is None:
            raise ValueError(f"{client} waits for nothing")
        return call


def _without_explanations(test: type[RaftStateMachine]) -> None:
    plain = test.TestCase.settings
    test.TestCase.settings = settings(plain, phases=[phase for phase in plain.phases if phase is not Phase.explain])


_without_explanations(RaftStateMachine)


def _checked(field: str, value: int) -> int:
    if value < 1:
        raise ValueError(f"{field}: expected at least 1, got {value}")
    return value


def _at(frames: Sequence[Frame], nth: int, where: str) -> Deliver:
    if not frames:
        raise ValueError(f"there is no message {where}")
    return frames[min(nth, len(frames) - 1)].arrival()


def _is_last_run() -> bool:
    """Whether hypothesis reports this run, or a printed example runs without hypothesis."""
    return not currently_in_test_context() or current_build_context().is_final


def _name(test: type) -> str:
    """The test's name as a file name."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "", f"{test.__module__}.{test.__qualname__}")
