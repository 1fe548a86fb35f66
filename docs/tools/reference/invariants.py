"""The invariants, from their checkers."""

from __future__ import annotations

from docs.tools.reference.markdown import listed, page, paragraphs, table
from raft_chaos.invariants.checkers.base import Checker
from raft_chaos.invariants.checkers.causal_past import CausalChecker
from raft_chaos.invariants.checkers.elections import ElectionsInLogs
from raft_chaos.invariants.checkers.node_logs import NodeLogs
from raft_chaos.invariants.events import HarnessEvent, MessageReceived, MessageSent, NodeEvent
from raft_chaos.invariants.judge import Judge
from raft_chaos.invariants.pace import Pace

VOTERS = ("n1", "n2", "n3")
PACE = Pace(50_000, 64, 1, (150_000, 300_000), 100, check_quorum=True)
"""Some invariants are judged only for a system whose pace is known."""
RULES = ("rule", "invariant", "nothing_judged")


def text() -> str:
    checkers = Judge(voters=VOTERS, pace=PACE, can=("get", "enqueue", "dequeue")).checkers
    rows = [[f"[{one.invariant}](#{one.invariant})", one.rule] for one in checkers]
    purpose = (
        "What is judged, with the rule as reports print it; sections and figures are those of the Raft paper. "
        "[What is judged](../invariants.md) says it in plainer words."
    )
    parts = [part for one in checkers for part in _invariant(one)]
    return page("Invariants", purpose, "invariants/checkers", table(["invariant", "rule"], rows), *parts)


def _invariant(one: Checker) -> list[str]:
    more = [
        f"- {value}"
        for name, value in vars(type(one)).items()
        if isinstance(value, str) and not name.startswith("_") and name not in RULES
    ]
    facts = [f"- Unknown if {one.nothing_judged}.", f"- Needs {_evidence(one)}."]
    if one.invariant == ElectionsInLogs.invariant:
        facts.append(f"- Without these events: {paragraphs(ElectionsInLogs)[0]}")
    rules = ["Its further rules:", "\n".join(more)] if more else []
    return [f"## {one.invariant}", one.rule, *paragraphs(one), *rules, "Evidence:", "\n".join(facts)]


def _evidence(one: Checker) -> str:
    handled = [*one.handlers(), *(NodeLogs().handlers() if hasattr(one, "_logs") else ())]
    kinds = {kind[0] if isinstance(kind, tuple) else kind for kind in handled}
    if isinstance(one, CausalChecker):
        kinds |= {MessageSent, MessageReceived, *one.facts(), *one.claims()}
    parts = [
        f"{who}: {listed(sorted(str(kind.__struct_config__.tag) for kind in kinds if issubclass(kind, source)))}"
        for who, source in (("events of nodes", NodeEvent), ("events of the harness", HarnessEvent))
        if any(issubclass(kind, source) for kind in kinds)
    ]
    if hasattr(one, "observe_op"):
        parts.append("the history of the clients")
    return "; ".join(parts)
