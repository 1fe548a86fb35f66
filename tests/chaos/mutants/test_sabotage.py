"""Sabotages: a run that does not repeat has another digest. Those of real files and links are in test_lockstep."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from builders.commands import SCRIPTS
from builders.runs import in_sim
from builders.storms import stormy
from raft_chaos.chaos.mutants import MUTANTS, SABOTAGES, parts_of
from raft_chaos.raft.network.transport import Transport
from raft_chaos.raft.server.parts import Parts

PRINTS_A_DIGEST = """
from builders.runs import in_sim
from builders.storms import stormy
print(in_sim(stormy(1), {!r}).trace_sha256)
"""


def digest_in_a_process(mutant: str | None, hash_seed: int) -> str:
    """The digest of a run in a process of its own, with this order of sets."""
    done = subprocess.run(
        [sys.executable, "-c", PRINTS_A_DIGEST.format(mutant)],
        cwd=SCRIPTS,
        env=os.environ | {"PYTHONHASHSEED": str(hash_seed)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout.strip()


def test_every_sabotage_replaces_exactly_one_part() -> None:
    right = Parts(transport=Transport)
    for name in SABOTAGES:
        parts = parts_of(name)
        given = {part: one for part in right.__dataclass_fields__ if (one := getattr(parts, part)) is not None}
        replaced = [part for part, one in given.items() if one is not getattr(right, part)]
        assert len(replaced) == 1, name
        (part,) = replaced
        assert issubclass(getattr(parts, part), getattr(right, part))


def test_no_sabotage_has_the_name_of_a_mutant() -> None:
    assert not set(SABOTAGES) & set(MUTANTS)


@pytest.mark.parametrize("sabotage", ["wall_clock", "global_random"])
def test_a_sabotage_that_depends_on_time_shows_between_two_runs(sabotage: str) -> None:
    digests = {in_sim(stormy(1), sabotage).trace_sha256 for _ in range(3)}
    assert len(digests) > 1


@pytest.mark.slow
def test_a_sabotage_that_depends_on_the_process_shows_between_two_processes() -> None:
    right = digest_in_a_process(None, 1)
    assert right == in_sim(stormy(1)).trace_sha256 == digest_in_a_process(None, 2)
    digests = {digest_in_a_process("set_order", hash_seed) for hash_seed in (1, 2, 3)}
    assert len(digests) > 1
