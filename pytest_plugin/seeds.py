"""Which seeds a test runs with: the command line's, else its marker's, else seed 1."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from raft_chaos.api.seeds import seeds_of as parsed
from raft_chaos.chaos.run.option import OptionError
from raft_chaos.pytest_plugin.options import marked

MOST_NAMED = 8


def seeds_of(item: pytest.Item) -> list[int]:
    config = item.config
    one, several = config.getoption("--raft-seed"), config.getoption("--raft-seeds")
    if one is not None and several is not None:
        raise pytest.UsageError("--raft-seed and --raft-seeds exclude each other")
    if one is not None:
        return _parsed("--raft-seed", f"{one}..{one}")
    if several is not None:
        return _parsed("--raft-seeds", f"1..{several}" if several.isdecimal() else several)
    return _parsed(f"{item.nodeid}: seeds", marked(item).get("seeds", [1]))


def _parsed(what: str, seeds: int | str | Sequence[int]) -> list[int]:
    try:
        return parsed(seeds)
    except OptionError as error:
        raise pytest.UsageError(f"{what}: {error}") from None


def summary(seeds: list[int]) -> str:
    """The line below the number of collected tests."""
    each = sorted(set(seeds))
    named = ", ".join(map(str, each[:MOST_NAMED])) if len(each) <= MOST_NAMED else f"{each[0]} to {each[-1]}"
    return f"raft-chaos: chaos tests {len(seeds)}, seeds {named}; --raft-seed N runs one, --raft-seeds A..B others"
