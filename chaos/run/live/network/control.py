"""The connection between the controller and the process of a network: requests one way, answers the other.

Trouble of the network itself, such as too few open files, would look like a cut that no schedule asked for. So its
process tells the controller at once, in a message that no request asked for.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

from raft_chaos.chaos.faults.links import Link, LinkCounters
from raft_chaos.chaos.processes.shortage import HarnessError, sentence
from raft_chaos.chaos.run.live.network.rules import LinkRule

REPLY_TIMEOUT_S = 30.0


class ProxyError(HarnessError):
    """The process of the network is in trouble, does not answer, or refuses a request: the message says which and
    why."""


class Trouble(NamedTuple):
    """What the process sends when it cannot do its work any more: what happened, in one line."""

    what: str


# ---- the controller's side ---------------------------------------------------------------------------------------


class ControlClient:
    """Asks the process at the other end of a `multiprocessing` connection. Every call waits for its answer.

    Each method raises ProxyError when the process is gone, silent for 30 s, or refuses. Threads may share it.
    """

    def __init__(self, connection: Connection, name: str = "proxy") -> None:
        self._connection = connection
        self._name = name
        self._lock = threading.Lock()

    def set_rules(self, rules: dict[Link, LinkRule]) -> None:
        """Replaces all rules; a link that is not mentioned has none. The rules are in force when this returns."""
        self._ask("set_rules", rules)

    def counters(self) -> dict[Link, LinkCounters]:
        """For each link, what happened on it so far."""
        counters: dict[Link, LinkCounters] = self._ask("counters")
        return counters

    def check(self) -> None:
        """Raises ProxyError if the process has reported trouble. One that is gone reports nothing."""
        with self._lock, suppress(EOFError, OSError):
            if self._connection.poll():
                self._received()

    def close(self) -> None:
        """Ends the process."""
        self._connection.close()

    def _ask(self, request: str, *arguments: Any, handle: Callable[[Connection], None] | None = None) -> Any:
        """The answer to a request; `handle` sends what goes with it."""
        try:
            with self._lock:
                self._connection.send((request, *arguments))
                if handle is not None:
                    handle(self._connection)
                if not self._connection.poll(REPLY_TIMEOUT_S):
                    raise ProxyError(f"{request}: no answer from the {self._name} in {REPLY_TIMEOUT_S:.0f} s")
                answer, error = self._received()
        except (EOFError, OSError) as error:
            raise ProxyError(f"{request}: the {self._name} process is gone ({error!r})") from None
        if error is not None:
            raise ProxyError(f"{request}: {error}")
        return answer

    def _received(self) -> Any:
        """The next message of the process: an answer, unless it is in trouble."""
        received = self._connection.recv()
        if isinstance(received, Trouble):
            raise ProxyError(f"the {self._name} between the nodes failed: {received.what}")
        return received


# ---- the process's side ------------------------------------------------------------------------------------------


class Control:
    """Answers the requests of the controller, until its connection closes: the controller is done, or dead."""

    def __init__(self, connection: Connection, answers: Mapping[str, Callable[..., Any]]) -> None:
        self._connection = connection
        self._answers = answers
        self._in_trouble = False

    async def serve(self) -> None:
        ended = asyncio.Event()
        asyncio.get_running_loop().add_reader(self._connection.fileno(), self._answer, ended)
        os.set_blocking(self._connection.fileno(), True)  # uvloop changes that, but the rest of a message may be late
        await ended.wait()

    def failed(self, error: BaseException) -> bool:
        """The process is in trouble: tells the controller; returns whether this is the first time."""
        if self._in_trouble:
            return False
        self._in_trouble = True
        with suppress(OSError):  # the controller is gone, which the connection will show
            self._connection.send(Trouble(sentence(error)))
        return True

    def _answer(self, ended: asyncio.Event) -> None:
        """One request, one answer: (result, None) or (None, what was wrong)."""
        try:
            request, *arguments = self._connection.recv()
            self._connection.send(self._answered(request, arguments))
        except (EOFError, OSError):
            asyncio.get_running_loop().remove_reader(self._connection.fileno())
            ended.set()

    def _answered(self, request: str, arguments: list[Any]) -> tuple[Any, str | None]:
        try:
            return self._answers[request](*arguments), None
        except ValueError as error:
            return None, str(error)
        except OSError as error:
            return None, sentence(error)
