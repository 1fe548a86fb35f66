"""Targets that are Python classes: what is checked when one is named."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from raft_chaos.chaos.schedule.data import Operation
from raft_chaos.chaos.targets.door import NoAnswer, Outcome
from raft_chaos.chaos.targets.protocol import TargetError
from raft_chaos.chaos.targets.python_class import ClassTarget, load

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

class NoStatus(Right):
    can = ("get", "leader")

class NoOperation(Right):
    can = ("kill",)

class NoNetwork(Right):
    network = "tpc"

class OneText(Right):
    can = "get"

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
        ("NoStatus", "it declares 'leader', and has no method 'status'"),
        ("NoOperation", "expected operations"),
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


def test_what_no_package_offers_is_refused() -> None:
    with pytest.raises(TargetError, match="there is no target 'no-such-target'"):
        load("no-such-target")


class Cancelling:
    """Its library cancels what waits for an answer, as some do when a connection closes."""

    can = ("get",)

    def start(self, node: object) -> None: ...

    async def invoke(self, node: object, op: Operation) -> None:
        waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if op.key == "closed":
            waiting.cancel()
        await waiting


def asked(key: str) -> Outcome | NoAnswer:
    async def ask() -> Outcome | NoAnswer:
        target = ClassTarget("cancelling", Cancelling, "none")
        target._nodes["n1"] = None  # type: ignore[assignment]  # the class above does not look at it
        door = target.door(None, dict)  # type: ignore[arg-type]  # it asks over no session
        operation = Operation(id="c/0", client="c", at_us=0, f="get", key=key)
        return await door.ask("n1", operation, within_us=50_000)

    return asyncio.run(ask())


def test_a_library_that_cancels_its_calls_does_not_end_the_client() -> None:
    """Otherwise the client would be gone, and its operation open for ever."""
    answer = asked("closed")
    assert isinstance(answer, NoAnswer)
    assert answer.may_have_happened
    assert "cancelled the call" in answer.error


def test_a_call_without_an_answer_is_given_up_in_time() -> None:
    assert asked("silent") == NoAnswer(True, "no answer in time")
