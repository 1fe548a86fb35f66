"""A target that is a Python class of the user's (`api`): checked when it is named, and then as any other target."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

import msgspec

from raft_chaos.chaos.faults.abilities import (
    Abilities,
    with_disk,
)
from raft_chaos.chaos.processes.shortage import HarnessError, shortage
from raft_chaos.chaos.processes.supervisor import Supervisor
from raft_chaos.chaos.schedule.data import Operation
from raft_chaos.chaos.targets import command_lines, program
from raft_chaos.chaos.targets.api import Answer, Command, Elsewhere, Fail, Info, Node, Ok
from raft_chaos.chaos.targets.door import REFUSED, Door, NoAnswer, Outcome
from raft_chaos.chaos.targets.http import HttpSession
from raft_chaos.chaos.targets.log_lines import LogLine
from raft_chaos.chaos.targets.our_api import STATUS_TIMEOUT_S
from raft_chaos.chaos.targets.protocol import (
    START_TIMEOUT_S,
    Launch,
    NetworkName,
    Running,
    Status,
    Stopping,
    TargetError,
)
from raft_chaos.chaos.targets.template import TemplateError

CLOSE_S = 5.0


def _checked_rate(name: str, rate: Any) -> float | None:
    if rate is None or (isinstance(rate, int | float) and rate > 0):
        return rate
    raise TargetError(f"{name}: rate: expected operations a second, more than 0, got {rate!r}")


def _checked_stopping(name: str, user: Any) -> Stopping:
    """How its nodes are asked to end. Raises TargetError."""
    given = {field: there for field in Stopping.__struct_fields__ if (there := getattr(user, f"stop_{field}", None))}
    try:
        return msgspec.convert(given, Stopping)
    except msgspec.ValidationError as error:
        message, _, at = str(error).partition(" - at `$.")
        field = at.rstrip("`").partition("[")[0]
        raise TargetError(f"{name}: stop_{field}: {message[0].lower()}{message[1:]}") from None


class ClassTarget:
    """The target of such a class. A run makes one object of it."""

    def __init__(self, name: str, found: type[Any], network: str | None, disk: str | None = None) -> None:
        try:
            self._user = found()
        except Exception as error:
            raise TargetError(f"{name}: {type(error).__name__}: {error}") from None
        self.name: str = getattr(found, "name", name)
        self.can: Abilities = with_disk(frozenset(found.can), disk)
        self.network = cast(NetworkName, network or getattr(found, "network", "tcp"))
        self.ports: tuple[str, ...] = tuple(getattr(found, "ports", ("client", "peer")))
        self.link_port: str | None = getattr(found, "link_port", self.ports[-1])
        self.log_lines: tuple[LogLine, ...] = self._checked_lines(name)
        self.rate: float | None = _checked_rate(name, getattr(found, "rate", None))
        self._stopping = _checked_stopping(name, self._user)
        self._nodes: dict[str, Node] = {}

    def _checked_lines(self, name: str) -> tuple[LogLine, ...]:
        if (events := getattr(self._user, "events", None)) is None:
            return ()
        try:
            lines = tuple(events())
        except Exception as error:
            raise TargetError(f"{name}: events: {type(error).__name__}: {error}") from None
        for line in lines:
            if not isinstance(line, LogLine):
                raise TargetError(f"{name}: events: expected LogLine objects, got {line!r}")
            try:
                line.check(self.ports)
            except TemplateError as error:
                raise TargetError(f"{name}: events: {error}") from None
        return lines

    @property
    def described_by(self) -> bytes:
        try:
            return Path(inspect.getfile(type(self._user))).read_bytes()
        except (OSError, TypeError):
            return b""

    def start(self, supervisor: Supervisor, launch: Launch) -> Running:
        ports = launch.ports[launch.node]
        nodes = list(launch.ports)
        node = self._nodes[launch.node] = Node(
            name=launch.node,
            number=nodes.index(launch.node) + 1,
            nodes=nodes,
            incarnation=launch.incarnation,
            host=launch.host,
            ports=ports,
            address=launch.reach(ports[self.ports[0]]),
            peers=launch.peers,
            data=program.data_folder(launch).absolute(),
        )
        if self.link_port is not None:
            launch.route(ports[self.link_port])
        try:
            command = self._user.start(node)
        except Exception as error:
            raise TargetError(f"{launch.node}: start: {type(error).__name__}: {error}") from None
        if not isinstance(command, Command):
            raise TargetError(f"{launch.node}: start: expected a Command, got {command!r}")
        argv = [str(word) for word in command.argv]
        command_lines.find_program(argv[0])
        within_s = float(getattr(self._user, "ready_within_s", START_TIMEOUT_S))
        child, is_ready = program.started(
            supervisor, launch, argv, command.environment, lambda: self._ready(node), within_s=within_s
        )
        host, port = node.address
        return Running(child, f"http://{host}:{port}", is_ready=is_ready, within_s=within_s, stopping=self._stopping)

    def _ready(self, node: Node) -> bool:
        ready = getattr(self._user, "ready", None)
        if ready is None:
            return program.accepts_tcp(*node.address)
        try:
            return bool(ready(node))
        except OSError:
            return False

    def wipe(self, node: str) -> None:
        """What the user's class removes beside the node's folder."""
        if (wipe := getattr(self._user, "wipe", None)) is not None:
            try:
                wipe(self._nodes[node])
            except Exception as error:
                raise HarnessError(f"the target's wipe of {node} failed: {type(error).__name__}: {error}") from error

    def door(self, session: HttpSession, urls: Callable[[], Mapping[str, str]]) -> Door:
        return _ClassDoor(self._user, self._nodes, "repeats" in self.can, urls)

    async def status(self, session: HttpSession, url: str) -> Status | None:
        if not hasattr(self._user, "status"):
            return None
        node = next(
            (node for node in self._nodes.values() if f"http://{node.address[0]}:{node.address[1]}" == url), None
        )
        if node is None:
            return None
        try:
            async with asyncio.timeout(STATUS_TIMEOUT_S):
                status = await _called(self._user.status, node)
        except Exception as error:
            _refuse_shortage(error)
            return None
        return status if isinstance(status, Status) else None

    async def close(self) -> None:
        """The run is over. A library that does not close holds nobody up: its process is about to end."""
        if (close := getattr(self._user, "close", None)) is not None:
            try:
                async with asyncio.timeout(CLOSE_S):
                    await _called(close)
            except TimeoutError:
                pass


class _ClassDoor:
    """See `Door`. An address is a node's name."""

    def __init__(
        self, user: Any, nodes: Mapping[str, Node], knows_repeats: bool, urls: Callable[[], Mapping[str, str]]
    ) -> None:
        self.knows_repeats = knows_repeats
        self._user = user
        self._nodes = nodes
        self._urls = urls

    def addresses(self) -> list[str]:
        return list(self._urls())

    def address_of(self, node: str) -> str:
        return node if node in self._urls() else ""

    def command(self, operation: Operation, session: str, serial: int, since: int = 0) -> Operation:
        return operation

    async def ask(self, address: str, command: Operation, within_us: int) -> Outcome | NoAnswer:
        try:
            async with asyncio.timeout(within_us / 1e6):
                answer: Answer = await _called(self._user.invoke, self._nodes[address], command)
        except TimeoutError:
            return NoAnswer(True, "no answer in time")
        except Exception as error:
            _refuse_shortage(error)
            return NoAnswer(True, f"{type(error).__name__}: {error}")
        match answer:
            case Ok():
                return Outcome("ok", answer.value)
            case Fail():
                return Outcome("fail", error=f"{REFUSED}: {answer.error}" if answer.refused else answer.error)
            case Elsewhere():
                return NoAnswer(False, f"not taken: {answer.error}" if answer.error else "not taken", answer.node)
            case Info():
                return NoAnswer(True, answer.error or "outcome unknown")
        raise HarnessError(f"the target's invoke must return Ok, Fail, Elsewhere or Info, got {answer!r}")


async def _called(function: Callable[..., Any], *arguments: Any) -> Any:
    """Calls a function of the user's; one that is not async in a thread, where it may block.

    Libraries are careless with cancellation. Some cancel what waits for an answer when a connection closes: that must
    not end our task, which nobody cancelled, or a client is gone in silence and its operation open for ever. Others
    swallow a cancellation, as `asyncio.wait_for` of Python 3.11 does with an answer at the same moment: that must not
    keep our task alive, or the run never ends.
    """
    if not inspect.iscoroutinefunction(function):
        return await asyncio.to_thread(function, *arguments)
    task = asyncio.current_task()
    assert task is not None
    try:
        answer = await function(*arguments)
    except (Exception, asyncio.CancelledError) as error:
        if task.cancelling():
            raise asyncio.CancelledError from None
        if isinstance(error, asyncio.CancelledError):
            raise ConnectionError("the target's library cancelled the call") from None
        raise
    if task.cancelling():
        raise asyncio.CancelledError
    return answer


def _refuse_shortage(error: Exception) -> None:
    if missing := shortage(error):
        raise HarnessError(f"the harness ran out of {missing}, and its clients cannot ask the nodes") from None
