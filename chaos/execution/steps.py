"""The data of an execution: the cluster, its clients' operations, and the steps in order.

A step refers to an earlier one by its number, its position in the list, from 0. A message is named by the step that
sent it: "what step 12 sent to n3". So it keeps its name when other steps are removed, even if its contents change.

Times are in µs of the node's own clock. A step without a time happens `STEP_US` after the step before it, and a timeout
without a time happens when it is due. An execution without times depends on no clock.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias

import msgspec
from msgspec.structs import replace

from raft_chaos.chaos.faults.damage import Damage
from raft_chaos.chaos.faults.process import ALL_HOLES, WHOLE_PERMILLE, Failpoint
from raft_chaos.invariants.events import HARNESS, HarnessEvent, NodeExited, NodeKilled, NodeLaunched
from raft_chaos.invariants.history import QUEUE_FUNCTIONS, Consistency, OpFunction, Value, on_key
from raft_chaos.raft.replica.command import Command, Read, encode_command
from raft_chaos.raft.state.configuration import Change, encode_change
from raft_chaos.raft.state.timing import Timing
from raft_chaos.raft.storage.failing import Failing

MOST_US = 1 << 53
"""The largest time or number. Larger ones are not exact in every JSON reader."""

OUTSIDE = -1
"""The process of a call whose client is not in the history."""


class Call(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A client operation. `process` is its client's process then. Its command carries `session`, `serial` and `since`
    (§8; `raft.replica.machine`).

    `session` is None if the client did not name itself. A get with a `consistency` needs no log entry. A "change" asks
    for other members of the cluster (§6); it is on no key, and in no history.
    """

    id: str
    client: str
    process: int
    f: OpFunction | Literal["change"]
    key: str
    session: str | None
    serial: int
    value: Value = None
    expected: Value = None
    final: bool = False
    consistency: Consistency | None = None
    change: Change | None = None
    since: int = 0

    def read(self) -> Read | None:
        """The read, if it needs no log entry."""
        return None if self.consistency is None else Read(self.key, self.consistency, self.session, self.serial)

    def command(self) -> bytes:
        if self.f == "change":
            return encode_change(self.change or Change())
        value = self.value if isinstance(self.value, str) else None
        expected = self.expected if isinstance(self.expected, str) else None
        return encode_command(Command(on_key(self.f), self.key, value, expected, self.session, self.serial, self.since))


# ---- what happens to a node ----------------------------------------------------------------------------------------


class _Step(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, tag_field="do"):
    """The base of all steps. `at_us` None: see the module's header."""


class Start(_Step, frozen=True, tag="start"):
    """The next incarnation of a node that is down starts. With `dies_after` it is killed after so many operations of
    its recovery on the disk, if it has more."""

    node: str
    at_us: int | None = None
    dies_after: int | None = None


class Crash(_Step, frozen=True, tag="crash"):
    """The node loses power. The first `keep_bytes` of its unsynced bytes reach the disk, without the blocks in `holes`
    (`raft.storage.fault_disk`)."""

    node: str
    keep_bytes: int = 0
    at_us: int | None = None
    holes: int = 0


class Stop(_Step, frozen=True, tag="stop"):
    """The node is asked to stop: it completes its write under way, and ends by itself."""

    node: str
    at_us: int | None = None


class BreakDisk(_Step, frozen=True, tag="break_disk"):
    """The node's disk fails at this from now on, also after restarts; without `failing` it works again."""

    node: str
    failing: Failing | None = None
    at_us: int | None = None


class DamageData(_Step, frozen=True, tag="damage"):
    """The data of a node that is down is damaged."""

    node: str
    damage: Damage
    at_us: int | None = None


class Deliver(_Step, frozen=True, tag="deliver"):
    """The `nth` message (from 0) that step `sent_by` sent to the node arrives. It may arrive again in another step.

    `more`: the node acts only after its next input. `stop`: the step ends at that failpoint. `flips` are the places of
    bits that flipped on the way (`chaos.faults.corrupt`), in a frame that the node took all the same.
    """

    sent_by: int
    node: str
    nth: int = 0
    at_us: int | None = None
    more: bool = False
    stop: Failpoint | None = None
    flips: list[float] = []


class Timeout(_Step, frozen=True, tag="timeout"):
    """The node's timer fires: an election timeout, or a leader's heartbeat."""

    node: str
    at_us: int | None = None
    more: bool = False
    stop: Failpoint | None = None


class Persist(_Step, frozen=True, tag="persist"):
    """The node's write under way is durable."""

    node: str
    at_us: int | None = None
    more: bool = False
    stop: Failpoint | None = None


class Submit(_Step, frozen=True, tag="submit"):
    """The command or the read of `call` arrives at the node, for the first time or again."""

    node: str
    call: str
    at_us: int | None = None
    more: bool = False
    stop: Failpoint | None = None


class Transfer(_Step, frozen=True, tag="transfer"):
    """Somebody asks the node to hand over the leadership to `to`; None: to whoever is most up to date."""

    node: str
    to: str | None = None
    at_us: int | None = None
    more: bool = False
    stop: Failpoint | None = None


# ---- what a client sees, and what the harness noted ----------------------------------------------------------------


class Invoke(_Step, frozen=True, tag="invoke"):
    """The client begins the operation."""

    call: str
    at_us: int | None = None


class Return(_Step, frozen=True, tag="return"):
    """The client sees the operation's end: the answer to the command that step `answer` submitted.

    Without `answer` there was no answer: `type` is "info" (it may have happened) or "fail" (it certainly did not), and
    `error` says why.
    """

    call: str
    answer: int | None = None
    type: str = "info"
    error: str | None = None
    at_us: int | None = None


class Note(_Step, frozen=True, tag="note"):
    """An event that the harness reported at this point, for example a phase, which `recovery` needs.

    Starts, kills and exits of nodes are not noted, since they follow from the steps.
    """

    event: HarnessEvent


NodeStep: TypeAlias = Start | Crash | Stop | BreakDisk | DamageData | Deliver | Timeout | Persist | Submit | Transfer
Input: TypeAlias = Deliver | Timeout | Persist | Submit | Transfer
Step: TypeAlias = NodeStep | Invoke | Return | Note


class Execution(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A cluster with empty logs, and the steps that happen to it. `seed` feeds the nodes' election timers."""

    seed: int
    nodes: list[str]
    timing: Timing
    calls: list[Call]
    steps: list[Step]


def without_times(step: Step) -> Step:
    """The step without its time. A note keeps its time."""
    return step if isinstance(step, Note) else replace(step, at_us=None)


def keep(execution: Execution, kept: Sequence[int], *, redirect: bool = False) -> Execution:
    """The execution with only the steps of these numbers, in ascending order, renumbered.

    A step that refers to a removed step is removed too: a message that was never sent cannot arrive. With `redirect`, a
    delivery refers to the last kept step of the same node before the removed one instead. Calls that no step names are
    removed.
    """
    number: dict[int, int] = {}
    stand_in = _stand_ins(execution, kept) if redirect else {}
    steps: list[Step] = []
    for old in kept:
        step = _renumbered(execution.steps[old], number, stand_in)
        if step is not None:
            number[old] = len(steps)
            steps.append(step)
    named = {step.call for step in steps if isinstance(step, Submit | Invoke | Return)}
    return replace(execution, steps=steps, calls=[call for call in execution.calls if call.id in named])


def _stand_ins(execution: Execution, kept: Sequence[int]) -> dict[int, int]:
    """For each removed step, the last kept step of the same node before it. Damage to its disk sends nothing."""
    staying, last, stand_in = set(kept), dict[str, int](), dict[int, int]()
    for number, step in enumerate(execution.steps):
        if isinstance(step, NodeStep) and not isinstance(step, BreakDisk | DamageData):
            if number in staying:
                last[step.node] = number
            elif step.node in last:
                stand_in[number] = last[step.node]
    return stand_in


def _renumbered(step: Step, number: Mapping[int, int], stand_in: Mapping[int, int]) -> Step | None:
    """The step with its reference renumbered; None if it refers to a removed step."""
    match step:
        case Deliver():
            sent_by = number.get(stand_in.get(step.sent_by, step.sent_by))
            return None if sent_by is None else step if sent_by == step.sent_by else replace(step, sent_by=sent_by)
        case Return(_, int(answer)):
            return replace(step, answer=number[answer]) if answer in number else None
        case _:
            return step


class ExecutionError(Exception):
    """An invalid execution. The message names the step, what is wrong, and what was expected."""


class NotPlayableError(Exception):
    """This driver cannot play this execution; the message says why. This is no fault of the execution."""


def check(execution: Execution) -> None:
    """Raises ExecutionError for an execution that cannot be played: unknown names, references to later steps."""
    _check_nodes(execution.nodes)
    _check_calls(execution.calls)
    nodes, calls = set(execution.nodes), {call.id for call in execution.calls}
    for number, step in enumerate(execution.steps):
        wrong = ""
        if isinstance(step, NodeStep) and step.node not in nodes:
            wrong = f"node {step.node!r} is unknown; expected one of {', '.join(execution.nodes)}"
        elif isinstance(step, Transfer) and step.to is not None and step.to not in nodes:
            wrong = f"to: node {step.to!r} is unknown; expected one of {', '.join(execution.nodes)}"
        elif isinstance(step, Submit | Invoke | Return) and step.call not in calls:
            wrong = f"call {step.call!r} is unknown"
        elif isinstance(step, Start) and (step.dies_after or 0) < 0:
            wrong = f"dies_after: expected 0 or more, got {step.dies_after}"
        elif isinstance(step, Crash) and step.keep_bytes < 0:
            wrong = f"keep_bytes: expected 0 or more, got {step.keep_bytes}"
        elif isinstance(step, Crash) and not 0 <= step.holes <= ALL_HOLES:
            wrong = f"holes: expected 0 to {ALL_HOLES}, got {step.holes}"
        elif isinstance(step, DamageData) and not 0 <= step.damage.at_permille <= WHOLE_PERMILLE:
            wrong = f"at_permille: expected 0 to {WHOLE_PERMILLE}, got {step.damage.at_permille}"
        elif isinstance(step, Deliver) and not (0 <= step.sent_by < number and step.nth >= 0):
            wrong = f"expected a message of an earlier step, got message {step.nth} of step {step.sent_by}"
        elif isinstance(step, Deliver) and not all(0 <= place < 1 for place in step.flips):
            wrong = f"flips: expected shares of the frame's length, from 0 to less than 1, got {step.flips}"
        elif isinstance(step, Return) and step.answer is not None and not _submits(execution, number, step):
            wrong = f"expected the answer to an earlier step that submits {step.call!r}, got that to step {step.answer}"
        elif isinstance(step, Return) and step.type not in ("info", "fail"):
            wrong = f'type: expected "info" or "fail", got {step.type!r}'
        elif isinstance(step, Note) and isinstance(step.event, NodeExited | NodeKilled | NodeLaunched):
            wrong = "event: a note cannot start, kill or end a node; use a start or crash step"
        elif isinstance(step, Note) and step.event.node != HARNESS:
            wrong = f"event: expected an event of {HARNESS!r}, got one of {step.event.node!r}"
        elif not 0 <= (at_us := _at_us(step)) <= MOST_US:
            wrong = f"at_us: expected 0 to {MOST_US}, got {at_us}"
        if wrong:
            raise ExecutionError(f"step {number} ({type(step).__struct_config__.tag}): {wrong}")


def _check_nodes(nodes: Sequence[str]) -> None:
    if not nodes or len(set(nodes)) != len(nodes):
        raise ExecutionError(f"nodes: expected at least one name, each only once, got {nodes}")
    for name in nodes:
        if not re.fullmatch(r"[A-Za-z0-9_-]+", name):
            # The name is also the name of the node's folder.
            raise ExecutionError(f"nodes: {name!r} is not a valid name; expected letters, digits, - and _")


def _check_calls(calls: Sequence[Call]) -> None:
    """Serials must be unique in a session: a node would answer the second command with the result of the first."""
    ids, commands = set[str](), set[tuple[str, int]]()
    for call in calls:
        if call.id in ids:
            raise ExecutionError(f"calls: {call.id!r} occurs twice; expected each id only once")
        ids.add(call.id)
        if not 0 <= call.serial <= MOST_US or not OUTSIDE <= call.process <= MOST_US:
            raise ExecutionError(f"call {call.id!r}: serial and process: expected {OUTSIDE} or 0 to {MOST_US}")
        if (call.f == "change") is not (call.change is not None and call.process == OUTSIDE):
            raise ExecutionError(f"call {call.id!r}: change: expected one with f change, outside of the history")
        if call.f in QUEUE_FUNCTIONS:
            raise ExecutionError(f"call {call.id!r}: f: our Raft has no {call.f}; expected an operation on a key")
        if call.consistency is not None and call.f != "get":
            raise ExecutionError(f"call {call.id!r}: consistency: expected none, which only a get can have")
        if isinstance(call.value, str) != (call.f in ("put", "append", "cas")) or isinstance(call.value, list):
            raise ExecutionError(f"call {call.id!r}: value: got {call.value!r}, which {call.f} cannot have")
        if isinstance(call.expected, list) or (call.expected is not None and call.f != "cas"):
            raise ExecutionError(f"call {call.id!r}: expected: got {call.expected!r}, which {call.f} cannot have")
        if call.session is not None:
            if (call.session, call.serial) in commands:
                raise ExecutionError(f"call {call.id!r}: another call has serial {call.serial} of {call.session} too")
            commands.add((call.session, call.serial))


def _submits(execution: Execution, number: int, step: Return) -> bool:
    """Whether `step.answer` is an earlier step that submits the command of the same call."""
    if step.answer is None or not 0 <= step.answer < number:
        return False
    submitted = execution.steps[step.answer]
    return isinstance(submitted, Submit) and submitted.call == step.call


def _at_us(step: Step) -> int:
    return step.event.t_us if isinstance(step, Note) else step.at_us or 0
