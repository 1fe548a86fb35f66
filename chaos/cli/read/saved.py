"""What is reported together: one run, several, or a campaign, of which its file knows every seed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from raft_chaos.chaos.campaign.file import CampaignHeader, SeedFailed, read_campaign, seeds_of
from raft_chaos.chaos.campaign.seed_result import SeedResult
from raft_chaos.invariants.rundir import RunDir
from raft_chaos.reports.campaign.seeds import SeedTotals
from raft_chaos.reports.run.model import build
from raft_chaos.reports.write import Format, render, render_campaign, render_seeds

CAMPAIGNS = "campaign-*.jsonl"


def render_saved(paths: Sequence[Path], shape: Format, width: int) -> str:
    """The report; text for a terminal of `width` columns.

    Raises RunDirError, CampaignError; ValueError for a format that does not fit.
    """
    if len(paths) > 1:
        return render_campaign([build(RunDir(path)) for path in paths], shape, width)
    path = paths[0]
    if path.is_file():
        return _campaign(path, shape, width)
    if path.is_dir() and not RunDir(path).run_json.exists():
        if campaigns := sorted(path.glob(CAMPAIGNS), key=lambda file: file.stat().st_mtime_ns):
            return _campaign(campaigns[-1], shape, width)
        if runs := [file.parent for file in sorted(path.glob("*/run.json"))]:
            return render_campaign([build(RunDir(run)) for run in runs], shape, width)
    return render(RunDir(path), shape, width)


def _campaign(file: Path, shape: Format, width: int) -> str:
    header, results, failed = read_campaign(file)
    return render_seeds(summed(header, file, results, failed), results, file.parent, shape, width)


def summed(
    header: CampaignHeader, file: Path, results: Sequence[SeedResult], failed: Sequence[SeedFailed]
) -> SeedTotals:
    """The sums of a campaign with these results, and failures of the harness."""
    totals = totals_of(header, file, len(results) + len(failed))
    for result in results:
        totals.observe(result)
    for one in failed:
        totals.observe_failure(one.seed, one.error, one.repro)
    return totals


def totals_of(header: CampaignHeader, file: Path, least: int) -> SeedTotals:
    """The sums of a campaign, which are still to be made; it has at least so many seeds."""
    mutant = header.settings.get("mutant")
    target = f"raft with mutant {mutant}" if mutant else "raft"
    number = sum(last - first + 1 for first, last in seeds_of(header))
    totals = SeedTotals(world=header.world, target=target, seeds=header.seeds, total=max(least, number))
    totals.file = str(file)
    return totals
