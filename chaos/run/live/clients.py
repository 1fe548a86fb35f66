"""The workload: concurrent clients over the real HTTP API, and the history of what they saw.

A client carries out its operations one after the other, each not before its time. It asks whom it believes to lead,
follows redirects, and asks the next node when nobody took the command; none of that can have had an effect. Once a
node may have taken it, only an answer makes the outcome known: where the target recognises a repeated command (client
and serial, §8) it is sent again until the operation's time is up, and then it is `info`.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import msgspec

from raft_chaos.chaos.run.client_records import OPERATION_TIMEOUT_S, RETRY_S, ClientRecord, History, Outcome
from raft_chaos.chaos.schedule.data import Operation
from raft_chaos.invariants.history import Op, OpType, Value, encode


class _Answer(msgspec.Struct):
    """The body of a 200: see the manual of the HTTP API."""

    ok: bool
    result: Value = None
    index: int | None = None
    term: int | None = None
    error: str | None = None


_answers = msgspec.json.Decoder(_Answer)


class HistoryFile(History):
    """history.jsonl, appended to as things happen; each operation is then counted, and handed to `observe`."""

    def __init__(self, file: Path, observe: Callable[[Op], None]) -> None:
        super().__init__(observe)
        self._fd = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)

    def write(self, op: Op) -> None:
        os.write(self._fd, encode(op))
        super().write(op)

    def close(self) -> None:
        os.close(self._fd)


class Client:
    """One client of the workload: the one at `place` among `clients`."""

    def __init__(
        self,
        *,
        name: str,
        place: int,
        clients: int,
        session: aiohttp.ClientSession,
        urls: Callable[[], list[str]],
        history: History,
        now_us: Callable[[], int],
        repeats: bool,
    ) -> None:
        self.name = name
        self._record = ClientRecord(name=name, place=place, clients=clients, history=history, now_us=now_us)
        self._session = session
        self._urls = urls
        self._now_us = now_us
        self._repeats = repeats
        self._believed = ""

    async def run(self, operations: list[Operation], zero_us: int, until_us: int) -> None:
        """Carries out the operations; times count from `zero_us`. Begins none after `until_us`: a client that has
        waited for answers in vain for long leaves the rest undone."""
        for operation in operations:
            if max(self._now_us() - zero_us, operation.at_us) > until_us:
                return
            await asyncio.sleep(max(0, zero_us + operation.at_us - self._now_us()) / 1e6)
            await self.perform(operation)

    async def perform(self, operation: Operation, *, final: bool = False) -> Outcome:
        """One operation, from its invocation to whatever is known of its end."""
        self._record.invoked(operation, final=final)
        outcome = await self._outcome(operation)
        self._record.ended(operation, outcome, final=final)
        return outcome

    async def _outcome(self, operation: Operation) -> Outcome:
        body = self._body(operation)
        deadline = asyncio.get_running_loop().time() + OPERATION_TIMEOUT_S
        may_have_happened, error = False, "no node took it"
        while (left_s := deadline - asyncio.get_running_loop().time()) > 0:
            self._believed = self._believed or self._next_url("")
            if not self._believed:
                await asyncio.sleep(RETRY_S)
                continue
            reply = await self._ask(self._believed, body, left_s)
            if isinstance(reply, Outcome):
                return reply
            error = reply.error
            may_have_happened = may_have_happened or reply.may_have_happened
            if may_have_happened and not self._repeats:
                break
            self._believed = reply.ask_next or self._next_url(self._believed)
            if not reply.ask_next:
                await asyncio.sleep(RETRY_S)
        return Outcome("info" if may_have_happened else "fail", error=error)

    def _body(self, operation: Operation) -> bytes:
        command = {"op": operation.f, "key": operation.key, "value": operation.value, "expected": operation.expected}
        command = {name: value for name, value in command.items() if value is not None}
        client, serial = self._record.session, self._record.next_serial()
        return msgspec.json.encode({"command": command, "client": client, "serial": serial})

    def _next_url(self, after: str) -> str:
        """The node after that one; "" while none has ever run."""
        if not (urls := self._urls()):
            return ""
        return urls[(urls.index(after) + 1) % len(urls)] if after in urls else urls[self._record.process % len(urls)]

    async def _ask(self, url: str, body: bytes, left_s: float) -> Outcome | _NoAnswer:
        try:
            async with self._session.post(
                f"{url}/executeCommand",
                data=body,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=left_s),
            ) as response:
                return _understood(response.status, response.headers, await response.read())
        except aiohttp.ClientConnectorError as error:
            return _NoAnswer(False, f"cannot connect: {error.os_error.strerror}")
        except TimeoutError:
            return _NoAnswer(True, "no answer in time")
        except aiohttp.ClientError as error:
            return _NoAnswer(True, f"the connection broke: {type(error).__name__}")


@dataclass(frozen=True)
class _NoAnswer:
    """What a node said instead of an answer; `ask_next` is the leader's URL if it named one."""

    may_have_happened: bool
    error: str
    ask_next: str = ""


def _understood(status: int, headers: Mapping[str, str], body: bytes) -> Outcome | _NoAnswer:
    """A response as the HTTP API's manual defines it. Anything that it does not define may have had an effect."""
    if status == 200:
        try:
            answer = _answers.decode(body)
        except msgspec.MsgspecError as error:
            return _NoAnswer(True, f"an answer that cannot be understood: {error}")
        kind: OpType = "ok" if answer.ok else "fail"
        return Outcome(kind, answer.result, answer.index, answer.term, answer.error)
    if status == 307:
        location = headers.get("Location", "")
        return _NoAnswer(False, "redirected", location.removesuffix("/executeCommand"))
    if status == 503:
        return _NoAnswer(False, "no leader known")
    if status in (400, 401, 413):
        return Outcome("fail", error=f"refused with status {status}")
    return _NoAnswer(True, f"outcome unknown (status {status})")
