"""What the example for NATS says of an operation whose condition one server refused: another may have accepted it."""

from __future__ import annotations

import asyncio
import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from raft_chaos.chaos.schedule.data import Operation
from raft_chaos.chaos.targets.api import Elsewhere, Fail, Info, Ok
from raft_chaos.invariants.history import OpFunction

if importlib.util.find_spec("nats") is None:
    pytest.skip("the package nats-py is not installed: pip install 'raft-chaos[systems]'", allow_module_level=True)

REFUSED = 0


@pytest.fixture
def ended(monkeypatch: pytest.MonkeyPatch) -> Any:
    """How an operation ends, given what servers find and answer in turn; "down" if none does."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[3]))
    from examples import nats_target

    def end(f: OpFunction, finds: Sequence[Any], answers: Sequence[int]) -> Any:
        left, said = iter(finds), iter(answers)

        class Scripted(nats_target.Bucket):  # type: ignore[misc,name-defined]
            async def _bucket(self, node: Any) -> None: ...

            async def _found(self, bucket: None, key: str) -> Any:
                if (found := next(left)) == "down":
                    raise nats_target.NotTakenError("no answer")
                return found

            async def _written(self, bucket: None, key: str, value: Any, revision: int) -> int:
                return next(said)

        operation = Operation(id="c/0", client="c", at_us=0, f=f, key="k", value="mine", expected="old")
        return asyncio.run(Scripted().invoke(None, operation))

    yield end
    sys.modules.pop("examples.nats_target", None)


def test_an_append_that_another_server_accepted_is_not_repeated(ended: Any) -> None:
    assert ended("append", [(["a"], 4), (["a", "mine"], 5)], [REFUSED, 6]) == Ok()


def test_an_append_that_nobody_accepted_is_repeated(ended: Any) -> None:
    assert ended("append", [(["a"], 4), (["a", "b"], 5)], [REFUSED, 6, 7]) == Ok()


def test_a_refused_append_of_which_nothing_more_is_known_may_have_happened(ended: Any) -> None:
    assert isinstance(ended("append", [(["a"], 4), "down"], [REFUSED]), Info)


def test_a_refused_cas_may_have_happened(ended: Any) -> None:
    assert isinstance(ended("cas", [("old", 4)], [REFUSED]), Info)


def test_a_cas_that_found_another_value_was_never_sent(ended: Any) -> None:
    assert ended("cas", [("other", 4)], []) == Fail("another value", refused=True)


def test_what_was_only_looked_for_may_be_asked_elsewhere(ended: Any) -> None:
    assert isinstance(ended("append", ["down"], []), Elsewhere)
