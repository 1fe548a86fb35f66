"""The JSON document of a run."""

from __future__ import annotations

import json

import report_builders as sample
from raft_chaos.invariants.rundir import RunDir
from raft_chaos.reports.write import render


def test_the_json_document(violated: RunDir) -> None:
    document = json.loads(render(violated, "json"))
    assert {key: document[key] for key in ("verdict", "state", "seed", "world", "target", "mutant")} == {
        "verdict": "violated",
        "state": "finished",
        "seed": 42,
        "world": "live",
        "target": "raft",
        "mutant": "double_vote",
    }
    assert document["run_dir"] == str(violated.path)
    assert document["invariants"] == {
        "election_safety": "violated",
        "linearizability": "unknown",
        "log_matching": "valid",
    }
    assert document["repro"] == sample.REPRO
    assert document["vacuous"] == []
    assert document["violations"][0]["message"] == "n1 and n3 both led term 2"
    assert document["stats"]["ops_ok"] == 50 and document["stats"]["faults_fired"] == 3
    assert document["tables"]["elections"][0]["took_us"] == 16_400
