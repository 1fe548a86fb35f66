"""A cluster as a hypothesis state machine: hypothesis chooses each step, and makes what fails small.

    class Votes(RaftStateMachine):    # with your rules and invariants, or none
        nodes = 5

    TestVotes = Votes.TestCase        # for pytest and unittest

Each rule is a step of one node, or of a client, in a simulated cluster: a timer fires, a message arrives, a write is
durable, a node crashes. No clock and no network has a will of its own, so an example is nothing but an order of steps.
`settle`, `settle_slowly` and `stand_for_election` alone are many, without which chance would rarely elect anybody.

After each rule the judge must have found no violation. The smallest example that breaks an invariant of the judge
leaves a reproduction file for `raft-chaos repro`. One that fails by a rule or an invariant of a subclass is told step
by step instead, since nothing but that test can judge it.
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
from raft_chaos.chaos.execution.session import Link, Session
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
from raft_chaos.chaos.run.settings import program
from raft_chaos.chaos.shrink.from_execution import reproduction_of
from raft_chaos.chaos.shrink.search import NotReproducedError
from raft_chaos.invariants.history import OpFunction
from raft_chaos.invariants.judge import Judge
from raft_chaos.invariants.verdict import Violation
from raft_chaos.raft.core import Core
from raft_chaos.raft.replica.machine import Machine
from raft_chaos.raft.replica.replica import Replica
from raft_chaos.raft.server.node import Parts
from raft_chaos.raft.state.log import Log
from raft_chaos.raft.state.timing import Timing

__all__ = ["REPRODUCTIONS", "InvariantViolatedError", "RaftStateMachine"]

REPRODUCTIONS = "RAFT_CHAOS_REPRODUCTIONS"
"""The environment variable that says where reproduction files go, whatever a class says."""

SETTLING_STEPS = 1_000
"""More than it takes a small cluster to come to rest while no timer fires."""
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
"""What clients ask for: registers with one writer, a list that all append to, and a key to which all do everything."""

T = TypeVar("T")


class InvariantViolatedError(AssertionError):
    """The judge found that an invariant does not hold; `violation` has the witness."""

    def __init__(self, violation: Violation) -> None:
        super().__init__(f"VIOLATED {violation.invariant}: {violation.message}\n  {violation.rule}")
        self.violation = violation


@dataclass(frozen=True)
class _Choice(Generic[T]):
    """One of the machine's options, of those that fit at this moment."""

    options: Callable[[RaftStateMachine], Sequence[T]]
    fits: Callable[[RaftStateMachine, T], bool]

    def drawn(self) -> st.SearchStrategy[T]:
        return st.runner().flatmap(
            lambda machine: st.sampled_from([one for one in self.options(machine) if self.fits(machine, one)])
        )

    def possible(self, machine: RaftStateMachine) -> bool:
        """The precondition that goes with it."""
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
# While a majority is down nothing happens, so examples with that would be wasted; all may bounce, one after the other.
_SPARE = _node(lambda machine, node: machine.is_up(node) and len(machine.up()) > majority_of(machine.nodes))
_WRITING = _node(lambda machine, node: machine.cluster.is_writing(node))
_LEADING = _node(lambda machine, node: node in machine.leaders())
_ADDRESSED = _link(lambda machine, link: bool(machine.cluster.in_flight[link]) and machine.is_up(link[1]))
_ADDRESSED_BEFORE = _link(lambda machine, link: bool(machine.cluster.arrived[link]) and machine.is_up(link[1]))
_CUT_OFF = _node(lambda machine, node: any(machine.cluster.in_flight[link] for link in machine.links_of(node)))
_IDLE = _client(lambda machine, client: machine.cluster.open_call(client) is None)
_WAITING = _client(lambda machine, client: machine.cluster.open_call(client) is not None)
_ANSWERED = _client(lambda machine, client: machine.answer_to(client) is not None)
_RESTLESS = _group(lambda machine, group: len(group) > 1 and machine.settling_step(group) is not None)
_SOME = _group(lambda machine, group: True)
_MAJORITY = _group(lambda machine, group: len(group) >= majority_of(machine.nodes))


class RaftStateMachine(RuleBasedStateMachine):
    """A cluster that hypothesis moves, to be used as it is or subclassed with rules and invariants.

    The rules below are methods that rules of a subclass may call: `self.timeout("n1")`. What cannot be done raises
    `chaos.execution.steps.ExecutionError`. A subclass that sets a rule to None does without it: `crash = None`.
    A subclass with an `__init__` or a `teardown` calls those here first.

    `TestCase.settings` are hypothesis' own for state machines, but for the phase that explains: it traces every line,
    which takes several times as long. Change others with `settings(Votes.TestCase.settings, max_examples=500)`.
    """

    nodes: ClassVar[int] = 3
    """How many; they are named n1, n2, ..."""
    clients: ClassVar[int] = 2
    """How many; they are named c0, c1, ..."""
    timing: ClassVar[Timing] = Timing(150_000, 300_000, 50_000)
    """Of the nodes. Timers fire whenever a rule says so, so what it limits is what a message holds."""
    mutant: ClassVar[str | None] = None
    """The mistake that is put in (`raft-chaos mutants`)."""
    parts: ClassVar[Parts | None] = None
    """Classes of your own that nodes are made of. A failure is then told, but not saved: a file cannot hold them."""
    reproductions: ClassVar[str | Path] = ".raft-chaos"
    """The folder for reproduction files; RAFT_CHAOS_REPRODUCTIONS in the environment overrides it."""

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
        """All nodes, then one, then ever more of them."""
        self.cluster: Session = Session(self.names, self.client_names, timing=self.timing, parts=self._parts())
        self._written: dict[str, str] = {}  # by key, what was last asked to be written

    # ---- how things are -------------------------------------------------------------------------------------------

    @property
    def judge(self) -> Judge:
        """All checkers, told of everything so far; `judge.verdicts()` says what they found."""
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
        """The algorithm's state: `role`, `current_term`, `voted_for`, `commit_index` ... Raises ValueError if down."""
        return self._running(node).core

    def log(self, node: str) -> Log:
        """Its log, what is not durable yet included."""
        return self._running(node).core.log

    def machine(self, node: str) -> Machine:
        """Its state machine, with all that it has applied."""
        return self._running(node).machine

    def leaders(self) -> list[str]:
        """The nodes that are up and believe to lead. Several may, each in a term of its own."""
        return [node for node in self.up() if self.core(node).role == "leader"]

    def leader(self) -> str | None:
        """The one of them that leads in the highest term."""
        return max(self.leaders(), key=lambda node: self.core(node).current_term, default=None)

    # ---- what nodes do --------------------------------------------------------------------------------------------

    @precondition(_UP.possible)
    @rule(node=_UP.drawn())
    def timeout(self, node: str) -> None:
        """The node's timer fires: a leader sends heartbeats, another one stands for election."""
        self.do(Timeout(node))

    @precondition(_ADDRESSED.possible)
    @rule(link=_ADDRESSED.drawn(), nth=st.integers(0, 3))
    def deliver(self, link: Link, nth: int = 0) -> None:
        """The `nth` message on the link (sender, receiver) arrives, from 0, the oldest; the last if there are fewer."""
        self.do(_at(self.cluster.in_flight[link], nth, f"on its way from {link[0]} to {link[1]}"))

    @precondition(_ADDRESSED_BEFORE.possible)
    @rule(link=_ADDRESSED_BEFORE.drawn(), nth=st.integers(0, 7))
    def deliver_again(self, link: Link, nth: int = 0) -> None:
        """A message that has arrived, or was lost, arrives now: the `nth` of the link from 0, the latest."""
        self.do(_at(self.cluster.arrived[link], nth, f"that arrived from {link[0]} at {link[1]}"))

    @precondition(_CUT_OFF.possible)
    @rule(node=_CUT_OFF.drawn())
    def lose(self, node: str) -> None:
        """All messages on their way to and from the node are lost."""
        self.cluster.lose(self.links_of(node))

    @precondition(_WRITING.possible)
    @rule(node=_WRITING.drawn())
    def persist(self, node: str) -> None:
        """The node's write under way is durable."""
        self.do(Persist(node))

    @precondition(_SPARE.possible)
    @rule(node=_SPARE.drawn(), keep_permille=st.integers(0, 1000))
    def crash(self, node: str, keep_permille: int = 0) -> None:
        """The node's power fails; so many thousandths of its unsynced bytes reach the disk."""
        self.do(Crash(node, self.cluster.unsynced_bytes(node) * keep_permille // 1000))

    @precondition(_DOWN.possible)
    @rule(node=_DOWN.drawn())
    def restart(self, node: str) -> None:
        """A node that is down starts again, with what is on its disk."""
        self.do(Start(node))

    @precondition(_UP.possible)
    @rule(node=_UP.drawn(), keep_permille=st.integers(0, 1000))
    def bounce(self, node: str, keep_permille: int = 0) -> None:
        """The node crashes and starts again at once."""
        self.crash(node, keep_permille)
        self.restart(node)

    # ---- many steps in one, without which chance gets nowhere -----------------------------------------------------

    @precondition(_RESTLESS.possible)
    @rule(group=_RESTLESS.drawn())
    def settle(self, group: Sequence[str]) -> None:
        """All messages among these nodes arrive and their writes end, until nothing more happens."""
        self.settle_slowly(group, ())

    @precondition(_RESTLESS.possible)
    @rule(group=_RESTLESS.drawn(), slow=_SOME.drawn())
    def settle_slowly(self, group: Sequence[str], slow: Sequence[str]) -> None:
        """The same, but the disks of those in `slow` take longer: what they write is not durable yet."""
        for _ in range(SETTLING_STEPS):
            step = self.settling_step(group, slow)
            if step is None or self.cluster.violation is not None:
                return
            self.do(step)

    @precondition(_UP.possible)
    @rule(node=_UP.drawn(), group=_MAJORITY.drawn())
    def stand_for_election(self, node: str, group: Sequence[str]) -> None:
        """The node's timer fires, and it settles with these nodes: it leads then, if they have it."""
        self.timeout(node)
        self.settle([node, *(other for other in group if other != node)])

    # ---- what clients do ------------------------------------------------------------------------------------------

    @precondition(lambda machine: _IDLE.possible(machine) and _LEADING.possible(machine))
    @rule(client=_IDLE.drawn(), node=_LEADING.drawn(), work=st.sampled_from(WORK))
    def ask(self, client: str, node: str, work: tuple[OpFunction, str]) -> None:
        """The client invokes an operation and submits it to a node that believes to lead."""
        f, key = work
        key = key.format(client=client)
        expected = self._written.get(key) if f == "cas" else None
        self.submit(client, node, f, key, expected=expected)

    @precondition(lambda machine: _WAITING.possible(machine) and _LEADING.possible(machine))
    @rule(client=_WAITING.drawn(), node=_LEADING.drawn())
    def ask_again(self, client: str, node: str) -> None:
        """The client submits its operation once more, there or to another node."""
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
        """The client waits no longer: its operation may have happened, or may yet."""
        self.do(Return(self._open(client).id))

    # ---- for rules of a subclass ----------------------------------------------------------------------------------

    def do(self, step: Step) -> None:
        """Any step of `chaos.execution.steps`. Raises ExecutionError where it cannot be done."""
        self.cluster.do(step)

    def submit(
        self, client: str, node: str, f: OpFunction, key: str, value: str | None = None, expected: str | None = None
    ) -> Call:
        """The client invokes that operation at that node; without a `value` it writes one of its own."""
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
        """The step that submitted what the client waits for, if that is answered."""
        call = self.cluster.open_call(client)
        return None if call is None else self.cluster.answers.get(call.id)

    # ---- judging, and what is left of a failure -------------------------------------------------------------------

    @invariant()
    def judged(self) -> None:
        """No invariant is violated. All are judged but `recovery`, since nothing is owed in an example."""
        if self.cluster.violation is not None:
            raise InvariantViolatedError(self.cluster.violation)

    def teardown(self) -> None:
        """Leaves of a failure what there is to leave, once hypothesis has made it small."""
        # hypothesis calls this after each example, with its exception under way; only the last run is the smallest.
        failure = sys.exc_info()[1]
        if isinstance(failure, Exception) and _is_last_run():
            violation = self.cluster.violation
            failure.add_note(self._narrated() if violation is None else self._save_reproduction(violation))

    def _save_reproduction(self, violation: Violation) -> str:
        """Writes the reproduction file; says where."""
        if self.parts is not None:
            return f"{self._narrated()}\nNo reproduction file: it cannot hold the parts of {type(self).__name__}."
        file = Path(os.environ.get(REPRODUCTIONS) or self.reproductions) / f"{_name(type(self))}.json"
        try:
            reproduction = reproduction_of(self.execution, violation.invariant, self.mutant)
            file.parent.mkdir(parents=True, exist_ok=True)
            save(reproduction, file)
        except NotReproducedError:
            return f"{self._narrated()}\nNo reproduction file: played again, it did not fail. Is it deterministic?"
        except OSError as error:
            return f"{self._narrated()}\nNo reproduction file: {file} cannot be written ({error.strerror})."
        assert reproduction.execution is not None
        steps = "\n".join(narrate(reproduction.execution, self._parts()))
        return f"The steps that it takes:\n{steps}\nReproduce with:\n{program()} repro {shlex.quote(str(file))}"

    def _narrated(self) -> str:
        return "\n".join(["What happened, step by step:", *narrate(self.execution, self._parts())])

    # ---- helpers --------------------------------------------------------------------------------------------------

    def settling_step(self, group: Sequence[str], slow: Sequence[str] = ()) -> Step | None:
        """The next step of `settle`: writes first, then each link's oldest message. None if there is nothing to do."""
        for node in group:
            if self.cluster.is_writing(node) and node not in slow:
                return Persist(node)
        for link in self.cluster.links:
            if link[0] in group and link[1] in group and self.cluster.in_flight[link] and self.is_up(link[1]):
                return self.cluster.in_flight[link][0]
        return None

    def _parts(self) -> Parts:
        if self.mutant is not None and self.mutant not in MUTANTS:
            raise ValueError(f"mutant: there is no {self.mutant!r}; there are {', '.join(MUTANTS)}")
        if self.mutant is not None and self.parts is not None:
            raise ValueError("mutant and parts: expected one of them, since a mutant is parts too")
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


def _at(messages: Sequence[Deliver], nth: int, where: str) -> Deliver:
    if not messages:
        raise ValueError(f"there is no message {where}")
    return messages[min(nth, len(messages) - 1)]


def _is_last_run() -> bool:
    """Whether this is the run of the example that is reported, or one without hypothesis, as of a printed example."""
    return not currently_in_test_context() or current_build_context().is_final


def _name(test: type) -> str:
    """The test's name as that of a file."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "", f"{test.__module__}.{test.__qualname__}")
