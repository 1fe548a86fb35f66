"""The fixtures. Whatever fails here is an error of the test, not its failure: the harness, the target, the options."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from raft_chaos.api.by_hand import closed_cluster, opened_cluster
from raft_chaos.api.results import Run
from raft_chaos.api.running import run as run_one
from raft_chaos.chaos.processes.shortage import HarnessError, SetupError
from raft_chaos.chaos.run.option import OptionError
from raft_chaos.chaos.testing.by_hand.cluster import Cluster
from raft_chaos.pytest_plugin import options, outcomes


def run(request: pytest.FixtureRequest, seed: int) -> Iterator[Run]:
    item = _item(request)
    with _told_shortly():
        done = run_one(seed=seed, out=options.out(item.config), **options.run_options(item))
    outcomes.of(item).judge(done)
    yield done
    outcomes.of(item).tidy(done.path)


def cluster(request: pytest.FixtureRequest, seed: int, **fixed: Any) -> Iterator[Cluster]:
    item = _item(request)
    with _told_shortly():
        opened = opened_cluster({**options.run_options(item), **fixed}, seed, options.out(item.config))
    outcomes.of(item).watch(opened)
    yield opened
    with _told_shortly():
        closed_cluster(opened)
    outcomes.of(item).tidy(opened.path)


@contextmanager
def _told_shortly() -> Iterator[None]:
    """What went wrong in words; a traceback through the harness helps nobody."""
    try:
        yield
        return
    except (OptionError, SetupError) as error:
        words = _words("the chaos run cannot begin", error)
    except HarnessError as error:
        words = _words(outcomes.HARNESS, error)
    pytest.fail(words, pytrace=False)


def _words(what: str, error: Exception) -> str:
    return "\n".join([f"{what}: {error}", *getattr(error, "__notes__", [])])


def _item(request: pytest.FixtureRequest) -> pytest.Item:
    item: pytest.Item = request.node
    return item
