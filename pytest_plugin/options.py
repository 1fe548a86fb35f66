"""The options of a chaos test: its marker's, and over them those of the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, cast

import pytest

from raft_chaos.pytest_plugin.plugin import MARKER

Unknown = Literal["fail", "skip"]


def marked(item: pytest.Item) -> dict[str, Any]:
    """The keywords of its markers; the closest one wins. Raises UsageError for arguments without a keyword."""
    keywords: dict[str, Any] = {}
    for mark in reversed(list(item.iter_markers(MARKER))):
        if mark.args:
            raise pytest.UsageError(f"{item.nodeid}: {MARKER}: expected keywords, such as seeds=20, got {mark.args}")
        keywords |= mark.kwargs
    return keywords


def run_options(item: pytest.Item) -> dict[str, Any]:
    """What decides its runs, beside the seed."""
    options = {name: value for name, value in marked(item).items() if name != "seeds"}
    if (world := item.config.getoption("--raft-world")) is not None:
        options["world"] = world
    return options


def out(config: pytest.Config) -> Path:
    """Where run directories are made."""
    given = config.getoption("--raft-out")
    return Path(given) if given is not None else config.rootpath / config.getini("raft_chaos_out")


def keeps_all(config: pytest.Config) -> bool:
    return config.getoption("--raft-out") is not None


def unknown(config: pytest.Config) -> Unknown:
    value = config.getini("raft_chaos_unknown")
    if value not in ("fail", "skip"):
        raise pytest.UsageError(f"raft_chaos_unknown: expected fail or skip, got {value!r}")
    return cast(Unknown, value)


def shrink_s(config: pytest.Config) -> float:
    value = config.getini("raft_chaos_shrink")
    try:
        return float(value)
    except ValueError:
        raise pytest.UsageError(f"raft_chaos_shrink: expected a number of seconds, got {value!r}") from None
