"""The HTTP API of our own nodes, as clients use it (docs/http-api.md). Servers of others may speak it, too."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlencode

import aiohttp
import msgspec

from raft_chaos.chaos.faults.membership import Asked
from raft_chaos.chaos.processes.shortage import HarnessError, shortage
from raft_chaos.chaos.schedule.data import Operation
from raft_chaos.chaos.targets.door import REFUSED, NoAnswer, Outcome, known
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


_reasons = msgspec.json.Decoder(_Reason)
_answers = msgspec.json.Decoder(_Answer)
_read_answers = msgspec.json.Decoder(_ReadAnswer)
_refusals = msgspec.json.Decoder(_NotNow)


class HttpDoor:
    """See `Door`. An address is a node's URL; `urls` gives those of all nodes that have ever been up, by name."""

    def __init__(
        self, session: aiohttp.ClientSession, urls: Callable[[], Mapping[str, str]], *, knows_repeats: bool
    ) -> None:
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
            async with self._session.request(
                method,
                address + path,
                data=body,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=within_us / 1e6),
            ) as response:
                return self._understood(response.status, response.headers, await response.read(), is_read)
        except aiohttp.ClientSSLError:
            return NoAnswer(False, "cannot connect: TLS fails")  # another run's node may have got the port by now
        except aiohttp.ClientConnectorError as error:
            refuse_shortage(error)
            return NoAnswer(False, f"cannot connect: {error.os_error.strerror}")
        except TimeoutError:
            return NoAnswer(True, "no answer in time")
        except aiohttp.ClientError as error:
            refuse_shortage(error)
            return NoAnswer(True, f"the connection broke: {type(error).__name__}")

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


async def change_members(session: aiohttp.ClientSession, url: str, change: Change, within_us: int) -> Asked:
    """POST /membership. The leader of the answer is its URL, "" if the node named none."""
    body = {verb: nodes for verb in ("add", "promote", "remove") if (nodes := getattr(change, verb))}
    timeout = aiohttp.ClientTimeout(total=within_us / 1e6)
    try:
        async with session.post(
            url + MEMBERSHIP, data=msgspec.json.encode(body), allow_redirects=False, timeout=timeout
        ) as response:
            status, headers, said = response.status, response.headers, await response.read()
    except (aiohttp.ClientError, TimeoutError) as error:
        if isinstance(error, aiohttp.ClientError):
            refuse_shortage(error)
        return Asked(False)
    if status == 409:
        try:
            return Asked(False, _reasons.decode(said).error)
        except MALFORMED:
            return Asked(False)
    return Asked(status == 200, leader=headers.get("Location", "").removesuffix(MEMBERSHIP) if status == 307 else "")


STATUS_TIMEOUT_S = 0.5


async def status(session: aiohttp.ClientSession, url: str) -> Status | None:
    """GET /status: role and term. None if the node is down or paused, or does not answer in JSON."""
    try:
        async with session.get(f"{url}/status", timeout=aiohttp.ClientTimeout(total=STATUS_TIMEOUT_S)) as response:
            said: Any = await response.json(content_type=None)
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        if isinstance(error, aiohttp.ClientError):
            refuse_shortage(error)
        return None
    if not isinstance(said, dict):
        return None
    role, term = said.get("role"), said.get("term")
    known = role if role in ("follower", "candidate", "leader") else None
    return Status(known, term if isinstance(term, int) and not isinstance(term, bool) else None)


def refuse_shortage(error: aiohttp.ClientError) -> None:
    """Raises HarnessError if the harness, and not the node, is to blame for this error."""
    if missing := shortage(error):
        raise HarnessError(f"the harness ran out of {missing}, and its clients cannot ask the nodes") from None
