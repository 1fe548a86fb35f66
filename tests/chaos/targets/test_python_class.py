"""Targets that are Python classes: what is checked when one is named."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable
from pathlib import Path

import pytest

from raft_chaos.chaos.schedule.data import Operation
from raft_chaos.chaos.targets import python_class
from raft_chaos.chaos.targets.class_names import load
from raft_chaos.chaos.targets.door import NoAnswer, Outcome
from raft_chaos.chaos.targets.log_lines import log_lines_of
from raft_chaos.chaos.targets.protocol import TargetError
from raft_chaos.chaos.targets.python_class import ClassTarget

CLASS = """
class Right:
    can = ("get", "put", "kill", "pause")
    def start(self, node): ...
    def invoke(self, node, op): ...

class NoInvoke:
    can = ("get",)
    def start(self, node): ...

class UnknownAbility(Right):
    can = ("get", "putt")

class OfTheNetwork(Right):
    can = ("get", "cut")

class OfOurRaft(Right):
    can = ("get", "clock")

class NoStatus(Right):
    can = ("get", "leader")

class NoOperation(Right):
    can = ("kill",)

class HalfAQueue(Right):
    can = ("get", "enqueue")

class NoNetwork(Right):
    network = "tpc"

class OneText(Right):
    can = "get"

class NoLines(Right):
    def events(self): return ["became leader"]

class FailingLines(Right):
    def events(self): raise OSError("no")

class Lines(Right):
    can = ("get", "leader", "term")
    def events(self):
        from raft_chaos.chaos.targets.api import LogLine
        return [LogLine(pattern="leads in (?P<term>[0-9]+)")]


function = print
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module in the user's current folder."""
    (tmp_path / "my_targets.py").write_text(CLASS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "my_targets", raising=False)
    return "my_targets"


def test_a_class_of_the_current_folder_is_found(module: str) -> None:
    assert load(f"{module}:Right").__name__ == "Right"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("NoInvoke", "has no method 'invoke'"),
        ("UnknownAbility", "can: 'putt': did you mean 'put'?"),
        ("OfTheNetwork", "can: 'cut': "),
        ("OfOurRaft", "can: 'clock': the harness can skew the clocks of our own Raft's nodes only"),
        ("NoStatus", "it declares 'leader', and has no method 'status' or 'events'"),
        ("NoOperation", "expected operations"),
        ("HalfAQueue", "enqueue and dequeue need each other"),
        ("NoNetwork", "network: 'tpc': did you mean 'tcp'?"),
        ("OneText", "expected a set of abilities"),
        ("function", "expected a class"),
        ("Nothing", "cannot be imported"),
    ],
)
def test_a_mistake_is_refused_when_the_class_is_named(module: str, name: str, said: str) -> None:
    with pytest.raises(TargetError) as refused:
        load(f"{module}:{name}")
    assert said in str(refused.value)


def test_lines_of_logs_are_checked_when_the_target_is_made(module: str) -> None:
    lines = ClassTarget("mine", load(f"{module}:Lines"), None)
    assert [line.pattern for line in log_lines_of(lines)] == ["leads in (?P<term>[0-9]+)"]
    assert lines.described_by.startswith(b"\nclass Right:"), "a stamp is for the source of the class"
    for name, said in (("NoLines", "expected LogLine objects, got 'became leader'"), ("FailingLines", "OSError: no")):
        with pytest.raises(TargetError, match=said):
            ClassTarget("mine", load(f"{module}:{name}"), None)
    assert log_lines_of(ClassTarget("mine", load(f"{module}:Right"), None)) == ()


def test_what_no_package_offers_is_refused() -> None:
    with pytest.raises(TargetError, match="there is no target 'no-such-target'"):
        load("no-such-target")


class Careless:
    """Its library cancels what waits for an answer ("closed"), or swallows a cancellation ("swallowed", "changed")."""

    can = ("get",)

    def start(self, node: object) -> None: ...

    async def invoke(self, node: object, op: Operation) -> None:
        waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if op.key == "closed":
            waiting.cancel()
        try:
            await waiting
        except asyncio.CancelledError:
            if op.key == "changed":
                raise OSError("the call was cancelled") from None
            if op.key != "swallowed":
                raise

    async def close(self) -> None:
        await asyncio.get_running_loop().create_future()


def ask(key: str, within_us: int = 50_000) -> Awaitable[Outcome | NoAnswer]:
    target = ClassTarget("careless", Careless, "none")
    target._nodes["n1"] = None  # type: ignore[assignment]  # the class above does not look at it
    door = target.door(None, dict)  # type: ignore[arg-type]  # it asks over no session
    return door.ask("n1", Operation(id="c/0", client="c", at_us=0, f="get", key=key), within_us)


def asked(key: str) -> Outcome | NoAnswer:
    async def once() -> Outcome | NoAnswer:
        return await ask(key)

    return asyncio.run(once())


def test_a_library_that_cancels_its_calls_does_not_end_the_client() -> None:
    """Otherwise the client would be gone, and its operation open for ever."""
    answer = asked("closed")
    assert isinstance(answer, NoAnswer)
    assert answer.may_have_happened
    assert "cancelled the call" in answer.error


@pytest.mark.parametrize("key", ["silent", "swallowed", "changed"])
def test_a_call_without_an_answer_is_given_up_in_time(key: str) -> None:
    assert asked(key) == NoAnswer(True, "no answer in time")


@pytest.mark.parametrize("key", ["silent", "swallowed", "changed"])
def test_a_client_ends_when_the_run_does_whatever_its_library_makes_of_that(key: str) -> None:
    async def cancelled() -> bool:
        asking = asyncio.ensure_future(ask(key, within_us=60_000_000))
        await asyncio.sleep(0)
        asking.cancel()
        await asyncio.wait({asking})
        return asking.cancelled()

    assert asyncio.run(cancelled())


def test_a_library_that_never_closes_does_not_hold_up_the_end_of_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(python_class, "CLOSE_S", 0.01)
    asyncio.run(ClassTarget("careless", Careless, "none").close())
