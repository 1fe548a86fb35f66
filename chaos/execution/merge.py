"""The execution of a live run: its nodes' journals, put into one order that respects what happened before what.

Each journal is in its node's own order, the history in that of the clients, and all have times of the machine's one
monotonic clock. Merged by time they are nearly in order; a step that needs another one (a message its sender's turn, an
answer the command) waits for it whatever the times say. Each step is played at once, and what a turn comes to must be
what the journal says of it: so the merged execution is the run, and not one that resembles it.

What a crash left on a disk follows from where the node's next incarnation found the end of its log.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from raft_chaos.chaos.execution.player import Played, Player
from raft_chaos.chaos.execution.recording import OF_NODES, Calls, Recording
from raft_chaos.chaos.execution.steps import Crash, Deliver, Execution, Note, Persist, Start, Step, Submit, Timeout
from raft_chaos.chaos.run.nodes.stepped_node import StepConfig, SteppedNode, StepReport
from raft_chaos.chaos.run.sim.recorder import LineSink
from raft_chaos.invariants.events import AnyEvent, NodeExited, NodeKilled, NodeSampled
from raft_chaos.invariants.history import Op
from raft_chaos.invariants.rundir import RunDir
from raft_chaos.raft.replica.inputs import Input, Persisted, Received, Submitted, Ticked
from raft_chaos.raft.replica.machine import decode_command
from raft_chaos.raft.replica.replica import Output
from raft_chaos.raft.server.node import Parts
from raft_chaos.raft.state.timing import Timing
from raft_chaos.raft.storage import journal
from raft_chaos.raft.storage.disk import MemoryDisk
from raft_chaos.raft.storage.journal import JournalError, Turn, digest_of, read_journal
from raft_chaos.raft.storage.wal import FILE

_UNNOTED = (*OF_NODES, NodeSampled)
"""Of the harness's events those that follow from the steps, and those that say nothing of Raft."""


class MergeError(Exception):
    """The journals of a run cannot be put together, or do not say what its nodes do: says where, and what."""


@dataclass(frozen=True)
class Merged:
    """The run's execution, what it came to when it was played, and how many turns were equal to the recorded ones.

    `remarks` name what the journals cannot show.
    """

    execution: Execution
    played: Played
    turns: int
    remarks: list[str]


@dataclass
class _Item:
    """What is next in one stream, its time, whether what it needs is there, and how it is done."""

    at_us: int
    is_ready: Callable[[], bool]
    do: Callable[[], None]
    what: str


@dataclass
class _Life:
    """One incarnation: how it began, its turns, and when it was killed, if it was."""

    start: journal.Start
    turns: deque[Turn]
    killed_at_us: int | None = None


class Merge:
    """Puts the run's journals together while it plays them; `go` returns all of it. Lines go to `sink`."""

    def __init__(self, run: RunDir, timing: Timing, parts: Parts, sink: LineSink | None = None) -> None:
        info = run.load_info()
        self._recording = Recording()
        self._driver = _WitnessedDriver(parts)
        self._harness = run.harness_events()
        self._operations = run.operations()
        self._lives = {node: _lives(run, node, self._harness) for node in info.nodes}
        self._frame = Execution(seed=info.seed, nodes=info.nodes, timing=timing, calls=[], steps=[])
        self._player = Player(self._frame, self._driver, recorder=sink, acted=self._acted)
        self._sent: dict[tuple[str, int], int] = {}  # (node, incarnation) -> messages that it numbered so far
        self._turn: Turn | None = None
        self._turns = 0
        clients = Calls()
        for op in self._operations:
            if op.type == "invoke":
                clients.invoked(op)
        self._invocations = clients.by_command.keys()

    def go(self) -> Merged:
        """Raises MergeError."""
        streams: list[Iterator[_Item]] = [
            *(self._node(node, lives) for node, lives in self._lives.items()),
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
        """The earliest of those for which everything is there."""
        for place, item in sorted(heads.items(), key=lambda head: (head[1].at_us, head[0])):
            if item.is_ready():
                return place, item
        first = min(heads.values(), key=lambda item: item.at_us)
        raise MergeError(f"{first.what} at {first.at_us} µs needs something that no journal has")

    # ---- nodes ----------------------------------------------------------------------------------------------------

    def _node(self, node: str, lives: Sequence[_Life]) -> Iterator[_Item]:
        for place, life in enumerate(lives):
            start = life.start
            what = f"{node}, incarnation {start.incarnation}"
            if not life.turns:
                continue  # killed before it did anything
            yield _Item(start.now_us, _always, lambda life=life: self._start(node, life), what)  # type: ignore[misc]
            while life.turns:
                turn = life.turns.popleft()
                yield _Item(
                    turn.at_us,
                    lambda turn=turn: self._is_ready(turn),  # type: ignore[misc]
                    lambda turn=turn, life=life: self._take(node, life.start.incarnation, turn),  # type: ignore[misc]
                    what,
                )
            if place + 1 < len(lives):
                after = lives[place + 1].start
                at_us = life.killed_at_us if life.killed_at_us is not None else after.now_us
                yield _Item(at_us, _always, lambda at_us=at_us, after=after: self._crash(node, at_us, after), what)  # type: ignore[misc]

    def _start(self, node: str, life: _Life) -> None:
        self._turn = life.turns.popleft()
        self._do(Start(node, life.start.now_us))

    def _crash(self, node: str, at_us: int, after: journal.Start) -> None:
        synced = self._driver.synced_bytes(node)
        self._do(Crash(node, max(0, after.log_size - synced), at_us))

    def _is_ready(self, turn: Turn) -> bool:
        return all(map(self._is_there, turn.inputs))

    def _is_there(self, given: Input) -> bool:
        """Whether what the input needs has happened: its message was sent, its command's call invoked."""
        match given:
            case Received(sender, sender_inc, number):
                return self._recording.has(sender, sender_inc, number)
            case Submitted(encoded):
                command = decode_command(encoded)
                name = (command.client or "", command.serial)
                return name not in self._invocations or name in self._recording.calls.by_command
        return True

    def _take(self, node: str, incarnation: int, turn: Turn) -> None:
        """The inputs of a turn, of which the last lets the node act."""
        self._turn = turn
        for place, given in enumerate(turn.inputs, 1):
            self._do(self._step(node, given, more=place < len(turn.inputs)))
        if not turn.digest and self._player.nodes[node].state == "up":
            raise MergeError(
                f"{node}, incarnation {incarnation}: died of an error at {turn.at_us} µs, but does not now"
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
                self._player.know(call)
                return Submit(node, call.id, now_us, more)

    def _acted(self, number: int, report: StepReport) -> None:
        """Compares what a turn came to, and numbers its messages as the live node did."""
        step, turn = self._recording.steps[number], self._turn
        assert turn is not None
        assert isinstance(step, Start | Deliver | Timeout | Persist | Submit)
        node = self._player.nodes[step.node]
        digest = self._driver.witnesses[node.name].digest
        if digest != turn.digest:
            raise MergeError(
                f"{node.name}, incarnation {node.incarnation}: at {turn.at_us} µs it comes to something else now; "
                "raft-chaos replay shows what"
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
            self._player.know(self._recording.calls.by_id[op.op])
        self._play(number)

    def _notes(self) -> Iterator[_Item]:
        for event in self._harness:
            if not isinstance(event, _UNNOTED):
                yield _Item(event.t_us, _always, lambda event=event: self._do(Note(event)), "the harness")  # type: ignore[misc]

    def _remarks(self) -> list[str]:
        """Ends that no input brought about: a signal from elsewhere, say."""
        return [
            f"{event.subject}, incarnation {event.subject_inc}, ended by itself with exit code {event.exit_code}; "
            "no input in its journal brings that about"
            for event in self._harness
            if isinstance(event, NodeExited) and self._player.nodes[event.subject].state != "exited"
        ]

    # ---- one step -------------------------------------------------------------------------------------------------

    def _do(self, step: Step) -> None:
        self._play(self._recording.add(step))

    def _play(self, number: int) -> None:
        step = self._recording.steps[number]
        if why := self._player.do(number, step):
            raise MergeError(f"step {number} ({step.__struct_config__.tag}): {why}")


def _always() -> bool:
    return True


def _lives(run: RunDir, node: str, harness: Sequence[AnyEvent]) -> list[_Life]:
    """The incarnations of a node that got to their start."""
    killed = {e.subject_inc: e.t_us for e in harness if isinstance(e, NodeKilled) and e.subject == node}
    journals = run.journals().get(node, [])
    if not journals:
        raise MergeError(f"{run.node(node)}: no journals; the run was made without, or by a target that keeps none")
    lives: list[_Life] = []
    for incarnation, file in journals:
        try:
            records = list(read_journal(file))
        except JournalError as error:
            raise MergeError(str(error)) from None
        if not records:
            continue
        start, *turns = records
        assert isinstance(start, journal.Start)
        if start.incarnation != len(lives) + 1:
            raise MergeError(f"{file}: incarnation {start.incarnation} follows incarnation {len(lives)}")
        lives.append(_Life(start, deque(t for t in turns if isinstance(t, Turn)), killed.get(incarnation)))
    return lives


# ---- nodes that show what they come to -------------------------------------------------------------------------------


@dataclass
class _Witness:
    """Keeps the digest of a node's last output."""

    digest: bytes = b""

    def start(self, start: journal.Start) -> None:
        """Known from the journal."""

    def took(self, given: Input, /) -> None:
        """It is told by whoever gives it."""

    def acted(self, output: Output, at_us: int, unsent: Sequence[int], stopped_at: str | None) -> None:
        self.digest = digest_of(output)

    def clock_changed(self, now_us: int, rate_ppm: int, jump_us: int) -> None:
        """No live clock does."""


@dataclass
class _WitnessedDriver:
    """Nodes in this process, each with a witness, over disks in memory that outlive them."""

    parts: Parts
    witnesses: dict[str, _Witness] = field(default_factory=dict)
    _disks: dict[str, MemoryDisk] = field(default_factory=dict)

    def start(self, config: StepConfig, now_us: int) -> Any:
        disk = self._disks.setdefault(config.node, MemoryDisk())
        witness = self.witnesses[config.node] = _Witness()
        return SteppedNode(config, self.parts, disk, now_us, witness)

    def synced_bytes(self, node: str) -> int:
        """How much of its log a power cut now would leave."""
        return len(self._disks[node].files[FILE])
