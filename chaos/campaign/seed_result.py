"""The result of one seed: a line of statistics, and for a failure the place of its run directory."""

from __future__ import annotations

import msgspec

from raft_chaos.invariants.exposure import Exposure
from raft_chaos.invariants.verdict import Outcome


class SeedResult(msgspec.Struct, kw_only=True, tag_field="kind", tag="seed"):
    """One seed. `violated` and `unknown` name invariants, `vacuous` says what was missing, a sentence each.

    `run` is the run directory, which only a seed that was not valid leaves; `repro` is the command that repeats it.
    `found` is the message of the first violation, `exposure` what the faults met; a file of an earlier version has
    neither. `baseline` has the statistics of `seed.COMPARED` without the mistake, if the seed was compared.
    """

    seed: int
    verdict: Outcome
    violated: list[str]
    unknown: list[str]
    vacuous: list[str]
    trace_sha256: str
    stats: dict[str, float | int | str]
    run: str | None
    repro: str
    found: str = ""
    exposure: list[Exposure] = []
    baseline: dict[str, int] = {}
