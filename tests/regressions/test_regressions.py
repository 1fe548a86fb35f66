"""Past failures: each file in this folder violates its invariant with the core that it names, and not with the
unmodified core.

A file of the unmodified core (its mutant is null) is a bug that was fixed, so it must only hold.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from raft_chaos.chaos.reproduction.file import Reproduction, load
from raft_chaos.chaos.reproduction.reproduce import reproduce

FILES = sorted(Path(__file__).parent.glob("*.json"))


@pytest.fixture(params=FILES, ids=lambda file: file.stem)
def regression(request: pytest.FixtureRequest) -> Reproduction:
    return load(request.param)


def test_there_are_some() -> None:
    assert len(FILES) >= 6


def test_it_holds_over_the_right_core(regression: Reproduction) -> None:
    done = reproduce(regression, None)
    assert done.outcome == "holds", done.violations


def test_it_breaks_as_before_over_the_core_that_it_names(regression: Reproduction) -> None:
    if regression.mutant is None:
        return
    done = reproduce(regression, regression.mutant)
    assert (done.outcome, done.skipped) == ("reproduced", [])
    assert regression.expected.violation.message in [violation.message for violation in done.violations]
    assert done.same_trace, "the core or the player does something else now; if that is meant, shrink the run again"
