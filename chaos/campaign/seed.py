"""What one seed of a campaign came to: a line of statistics, and for a failure where its run directory is."""

from __future__ import annotations

import msgspec

from raft_chaos.invariants.verdict import Outcome


class SeedResult(msgspec.Struct, kw_only=True, tag_field="kind", tag="seed"):
    """One seed. `violated` and `unknown` name invariants, `vacuous` says what was missing, a sentence each.

    `run` is the run directory, which only a seed leaves that was not valid; `repro` the command that repeats it.
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
