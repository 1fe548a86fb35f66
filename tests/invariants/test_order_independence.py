"""The judge over generated runs: correct runs are never convicted, each bug is, and arrival order does not matter."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tiny_cluster
import tiny_store
from raft_chaos.invariants.events import HARNESS, Event
from raft_chaos.invariants.history import Op
from raft_chaos.invariants.judge import Judge
from raft_chaos.invariants.verdict import Outcome
from tiny_cluster import TinyCluster
from tiny_store import TinyStore

SEEDS = st.integers(0, 2**32)
BUGS = st.sampled_from([None, *tiny_cluster.BUGS])


def interleaved(streams: Sequence[Sequence[Event | Op]], random: Random) -> list[Event | Op]:
    """All streams in one, each in its own order."""
    turns = [number for number, stream in enumerate(streams) for _ in stream]
    random.shuffle(turns)
    rest = [iter(stream) for stream in streams]
    return [next(rest[number]) for number in turns]


def outcomes(stream: Sequence[Event | Op]) -> dict[str, Outcome]:
    judge = Judge(voters=sorted({item.node for item in stream if isinstance(item, Event)} - {HARNESS}))
    for item in stream:
        if isinstance(item, Op):
            judge.observe_op(item)
        else:
            judge.observe(item)
    return {verdict.invariant: verdict.outcome for verdict in judge.verdicts()}


def acked_ops(cluster: TinyCluster, random: Random) -> list[Op]:
    """Answers that name entries of some node's log, committed or not."""
    ops: list[Op] = []
    for number, (term, _) in enumerate(random.choice(cluster.nodes).log):
        ack = Op(
            type="ok", process=0, client="c", op=f"c/{number}", f="put", key="k", t_us=0, index=number + 1, term=term
        )
        ops.append(ack)
    return ops


@given(seed=SEEDS, steps=st.integers(0, 80), size=st.sampled_from([3, 5]))
@settings(deadline=None)
def test_a_correct_run_is_never_convicted(seed: int, steps: int, size: int) -> None:
    cluster = TinyCluster(seed, size=size).run(steps)
    found = outcomes(interleaved(cluster.streams, Random(seed)))
    assert "violated" not in found.values(), found
    for always_judged in (
        *("election_safety", "leader_votes_quorum", "log_matching", "committed_log_append_only", "quorum_log"),
        "leader_commits_own_term",
        *("recovery", "unexpected_exit", "monotonicity"),
    ):
        assert found[always_judged] == "valid"


@given(seed=SEEDS, bug=BUGS, steps=st.integers(0, 60), one=st.randoms(), other=st.randoms())
@settings(deadline=None)
def test_verdicts_do_not_depend_on_the_interleaving(
    seed: int, bug: str | None, steps: int, one: Random, other: Random
) -> None:
    cluster = TinyCluster(seed, bug).run(steps)
    streams: list[Sequence[Event | Op]] = [*cluster.streams, acked_ops(cluster, Random(seed))]
    assert outcomes(interleaved(streams, one)) == outcomes(interleaved(streams, other))


@given(seed=SEEDS, bug=BUGS, damage=st.integers(0, 2**32), one=st.randoms(), other=st.randoms())
@settings(deadline=None)
@pytest.mark.slow
def test_verdicts_on_a_damaged_report_do_not_depend_on_the_interleaving(
    seed: int, bug: str | None, damage: int, one: Random, other: Random
) -> None:
    """Events lost, repeated and swapped: nonsense is convicted or not, but always alike, and nothing is raised."""
    streams = TinyCluster(seed, bug).run(40).streams
    random = Random(damage)
    for stream in random.choices(streams, k=3):
        at = random.randrange(len(stream))
        stream[at : at + 1] = random.choice([[], [stream[at]] * 2, [stream[-1]], [stream[0], stream[at]]])
        if not stream:
            return
    found = outcomes(interleaved(streams, one))
    assert found == outcomes(interleaved(streams, other))


@pytest.mark.parametrize("bug", tiny_cluster.BUGS)
def test_each_bug_of_a_cluster_is_convicted(bug: str) -> None:
    broken = [outcomes(interleaved(TinyCluster(seed, bug).run(60).streams, Random(0))) for seed in range(20)]
    assert any(found[tiny_cluster.BUGS[bug]] == "violated" for found in broken)


def outcomes_of_store(seed: int, steps: int, bug: str | None = None) -> dict[str, Outcome]:
    return outcomes(TinyStore(seed, bug).run(steps).history.ops)


@given(seed=SEEDS, steps=st.integers(0, 300))
@settings(deadline=None)
def test_a_correct_history_is_never_convicted(seed: int, steps: int) -> None:
    found = outcomes_of_store(seed, steps)
    assert "violated" not in (found["acknowledged_writes"], found["monotonic_reads"])


@pytest.mark.parametrize("bug", tiny_store.BUGS)
def test_each_bug_of_a_store_is_convicted(bug: str) -> None:
    assert any(outcomes_of_store(seed, 200, bug)[tiny_store.BUGS[bug]] == "violated" for seed in range(20))
    assert any(outcomes_of_store(seed, 200)[tiny_store.BUGS[bug]] == "valid" for seed in range(20))
