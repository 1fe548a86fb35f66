"""Logs that begin behind a snapshot (§7): what convicts, in whatever order the nodes are observed."""

from __future__ import annotations

from itertools import permutations

import pytest

from raft_chaos.invariants.events import (
    CommitAdvanced,
    EntryAppended,
    EntryApplied,
    Event,
    SnapshotInstalled,
    SnapshotRestored,
    SnapshotTaken,
    Started,
)
from raft_chaos.invariants.judge import Judge


def violated(*streams: list[Event]) -> set[str]:
    judge = Judge(voters=("n1", "n2", "n3"))
    for stream in streams:
        judge.observe_all(stream)
    return {verdict.invariant for verdict in judge.verdicts() if verdict.outcome == "violated"}


def started(node: str, inc: int = 1, last: int = 0, base: tuple[int, str] = (0, "")) -> Event:
    index, digest = base
    return Started(
        node=node,
        inc=inc,
        t_us=0,
        term=1,
        voted_for=None,
        last_index=last,
        digest="",
        base_index=index,
        base_term=1 if index else 0,
        base_digest=digest,
    )


def log(node: str, digests: str, first: int = 1, inc: int = 1) -> list[Event]:
    """One entry of term 1 for each letter, which is its digest."""
    return [
        EntryAppended(node=node, inc=inc, t_us=0, index=index, term=1, digest=digest)
        for index, digest in enumerate(digests, first)
    ]


def commit(node: str, index: int, inc: int = 1) -> Event:
    return CommitAdvanced(node=node, inc=inc, t_us=0, index=index, term=1)


def applied(node: str, *states: str, first: int = 1) -> list[Event]:
    return [
        EntryApplied(node=node, inc=1, t_us=0, index=index, term=1, digest=state)
        for index, state in enumerate(states, first)
    ]


def installed(node: str, index: int, digest: str) -> Event:
    return SnapshotInstalled(node=node, inc=1, t_us=0, index=index, term=1, digest=digest, via="InstallSnapshot")


def taken(node: str, index: int, digest: str, state: str) -> Event:
    return SnapshotTaken(node=node, inc=1, t_us=0, index=index, term=1, digest=digest, state=state)


def restored(node: str, index: int, state: str) -> Event:
    return SnapshotRestored(node=node, inc=1, t_us=0, index=index, term=1, digest=state)


FULL = [started("n1"), *log("n1", "abcde"), commit("n1", 5)]
BEHIND = [started("n2"), installed("n2", 3, "c"), *log("n2", "de", first=4), commit("n2", 5)]


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_a_commit_that_differs_is_found_although_one_node_does_not_say_what_was_before_its_snapshot(
    order: tuple[int, ...],
) -> None:
    differs = [started("n3"), *log("n3", "ax"), commit("n3", 2)]
    streams = [FULL, BEHIND, differs]
    assert "state_machine_safety" in violated(*(streams[place] for place in order))
    same = [started("n3"), *log("n3", "ab"), commit("n3", 2)]
    streams = [FULL, BEHIND, same]
    assert not violated(*(streams[place] for place in order)) & {"state_machine_safety", "log_matching", "monotonicity"}


@pytest.mark.parametrize("reverse", [False, True])
def test_a_snapshot_of_another_log_or_another_state_convicts(reverse: bool) -> None:
    right = [*FULL, *applied("n1", "1", "2", "3")]

    def found(*stream: Event) -> set[str]:
        streams = [right, [started("n2"), *stream]]
        both = violated(*(streams[::-1] if reverse else streams))
        return both & {"log_matching", "state_machine_safety"}

    assert found(installed("n2", 3, "c"), restored("n2", 3, "3")) == set()
    assert found(installed("n2", 3, "x"), restored("n2", 3, "3")) == {"log_matching"}
    assert found(installed("n2", 3, "c"), restored("n2", 3, "2")) == {"state_machine_safety"}
    own = [*log("n2", "abc"), commit("n2", 3), *applied("n2", "1", "2", "3")]
    assert found(*own, taken("n2", 3, "c", "3")) == set()
    assert found(*own, taken("n2", 3, "c", "2")) == {"state_machine_safety"}
    assert found(*own, taken("n2", 2, "c", "2")) == {"log_matching"}, "its own log has another digest there"


def test_a_restart_owes_what_the_snapshot_does_not_replace_and_the_same_log_up_to_it() -> None:
    before = [
        started("n1"),
        *log("n1", "abcde"),
        commit("n1", 4),
        *applied("n1", "1", "2", "3"),
        taken("n1", 3, "c", "3"),
    ]

    def after(last: int, digest: str, rest: str) -> set[str]:
        again = [started("n1", 2, last, (3, digest)), *log("n1", rest, first=4, inc=2)]
        return violated([*before, *again]) & {"durability", "log_matching"}

    assert after(5, "c", "de") == set()
    assert after(4, "c", "d") == {"durability"}, "entry 5 is gone"
    assert "durability" in after(5, "c", "dx")
    assert "durability" in after(5, "x", "de")


def test_a_snapshot_takes_nothing_back() -> None:
    own = [started("n1"), *log("n1", "abcde"), commit("n1", 5), *applied("n1", "1", "2", "3", "4")]
    assert "monotonicity" in violated([*own, installed("n1", 3, "c")]), "the commit index"
    assert "monotonicity" in violated([*own, restored("n1", 4, "4")]), "the state"
    assert "monotonicity" in violated([*own, taken("n1", 5, "e", "5")]), "it is not applied"
    forward = [
        started("n1"),
        installed("n1", 3, "c"),
        restored("n1", 3, "3"),
        *log("n1", "d", first=4),
        commit("n1", 4),
    ]
    assert "monotonicity" not in violated([*forward, *applied("n1", "4", first=4)])
    assert "monotonicity" in violated([*forward, *applied("n1", "3", first=3)])
