"""The JSON documents: of a run (`raft-chaos run --json`, report.json) and of a campaign.

A run's keys: verdict, state, seed, world, target, mutant, run_dir, started_at, commit, versions, sealed (whether
run.json lists the files as they were at the end), trace_sha256 ("" in live), invariants (name to verdict), vacuous,
violations, stats, tables, repro; and around, for a violation in a system whose nodes report no events. `tables` holds
the rows behind every table of the report; times end in `_us` and are µs since the run began. A campaign's: verdict,
stats, runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from raft_chaos.reports.campaign.runs import campaign_exposure, campaign_groups, campaign_stats, campaign_verdict
from raft_chaos.reports.run.model import RunReport

Document = dict[str, Any]


def run_document(report: RunReport) -> Document:
    """The document of one run, as plain JSON values."""
    info = report.info
    document = {
        "verdict": report.verdict,
        "state": info.state,
        "seed": info.seed,
        "world": info.world,
        "target": info.target,
        "mutant": info.mutant,
        "run_dir": str(report.path),
        "started_at": info.started_at,
        "commit": info.commit,
        "versions": info.versions,
        "sealed": report.sealed,
        "trace_sha256": info.trace_sha256,
        "invariants": {verdict.invariant: verdict.outcome for verdict in report.invariants},
        "vacuous": info.vacuous,
        "violations": report.violations,
        "stats": report.stats,
        "tables": {
            "invariants": [
                {"invariant": v.invariant, "verdict": v.outcome, "judged": v.judged, "reason": v.reason}
                for v in report.invariants
            ],
            "faults": report.faults,
            "nodes": report.nodes,
            "elections": report.elections,
            "operations": report.operations,
        },
        "repro": info.repro,
        **({"around": report.around} if report.around is not None else {}),
    }
    plain: Document = msgspec.to_builtins(document)
    return plain


def campaign_document(reports: Sequence[RunReport]) -> Document:
    """The document of a campaign, with its runs in the order given."""
    return {
        "verdict": campaign_verdict(reports),
        "stats": campaign_stats(reports),
        "groups": msgspec.to_builtins(campaign_groups(reports)),
        "faults": msgspec.to_builtins(campaign_exposure(reports)),
        "runs": [run_document(report) for report in reports],
    }


def dumps(document: object) -> str:
    """The document as indented JSON text, with a line end."""
    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n"
