"""A target that a file describes (`description`): its nodes, and its door over HTTP."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Any
from urllib.parse import urlsplit

import msgspec

from raft_chaos.chaos.faults.abilities import Abilities, with_disk
from raft_chaos.chaos.processes.supervisor import Supervisor
from raft_chaos.chaos.schedule.data import Operation
from raft_chaos.chaos.targets import command_lines, program, template
from raft_chaos.chaos.targets.description import Description, OperationRequest, Request
from raft_chaos.chaos.targets.door import REFUSED, Door, NoAnswer, Outcome, known
from raft_chaos.chaos.targets.http import HttpSession, NoResponseError, NotSentError
from raft_chaos.chaos.targets.log_lines import LogLine
from raft_chaos.chaos.targets.our_api import STATUS_TIMEOUT_S
from raft_chaos.chaos.targets.protocol import START_TIMEOUT_S, STOPPING, Launch, NetworkName, Running, Status
from raft_chaos.chaos.targets.template import MISSING, UNREADABLE, Path
from raft_chaos.invariants.events import MALFORMED
from raft_chaos.invariants.history import Value

REDIRECTS = (307, 308)
SHOWN = 200
"""How many characters of an answer a person is shown."""


@dataclass(frozen=True)
class DescribedTarget:
    """The target of a description, which stands in a file in `folder`. `network` and `disk` may differ from those that
    the file names."""

    described: Description
    name: str
    network: NetworkName
    folder: FilePath = FilePath()
    disk: str | None = None

    @property
    def rate(self) -> float | None:
        return self.described.rate

    @property
    def can(self) -> Abilities:
        return with_disk(self.described.can, self.disk)

    @property
    def log_lines(self) -> tuple[LogLine, ...]:
        return self.described.events

    @property
    def described_by(self) -> bytes:
        return msgspec.json.encode(self.described)

    @property
    def ports(self) -> tuple[str, ...]:
        return self.described.ports

    @property
    def link_port(self) -> str | None:
        return self.described.link_port

    def start(self, supervisor: Supervisor, launch: Launch) -> Running:
        described, ports = self.described, launch.ports[launch.node]
        fields = self._fields(launch)
        if described.link_port is not None:
            launch.route(ports[described.link_port])
        host, port = launch.reach(ports[described.clients])
        url = f"http://{host}:{port}"
        argv = self._argv(fields)
        filled = template.fill_all(described.environment, fields)
        environment = {name: str(value) for name, value in filled.items()}  # a field alone may be a number
        within_s = described.ready.within_s if described.ready is not None else START_TIMEOUT_S
        answers = self._ready(launch, url)
        child, is_ready = program.started(supervisor, launch, argv, environment, answers, within_s=within_s)
        stopping = described.stop or STOPPING
        return Running(child, url, is_ready=is_ready, within_s=within_s, stopping=stopping)

    def _argv(self, fields: dict[str, Any]) -> list[str]:
        """The words of the command. {peers} alone becomes several words if a space separates the peers."""
        words: list[str] = []
        for word in command_lines.found_beside(self.described.words, self.folder):
            filled = template.fill(word, fields)
            words += shlex.split(filled) if word == "{peers}" and self.described.peers_separator == " " else [filled]
        return words

    def _fields(self, launch: Launch) -> dict[str, Any]:
        def of(node: str, address: tuple[str, int] | None) -> dict[str, Any]:
            """The fields of a node in {peers}, as the launched node reaches it."""
            host, link = address if address is not None else (launch.host, None)
            ports = {f"port.{name}": port for name, port in launch.ports[node].items()}
            if link is not None and self.link_port is not None:
                ports[f"port.{self.link_port}"] = link
            return {"node": node, "number": number[node], "host": host, **ports}

        nodes = list(launch.ports)
        number = {node: place for place, node in enumerate(nodes, 1)}
        with_self = [node for node in nodes if self.described.peers_with_self or node != launch.node]
        peers = [template.fill(self.described.peers, of(node, launch.peers.get(node))) for node in with_self]
        return {
            **of(launch.node, None),
            "nodes": len(nodes),
            "incarnation": launch.incarnation,
            "data": str(program.data_folder(launch).absolute()),
            "peers": self.described.peers_separator.join(peers),
        }

    def _ready(self, launch: Launch, url: str) -> Callable[[], bool]:
        ready = self.described.ready
        if ready is not None and ready.http is not None:
            return lambda: program.answers_http(f"{url}{ready.http}")
        port = ready.tcp if ready is not None and ready.tcp is not None else self.described.clients
        reached = launch.reach(launch.ports[launch.node][port])
        return lambda: program.accepts_tcp(*reached)

    def door(self, session: HttpSession, urls: Callable[[], Mapping[str, str]]) -> Door:
        return DescribedDoor(self.described, session, urls)

    async def status(self, session: HttpSession, url: str) -> Status | None:
        asked = self.described.status
        if asked is None:
            return None
        try:
            code, _, answer = await _ask(session, url, asked, {}, STATUS_TIMEOUT_S)
            leads = asked.leads.holds(code, answer)
            term = Path(asked.term).of(answer) if asked.term is not None else None
            return Status("leader" if leads else "follower", None if term in (None, MISSING) else int(term))
        except (NoResponseError, TimeoutError, *UNREADABLE):
            return None

    async def heard_of_status(self, session: HttpSession, url: str) -> str:
        """What a node answers to the question for its status, shortened."""
        if self.described.status is None:
            return ""
        try:
            code, _, answer = await _ask(session, url, self.described.status, {}, STATUS_TIMEOUT_S)
        except (NoResponseError, TimeoutError):
            return "no answer"
        return as_it_came(code, answer)

    async def close(self) -> None:
        """Doors hold nothing but the session."""


class DescribedDoor:
    """See `Door`. A command is the operation with its request, its fields filled in when it is asked."""

    knows_repeats = False

    def __init__(self, described: Description, session: HttpSession, urls: Callable[[], Mapping[str, str]]) -> None:
        self._described = described
        self._session = session
        self._urls = urls
        self.heard = ""

    def addresses(self) -> list[str]:
        return list(self._urls().values())

    def address_of(self, node: str) -> str:
        return self._urls().get(node, "")

    def command(
        self, operation: Operation, session: str, serial: int, since: int = 0
    ) -> tuple[Operation, dict[str, Any]]:
        fields = {"key": operation.key, "value": operation.value, "expected": operation.expected}
        return operation, {**fields, "session": session, "serial": serial, "node": operation.node}

    async def ask(self, address: str, command: tuple[Operation, dict[str, Any]], within_us: int) -> Outcome | NoAnswer:
        operation, fields = command
        request: OperationRequest = getattr(self._described, operation.f)
        if operation.f == "cas" and operation.expected is None:
            if not request.expects_absence:
                return Outcome("fail", error="not sent: the target's file does not say how to expect an absent key")
            request = msgspec.structs.replace(request, body=request.absent or request.body)
        self.heard = ""
        try:
            status, headers, answer = await _ask(self._session, address, request, fields, within_us / 1e6)
            self.heard = as_it_came(status, answer)
        except NotSentError as error:
            return NoAnswer(False, f"cannot connect: {error}")
        except TimeoutError:
            return NoAnswer(True, "no answer in time")
        except NoResponseError as error:
            return NoAnswer(True, f"the connection broke: {error}")
        try:
            return understood(request, status, headers, answer, self._urls())
        except UNREADABLE as error:
            return NoAnswer(True, f"an answer that cannot be understood: {error}")


def as_it_came(status: int, answer: Any) -> str:
    """An answer for a person: its status, and the beginning of its body."""
    body = answer if isinstance(answer, str) else msgspec.json.encode(answer).decode()
    return f"status {status}, {body if len(body) <= SHOWN else body[:SHOWN] + ' ...'}"


def understood(
    request: OperationRequest,
    status: int,
    headers: Mapping[str, str],
    answer: Any,
    urls: Mapping[str, str],
) -> Outcome | NoAnswer:
    """What an answer says of its operation. Raises one of UNREADABLE."""
    if request.empty is not None and request.empty.holds(status, answer):
        return Outcome("ok", None)
    if request.ok.holds(status, answer):
        return Outcome("ok", _found(Path(request.value), answer) if request.value is not None else None)
    if request.fail is not None and request.fail.holds(status, answer):
        return Outcome("fail", error=REFUSED)
    if request.elsewhere is not None and request.elsewhere.holds(status, answer):
        return NoAnswer(False, f"not taken (status {status})")
    if status in REDIRECTS and (location := headers.get("Location", "")):
        parts = urlsplit(location)
        return NoAnswer(False, "redirected", known(f"{parts.scheme}://{parts.netloc}", urls))
    return NoAnswer(True, f"outcome unknown (status {status})")


def _found(path: Path, answer: Any) -> Value:
    """What a read found, as the history has it: None for nothing, a text, or a list of texts. Raises ValueError.

    An answer in which the path cannot lead anywhere does not say that the key is absent.
    """
    if path.has_steps and not isinstance(answer, Mapping | list):
        raise ValueError(f"expected a JSON table or list, got {answer!r:.100}")
    found = path.of(answer)
    if found is MISSING or found is None:
        return None
    if isinstance(found, str):
        return found
    if isinstance(found, list) and all(isinstance(one, str) for one in found):
        return found
    raise ValueError(f"expected a text or a list of texts, got {found!r}")


async def _ask(
    session: HttpSession, url: str, request: Request, fields: Mapping[str, Any], within_s: float
) -> tuple[int, Mapping[str, str], Any]:
    """(status, headers, answer): JSON as it says, other bodies as text."""
    headers = template.fill_all(request.headers, fields)
    body = template.fill_all(request.body, fields)
    if body is not None and not isinstance(body, str):
        headers = {"Content-Type": "application/json", **headers}
        body = msgspec.json.encode(body)
    filled = url + template.fill(request.path, fields)
    response = await session.request(request.method, filled, within_s=within_s, body=body, headers=headers)
    try:
        answer: Any = msgspec.json.decode(response.body)
    except MALFORMED:
        answer = response.body.decode(errors="replace")
    return response.status, response.headers, answer
