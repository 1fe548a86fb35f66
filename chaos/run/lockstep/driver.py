"""Runs each incarnation of a node in a process of its own, and steps it.

The scheduler sends an order, and continues after its answer: no two steps of a run ever overlap. A crash begins with an
order to the node, which writes to its real file the bytes that survive; then SIGKILL ends its whole group. Before that
all frames that the node has announced must be at the gate, since a killed process sends nothing more.

An error here is a DriverError, which says nothing about the node; only a node's own death is a NodeDiedError.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from raft_chaos.chaos.faults.damage import Damage
from raft_chaos.chaos.faults.process import Failpoint
from raft_chaos.chaos.processes.first_steps import MainOf
from raft_chaos.chaos.processes.supervisor import PRELOAD, Child, Supervisor
from raft_chaos.chaos.run.lockstep.control import (
    Answer,
    AskRead,
    AskTransfer,
    BreakDisk,
    ChangeClock,
    Channel,
    ClockChanged,
    Crash,
    Crashed,
    Died,
    DiskBroken,
    Diverged,
    Interrupted,
    NodeSetup,
    Order,
    Persisted,
    Receive,
    Refused,
    Report,
    Stop,
    Stopped,
    Submit,
    Tick,
    Up,
    decode_answer,
)
from raft_chaos.chaos.run.lockstep.gate import PATIENCE_S, DivergenceError, Gate
from raft_chaos.chaos.run.nodes.damage import damage_node
from raft_chaos.chaos.run.nodes.driver import DriverError, NodeDiedError
from raft_chaos.chaos.run.nodes.interrupted_disk import InterruptedNodeError
from raft_chaos.chaos.run.nodes.step import StepConfig, StepReport
from raft_chaos.invariants.events import AnyEvent
from raft_chaos.invariants.rundir import RunDir
from raft_chaos.raft.network.handshake import read_secret
from raft_chaos.raft.replica.command import Read
from raft_chaos.raft.server.exit_codes import EXIT_CRASHED
from raft_chaos.raft.storage.failing import Failing

NODE_MAIN = MainOf("run.lockstep.node_process:node_main")
PRELOADED = (*PRELOAD, "raft_chaos.chaos.run.lockstep.node_process")
"""What the fork server imports for a run in this world, and for one in live that may follow."""

_A = TypeVar("_A", bound=Answer)

_decode_lines = msgspec.json.Decoder(AnyEvent).decode_lines


class LockstepDriver:
    """Starts incarnations in `run`'s folders. A context manager: at a normal end it checks all links to their end.

    After an error it only closes its sockets; the supervisor ends the processes. With a `secret_file` the nodes prove
    to each other that they know the secret in it, through the gate.
    """

    def __init__(
        self, run: RunDir, mutant: str | None, supervisor: Supervisor, secret_file: Path | None = None
    ) -> None:
        self.gate = Gate(read_secret(secret_file) if secret_file is not None else None)
        self._secret_file = str(secret_file) if secret_file is not None else None
        self.living: dict[str, LockstepNode] = {}
        self._run = run
        self._mutant = mutant
        self._supervisor = supervisor

    def __enter__(self) -> LockstepDriver:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self.finish()
        finally:
            for node in self.living.values():
                node.let_go()
            self.gate.close()

    def start(self, config: StepConfig, now_us: int) -> LockstepNode:
        """Raises NodeDiedError if the node dies before it is up, InterruptedNodeError if it was to, otherwise
        DriverError."""
        folder = self._run.node(config.node)
        with _no_fault_of(config.node):
            setup = NodeSetup(
                config=config,
                links=self.gate.addresses(config.node, config.peers),
                data_dir=str(folder / "data"),
                events_file=str(self._run.node_events(config.node, config.incarnation)),
                journal_file=str(self._run.node_journal(config.node, config.incarnation)),
                mutant=self._mutant,
                now_us=now_us,
                secret_file=self._secret_file,
            )
            folder.mkdir(parents=True, exist_ok=True)
            ours, theirs = self._supervisor.pipe()
            with ours, theirs:
                child = self._supervisor.start(config.node, NODE_MAIN, setup, theirs, stderr=folder / "stderr.log")
                return LockstepNode(self, config, child, Channel(ours, PATIENCE_S))

    def damage(self, node: str, damage: Damage) -> str:
        """Damages the real folder of a node that is down."""
        with _no_fault_of(node):
            return damage_node(self._run, node, damage)

    def finish(self) -> None:
        """Ends all nodes, and reads every link to its end. Raises DivergenceError for an unannounced frame."""
        for node in list(self.living.values()):
            node.end()


class LockstepNode:
    """One incarnation in its process: a `DrivenNode`."""

    def __init__(self, driver: LockstepDriver, config: StepConfig, child: Child, control: Channel) -> None:
        self.name = config.node
        self.incarnation = config.incarnation
        self._peers = config.peers
        self._driver = driver
        self._gate = driver.gate
        self.pid = child.pid
        self._child = child
        self._control = control
        self._is_up = False
        driver.living[self.name] = self
        self._gate.greet(self.name, self.incarnation, self._peers, control.fileno())
        answer = self._answer(Up)
        self._gate.came_up(self.name, self.incarnation, self._peers, answer.raft_port)
        self._is_up = True
        self.first = self._took(answer.report)

    # ---- inputs ---------------------------------------------------------------------------------------------------

    def receive(
        self, sender: str, sender_inc: int, number: int, message: Any, now_us: int, failpoint: Failpoint | None
    ) -> StepReport:
        """The frame is at the gate; `message` is None."""
        with _no_fault_of(self.name):
            try:
                self._gate.deliver(sender, sender_inc, number, self.name)
            except ConnectionError:
                pass  # it has ended by itself; the answer will say so
            return self._took(
                self._ask(Receive(sender, sender_inc, number, now_us, failpoint, corrupted=False), Report)
            )

    def receive_corrupted(
        self,
        sender: str,
        sender_inc: int,
        number: int,
        message: Any,
        flips: Sequence[float],
        now_us: int,
        failpoint: Failpoint | None,
    ) -> StepReport | None:
        """The frame goes over the wire with flipped bits, and the real node refuses it, or does not."""
        with _no_fault_of(self.name):
            try:
                self._gate.deliver(sender, sender_inc, number, self.name, flips)
            except ConnectionError:
                pass  # as above
            order = Receive(sender, sender_inc, number, now_us, failpoint, corrupted=True)
            answer = self._ask(order, Report, Refused)
            if isinstance(answer, Report):
                return self._took(answer)
            self._gate.refused(sender, self.name)
            return None

    def tick(self, now_us: int, failpoint: Failpoint | None) -> StepReport:
        return self._step(Tick(now_us, failpoint))

    def persisted(self, lsn: int, now_us: int, failpoint: Failpoint | None) -> StepReport:
        return self._step(Persisted(lsn, now_us, failpoint))

    def submit(self, token: int, command: bytes, now_us: int, failpoint: Failpoint | None) -> StepReport:
        return self._step(Submit(token, command, now_us, failpoint))

    def read(self, token: int, read: Read, now_us: int, failpoint: Failpoint | None) -> StepReport:
        return self._step(AskRead(token, read, now_us, failpoint))

    def transfer(self, target: str | None, now_us: int, failpoint: Failpoint | None) -> StepReport:
        return self._step(AskTransfer(target, now_us, failpoint))

    def change_clock(self, now_us: int, rate_ppm: int, jump_us: int) -> int:
        with _no_fault_of(self.name):
            return self._tell(ChangeClock(now_us, rate_ppm, jump_us), ClockChanged).deadline_us

    def break_disk(self, failing: Failing | None) -> int:
        with _no_fault_of(self.name):
            return self._tell(BreakDisk(failing), DiskBroken).failed

    def crash(self, keep_permille: int, keep_bytes: int | None = None, holes: int = 0) -> tuple[int, int]:
        with _no_fault_of(self.name):
            crashed = self._tell(Crash(keep_permille, keep_bytes, holes), Crashed)
            self.end()
            return crashed.kept, crashed.lost

    def stop(self) -> None:
        with _no_fault_of(self.name):
            self._ask(Stop(), Stopped)
            self._gate.drain(self.name, self.incarnation, self._peers)
            self._control.close()
            self._child.wait(PATIENCE_S)
            self._gate.went_down(self.name, self.incarnation, self._peers)
            del self._driver.living[self.name]
            if (code := self._child.exit_code) != 0:
                raise DivergenceError(f"ended with exit code {code} after it had stopped; expected 0")

    def end(self) -> None:
        """Kills the process once all frames that it has announced are at the gate."""
        self._gate.drain(self.name, self.incarnation, self._peers)
        self._control.close()
        self._child.kill()
        self._gate.went_down(self.name, self.incarnation, self._peers)
        del self._driver.living[self.name]

    def let_go(self) -> None:
        """Closes its control connection, so that the process ends by itself."""
        self._control.close()

    # ---- orders and answers ---------------------------------------------------------------------------------------

    def _step(self, order: Order) -> StepReport:
        with _no_fault_of(self.name):
            return self._took(self._ask(order, Report))

    def _took(self, report: Report) -> StepReport:
        for to, number in report.sends:
            self._gate.announce(self.name, self.incarnation, to, number)
        return StepReport(
            _decode_lines(report.lines),
            [(to, number, None) for to, number in report.sends],
            report.write_lsn,
            report.replies,
            report.deadline_us,
            report.accepted,
            report.leader,
            report.stopped,
            report.stale,
        )

    def _ask(self, order: Order, *kinds: type[_A]) -> _A:
        try:
            self._control.send(order)
        except ConnectionError:
            pass  # it has ended by itself; the answer will say so
        return self._answer(*kinds)

    def _tell(self, order: Order, kind: type[_A]) -> _A:
        """Sends an order of which no simulated node can die."""
        try:
            return self._ask(order, kind)
        except NodeDiedError as error:
            raise DivergenceError(f"{error}, with exit code {error.exit_code}") from error

    def _answer(self, *kinds: type[_A]) -> _A:
        """The next answer, which must be of one of these kinds. Raises NodeDiedError if the node died instead."""
        try:
            payload = self._control.receive()
        except TimeoutError:
            raise DriverError(f"no answer within {PATIENCE_S:g} s; see its stderr.log") from None
        if payload is None:
            raise self._ended_by_itself(None)
        answer = decode_answer(payload)
        for kind in kinds:
            if isinstance(answer, kind):
                return answer
        if isinstance(answer, Died):
            raise self._ended_by_itself(answer)
        if isinstance(answer, Interrupted):
            self._control.close()
            self._child.kill()
            del self._driver.living[self.name]
            raise InterruptedNodeError
        if isinstance(answer, Diverged):
            raise DivergenceError(answer.what)
        raise DriverError(f"expected {' or '.join(kind.__name__ for kind in kinds)} as an answer, got {answer}")

    def _ended_by_itself(self, died: Died | None) -> NodeDiedError:
        """Waits until the process is gone. Closing the control lets a process that has reported its error end."""
        if died is not None and self._is_up:
            self._gate.drain(self.name, self.incarnation, self._peers)
        self._control.close()
        self._child.wait(PATIENCE_S)
        if self._is_up:
            self._gate.went_down(self.name, self.incarnation, self._peers)
        del self._driver.living[self.name]
        code = self._child.exit_code
        if died is None:
            return NodeDiedError(EXIT_CRASHED if code is None else code, "the process ended without a word")
        if code != died.exit_code:
            raise DivergenceError(f"said that it ends with code {died.exit_code}, ended with {code}")
        return NodeDiedError(died.exit_code, died.said)


@contextmanager
def _no_fault_of(node: str) -> Iterator[None]:
    """Turns any other error into one of the harness, which must not count as the node's death; it names the node."""
    try:
        yield
    except (NodeDiedError, InterruptedNodeError):
        raise
    except DriverError as error:
        raise type(error)(f"{node}: {error}") from error
    except Exception as error:
        raise DriverError(f"{node}: {type(error).__name__}: {error}") from error
