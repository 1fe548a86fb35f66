"""Merges the journals of a live run into one execution that respects happens-before.

Each journal is in its node's own order, and the history is in the clients' order. All have times of the machine's one
monotonic clock. A merge by time is nearly in order. A step that depends on another one (a message on its sender's turn,
an answer on its command) waits for it, whatever the times are. Each step is played immediately, and the result of each
turn must equal the journal's record. So the merged execution is exactly the run.

The bytes that a crash left on the disk follow from the log size that the node's next incarnation recovered.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from raft_chaos.chaos.execution.player import Played, Player
from raft_chaos.chaos.execution.recording import LIFECYCLE_EVENTS, Calls, Recording
from raft_chaos.chaos.execution.steps import (
    Crash,
    Deliver,
    Execution,
    Note,
    Persist,
    Start,
    Step,
    Stop,
    Submit,
    Timeout,
    Transfer,
)
from raft_chaos.chaos.run.nodes.driver import ASKED
from raft_chaos.chaos.run.nodes.memory_driver import MemoryDriver
from raft_chaos.chaos.run.nodes.step import StepReport
from raft_chaos.chaos.run.nodes.stepped_node import StepObserver
from raft_chaos.chaos.run.sim.recorder import LineSink
from raft_chaos.invariants.events import AnyEvent, NodeExited, NodeKilled, NodeSampled
from raft_chaos.invariants.history import Op
from raft_chaos.invariants.rundir import RunDir
from raft_chaos.raft.replica.command import Command, Read, decode_command
from raft_chaos.raft.replica.inputs import Input, Persisted, ReadAsked, Received, Submitted, Ticked, TransferAsked
from raft_chaos.raft.replica.output import Output
from raft_chaos.raft.server.parts import Parts
from raft_chaos.raft.state.configuration import decode_change
from raft_chaos.raft.state.timing import Timing
from raft_chaos.raft.storage import journal
from raft_chaos.raft.storage.journal import JournalError, Turn, digest_of, read_journal
from raft_chaos.raft.storage.log_file import FILE, base_of

_NOT_NOTED = (*LIFECYCLE_EVENTS, NodeSampled)
"""Events of the harness that are not noted: they follow from the steps, or say nothing about Raft."""


class MergeError(Exception):
    """The journals of a run do not fit together, or differ from what the nodes do now. The message says where."""


@dataclass(frozen=True)
class Merged:
    """The run's execution, the result of playing it, and the number of turns that were equal to the recorded ones.

    `remarks` name what the journals cannot show.
    """

    execution: Execution
    played: Played
    turns: int
    remarks: list[str]


@dataclass
class _Item:
    """The next item of a stream: its time, whether everything that it depends on has happened, and what to do."""

    at_us: int
    is_ready: Callable[[], bool]
    do: Callable[[], None]
    what: str


@dataclass
class _Incarnation:
    """One incarnation: its start, its turns, and when it was killed, or ended as it was asked to, if it did. All times
    but that of the start itself are the run's.

    One without turns was killed before it did anything, and perhaps before it recorded its `start`.
    """

    number: int
    start: journal.Start | None
    turns: deque[Turn]
    killed_at_us: int | None = None
    stopped_at_us: int | None = None

    def __post_init__(self) -> None:
        self.began_us = self.turns[0].at_us if self.turns else self.killed_at_us or 0


class Merge:
    """Merges the run's journals while it plays them. `go` returns the result. Lines of the run go to `sink`."""

    def __init__(self, run: RunDir, timing: Timing, parts: Parts, sink: LineSink | None = None) -> None:
        info = run.load_info()
        self._recording = Recording()
        self._driver = _ObservedDriver(parts)
        self._harness = run.harness_events()
        self._operations = run.operations()
        self._incarnations = {node: _incarnations(run, node, self._harness) for node in info.nodes}
        self._frame = Execution(seed=info.seed, nodes=info.nodes, timing=timing, calls=[], steps=[])
        self._player = Player(self._frame, self._driver, recorder=sink)
        self._sent: dict[tuple[str, int], int] = {}  # (node, incarnation) -> number of its last message
        self._turn: Turn | None = None
        self._turns = 0
        clients = Calls()
        for op in self._operations:
            if op.type == "invoke":
                clients.invoked(op)
        self._invocations = clients.by_command.keys()

    def go(self) -> Merged:
        """Merges and plays all journals. Raises MergeError."""
        streams: list[Iterator[_Item]] = [
            *(self._node(node, incarnations) for node, incarnations in self._incarnations.items()),
            self._clients(),
            self._notes(),
        ]
        heads: dict[int, _Item] = {}
        while True:
            for place, stream in enumerate(streams):
                if place not in heads and (item := next(stream, None)) is not None:
                    heads[place] = item
            if not heads:
                break
            place, item = self._next(heads)
            del heads[place]
            item.do()
        execution = self._recording.execution(self._frame.seed, self._frame.nodes, self._frame.timing)
        played = self._player.played(list(range(len(execution.steps))))
        return Merged(execution, played, self._turns, self._remarks())

    def _next(self, heads: dict[int, _Item]) -> tuple[int, _Item]:
        """The earliest item that is ready."""
        for place, item in sorted(heads.items(), key=lambda head: (head[1].at_us, head[0])):
            if item.is_ready():
                return place, item
        first = min(heads.values(), key=lambda item: item.at_us)
        raise MergeError(f"{first.what} at {first.at_us} µs depends on something that no journal has")

    # ---- nodes ----------------------------------------------------------------------------------------------------

    def _node(self, node: str, incarnations: Sequence[_Incarnation]) -> Iterator[_Item]:
        for place, one in enumerate(incarnations):
            start, what = one.start, f"{node}, incarnation {one.number}"
            if start is None or not one.turns:
                at_us = one.killed_at_us or 0
                yield _Item(at_us, _always, lambda at_us=at_us: self._do(Start(node, at_us, dies_after=0)), what)  # type: ignore[misc]
                continue
            yield _Item(one.began_us, _always, lambda one=one: self._start(node, one), what)  # type: ignore[misc]
            while one.turns:
                turn = one.turns.popleft()
                yield _Item(
                    turn.at_us,
                    lambda turn=turn: self._is_ready(turn),  # type: ignore[misc]
                    lambda turn=turn, one=one: self._take(node, one.number, turn),  # type: ignore[misc]
                    what,
                )
            if one.stopped_at_us is not None:
                at_us = one.stopped_at_us
                yield _Item(at_us, _always, lambda at_us=at_us: self._do(Stop(node, at_us)), what)  # type: ignore[misc]
            elif (after := _recovered_next(incarnations[place + 1 :])) is not None:
                at_us = one.killed_at_us if one.killed_at_us is not None else after.began_us
                yield _Item(at_us, _always, lambda at_us=at_us, after=after: self._crash(node, at_us, after), what)  # type: ignore[misc]

    def _start(self, node: str, one: _Incarnation) -> None:
        assert one.start is not None
        self._turn = one.turns.popleft()
        self._do(Start(node, one.start.now_us))

    def _crash(self, node: str, at_us: int, after: _Incarnation) -> None:
        assert after.start is not None, "it recovered its log"
        log = after.start.files.get(FILE)
        if log is not None and base_of(log) > base_of(self._driver.disk(node).read(FILE)):
            # The snapshot was saved, and the node died before it said so.
            saved = Persist(node, at_us, stop="after_sync")
            if why := self._player.do(self._recording.add(saved), saved):
                raise MergeError(f"{node}: recovered a snapshot that it had not taken: {why}")
        synced = self._driver.synced_bytes(node)
        self._do(Crash(node, max(0, after.start.log_size - synced), at_us))

    def _is_ready(self, turn: Turn) -> bool:
        return all(map(self._is_there, turn.inputs))

    def _is_there(self, given: Input) -> bool:
        """Whether the input can happen: its message was sent, or the call of its command or read was invoked."""
        match given:
            case Received(sender, sender_inc, number):
                return self._recording.has(sender, sender_inc, number)
            case Submitted(encoded):
                return decode_change(encoded) is not None or self._is_invoked(decode_command(encoded))
            case ReadAsked(read):
                return self._is_invoked(read)
        return True

    def _is_invoked(self, asked: Command | Read) -> bool:
        name = (asked.client or "", asked.serial)
        return name not in self._invocations or name in self._recording.calls.by_command

    def _take(self, node: str, incarnation: int, turn: Turn) -> None:
        """Plays the inputs of a turn. The node acts after the last one."""
        self._turn = turn
        for place, given in enumerate(turn.inputs, 1):
            self._do(self._step(node, given, more=place < len(turn.inputs)))
        if not turn.digest and self._player.nodes[node].state == "up":
            raise MergeError(
                f"{node}, incarnation {incarnation}: the recorded node died of an error at {turn.at_us} µs; "
                "the replayed node does not"
            )

    def _step(self, node: str, given: Input, *, more: bool) -> Step:
        match given:
            case Received(sender, sender_inc, number, _, now_us):
                sent_by, nth = self._recording.message(sender, sender_inc, number)
                return Deliver(sent_by, node, nth, now_us, more)
            case Ticked(now_us):
                return Timeout(node, now_us, more)
            case Persisted(_, now_us):
                return Persist(node, now_us, more)
            case Submitted(command, now_us):
                call = self._recording.calls.of_command(command)
                self._player.calls[call.id] = call
                return Submit(node, call.id, now_us, more)
            case ReadAsked(read, now_us):
                call = self._recording.calls.of_read(read)
                self._player.calls[call.id] = call
                return Submit(node, call.id, now_us, more)
            case TransferAsked(target, now_us):
                return Transfer(node, target, now_us, more)

    def _acted(self, number: int, report: StepReport) -> None:
        """Compares the output of a turn with the journal, and numbers its messages as the live node did."""
        step, turn = self._recording.steps[number], self._turn
        assert turn is not None
        assert isinstance(step, Start | Deliver | Timeout | Persist | Submit | Transfer)
        node = self._player.nodes[step.node]
        digest = self._driver.observers[node.name].digest
        if digest != turn.digest:
            raise MergeError(
                f"{node.name}, incarnation {node.incarnation}: at {turn.at_us} µs its output differs from the "
                "recorded one; raft-chaos replay shows the difference"
            )
        self._turns += 1
        unsent, numbers = set(turn.unsent), list[tuple[str, int | None]]()
        sent = self._sent.get((node.name, node.incarnation), 0)
        for place, (to, _, _) in enumerate(report.sends):
            sent += place not in unsent
            numbers.append((to, None if place in unsent else sent))
        self._sent[node.name, node.incarnation] = sent
        self._recording.sent(number, node.name, node.incarnation, numbers)
        for reply in report.replies:
            self._recording.answered(reply)

    # ---- clients and the harness ----------------------------------------------------------------------------------

    def _clients(self) -> Iterator[_Item]:
        for op in self._operations:
            yield _Item(
                op.t_us,
                lambda op=op: self._recording.can_end(op),  # type: ignore[misc]
                lambda op=op: self._operation(op),  # type: ignore[misc]
                f"{op.op} ({op.type})",
            )

    def _operation(self, op: Op) -> None:
        number = len(self._recording.steps)
        self._recording.operation(op)
        if op.type == "invoke":
            self._player.calls[op.op] = self._recording.calls.by_id[op.op]
        self._play(number)

    def _notes(self) -> Iterator[_Item]:
        for event in self._harness:
            if not isinstance(event, _NOT_NOTED):
                yield _Item(event.t_us, _always, lambda event=event: self._do(Note(event)), "the harness")  # type: ignore[misc]

    def _remarks(self) -> list[str]:
        """Remarks on ends that no input caused, for example a signal from outside."""
        return [
            f"{event.subject}, incarnation {event.subject_inc}, ended by itself with exit code {event.exit_code}; "
            "no input in its journal causes that"
            for event in self._harness
            if isinstance(event, NodeExited)
            and not event.excused
            and self._player.nodes[event.subject].state != "exited"
        ]

    # ---- one step -------------------------------------------------------------------------------------------------

    def _do(self, step: Step) -> None:
        self._play(self._recording.add(step))

    def _play(self, number: int) -> None:
        step = self._recording.steps[number]
        if why := self._player.do(number, step):
            raise MergeError(f"step {number} ({step.__struct_config__.tag}): {why}")
        if self._player.report is not None:
            self._acted(number, self._player.report)


def _always() -> bool:
    return True


def _incarnations(run: RunDir, node: str, harness: Sequence[AnyEvent]) -> list[_Incarnation]:
    """The incarnations of a node that recorded their start."""
    killed = {e.subject_inc: e.t_us for e in harness if isinstance(e, NodeKilled) and e.subject == node}
    exits = [e for e in harness if isinstance(e, NodeExited) and e.subject == node]
    stopped = {e.subject_inc: e.t_us for e in exits if e.excused == ASKED}
    journals = run.journals().get(node, [])
    if not journals:
        raise MergeError(
            f"{run.node(node)}: no journals; the run was made without them, or its target does not keep any"
        )
    incarnations: list[_Incarnation] = []
    for incarnation, file in journals:
        try:
            records = list(read_journal(file))
        except JournalError as error:
            raise MergeError(str(error)) from None
        # One that was killed in its start left a number, and perhaps a journal without records.
        missing = range(len(incarnations) + 1, incarnation + (not records))
        if unkilled := [number for number in missing if number not in killed]:
            raise MergeError(f"{file}: incarnation {incarnation} follows incarnation {unkilled[0] - 1}")
        incarnations += [_Incarnation(number, None, deque(), killed[number]) for number in missing]
        if not records:
            continue
        start, *turns = records
        assert isinstance(start, journal.Start)
        if start.incarnation != incarnation:
            raise MergeError(f"{file}: this is the journal of incarnation {start.incarnation}")
        incarnations.append(
            _Incarnation(
                incarnation,
                start,
                deque(t for t in turns if isinstance(t, Turn)),
                killed.get(incarnation),
                stopped.get(incarnation),
            )
        )
    return incarnations


def _recovered_next(later: Sequence[_Incarnation]) -> _Incarnation | None:
    """The next incarnation that recovered its log; None if none did."""
    return next((one for one in later if one.start is not None), None)


# ---- nodes whose outputs are observed --------------------------------------------------------------------------------


@dataclass
class _LastDigest:
    """Keeps the digest of a node's last output."""

    digest: bytes = b""

    def start(self, start: journal.Start) -> None:
        """Not needed: the journal has it."""

    def took(self, given: Input, /) -> None:
        """Not needed: the merge gives the inputs."""

    def acted(self, output: Output, at_us: int, unsent: Sequence[int], stopped_at: str | None) -> None:
        self.digest = digest_of(output)

    def clock_changed(self, now_us: int, rate_ppm: int, jump_us: int) -> None:
        """Not needed: the inputs have the times of the node's own clock."""


class _ObservedDriver(MemoryDriver):
    """Keeps the digest of each node's last output."""

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts)
        self.observers: dict[str, _LastDigest] = {}

    def _observer(self, node: str) -> StepObserver:
        observer = self.observers[node] = _LastDigest()
        return observer

    def synced_bytes(self, node: str) -> int:
        """The size of the node's synced log, which a power cut would leave."""
        return len(self.disk(node).files[FILE])
