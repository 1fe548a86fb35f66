"""The HTTP API of our own nodes, as clients use it (docs/http-api.md). Servers of others may speak it, too."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlencode

import msgspec

from raft_chaos.chaos.faults.membership import Asked
from raft_chaos.chaos.schedule.data import Operation
from raft_chaos.chaos.targets.door import REFUSED, NoAnswer, Outcome, known
from raft_chaos.chaos.targets.http import HttpSession, NoResponseError, NotSentError
from raft_chaos.chaos.targets.protocol import Status
from raft_chaos.invariants.events import MALFORMED
from raft_chaos.invariants.history import Value
from raft_chaos.raft.state.configuration import Change

COMMANDS = "/executeCommand"


class _Answer(msgspec.Struct):
    """The body of a 200: see the manual of the HTTP API."""

    ok: bool
    result: Value = None
    index: int | None = None
    term: int | None = None
    error: str | None = None


class _ReadAnswer(_Answer):
    """Of a read without a log entry, which also says who gave it."""

    node: str | None = None
    incarnation: int | None = None


class _NotNow(msgspec.Struct):
    """The body of a 503. `leader` is the node that leads, if the node that answers cannot say where it is."""

    leader: str = ""


class _Reason(msgspec.Struct):
    """The body of a 409: why the change is not possible."""

    error: str


class _Done(msgspec.Struct):
    """The body of a 200 to a change of the members: the entry with which it is done."""

    index: int = 0


_dones = msgspec.json.Decoder(_Done)
_reasons = msgspec.json.Decoder(_Reason)
_answers = msgspec.json.Decoder(_Answer)
_read_answers = msgspec.json.Decoder(_ReadAnswer)
_refusals = msgspec.json.Decoder(_NotNow)


class HttpDoor:
    """See `Door`. An address is a node's URL; `urls` gives those of all nodes that have ever been up, by name."""

    def __init__(self, session: HttpSession, urls: Callable[[], Mapping[str, str]], *, knows_repeats: bool) -> None:
        self.knows_repeats = knows_repeats
        self._urls = urls
        self._session = session

    def addresses(self) -> list[str]:
        return list(self._urls().values())

    def address_of(self, node: str) -> str:
        return self._urls().get(node, "")

    def command(self, operation: Operation, session: str, serial: int, since: int = 0) -> bytes | str:
        """The body of a command, or the path of a read without a log entry."""
        if operation.consistency is not None:
            asked = {"key": operation.key, "consistency": operation.consistency, "client": session, "serial": serial}
            return f"/read?{urlencode(asked)}"
        command = {"op": operation.f, "key": operation.key, "value": operation.value, "expected": operation.expected}
        command = {name: value for name, value in command.items() if value is not None}
        body: dict[str, Any] = {"command": command, "client": session, "serial": serial}
        return msgspec.json.encode(body | {"since": since} if since else body)

    async def ask(self, address: str, command: bytes | str, within_us: int) -> Outcome | NoAnswer:
        is_read = isinstance(command, str)
        method, path, body = ("GET", command, None) if isinstance(command, str) else ("POST", COMMANDS, command)
        try:
            response = await self._session.request(method, address + path, within_s=within_us / 1e6, body=body)
        except NotSentError as error:
            return NoAnswer(False, f"cannot connect: {error}")
        except TimeoutError:
            return NoAnswer(True, "no answer in time")
        except NoResponseError as error:
            return NoAnswer(True, f"the connection broke: {error}")
        return self._understood(response.status, response.headers, response.body, is_read)

    def _understood(
        self, status: int, headers: Mapping[str, str], body: bytes, is_read: bool = False
    ) -> Outcome | NoAnswer:
        """Reads a response as the API's manual defines it. After any other response the command may have an effect."""
        if status == 200:
            try:
                answer = (_read_answers if is_read else _answers).decode(body)
            except MALFORMED as error:
                return NoAnswer(True, f"an answer that cannot be understood: {error}")
            if answer.ok:
                who = (answer.node, answer.incarnation) if isinstance(answer, _ReadAnswer) else (None, None)
                return Outcome("ok", answer.result, answer.index, answer.term, None, *who)
            why = answer.error if answer.index is not None else f"{REFUSED}: {answer.error}"
            return Outcome("fail", answer.result, answer.index, answer.term, why)
        if status == 307:
            location = headers.get("Location", "")
            address = location.partition("/read?")[0].removesuffix(COMMANDS)
            return NoAnswer(False, "redirected", known(address, self._urls()))
        if status == 503:
            return NoAnswer(False, "no leader known", self._urls().get(_leader(body), ""))
        if status in (400, 401, 413):
            return Outcome("fail", error=f"refused with status {status}")
        return NoAnswer(True, f"outcome unknown (status {status})")


def _leader(body: bytes) -> str:
    """The leader that a 503 names; "" if it names none."""
    try:
        return _refusals.decode(body).leader
    except MALFORMED:
        return ""


MEMBERSHIP = "/membership"


async def change_members(session: HttpSession, url: str, change: Change, within_us: int) -> Asked:
    """POST /membership. The leader of the answer is its URL, "" if the node named none."""
    body = {verb: nodes for verb in ("add", "promote", "remove") if (nodes := getattr(change, verb))}
    encoded = msgspec.json.encode(body)
    try:
        status, headers, said = await session.request("POST", url + MEMBERSHIP, within_s=within_us / 1e6, body=encoded)
    except (NoResponseError, TimeoutError):
        return Asked(False)
    if status == 409:
        try:
            return Asked(False, _reasons.decode(said).error)
        except MALFORMED:
            return Asked(False)
    if status == 200:
        try:
            return Asked(True, entry=_dones.decode(said).index)
        except MALFORMED:
            return Asked(True)
    return Asked(False, leader=headers.get("Location", "").removesuffix(MEMBERSHIP) if status == 307 else "")


STATUS_TIMEOUT_S = 0.5


async def status(session: HttpSession, url: str) -> Status | None:
    """GET /status: role and term. None if the node is down or paused, or does not answer in JSON."""
    try:
        response = await session.request("GET", f"{url}/status", within_s=STATUS_TIMEOUT_S)
        said: Any = json.loads(response.body)
    except (NoResponseError, TimeoutError, ValueError):
        return None
    if not isinstance(said, dict):
        return None
    role, term = said.get("role"), said.get("term")
    known = role if role in ("follower", "candidate", "leader") else None
    return Status(known, term if isinstance(term, int) and not isinstance(term, bool) else None)
