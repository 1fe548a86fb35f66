"""The violations: the message, the rule, and the witness with one line for each event.

A witness holds events and client operations as in the run's files. Each becomes a line such as

    8.590 s  n3/2     role_changed  role=leader term=5 leader=n3
    9.114 s  c0       invoke put    key=k1 value="a"
"""

from __future__ import annotations

from typing import Any

import msgspec

from raft_chaos.invariants.verdict import Verdict
from raft_chaos.reports.text import json_value, seconds, visible, visible_lines


class ViolationRow(msgspec.Struct, frozen=True, kw_only=True):
    """One violation. `witness` has one or more lines for each event. `unshown` counts further violations of the
    invariant, of which only the number is known."""

    invariant: str
    message: str
    rule: str
    witness: list[str]
    unshown: int = 0


def violation_rows(verdicts: list[Verdict]) -> list[ViolationRow]:
    """The violations in the order of the verdicts, each invariant's earliest first.

    A violated invariant without a saved violation still has a row: no violation is left out.
    """
    rows: list[ViolationRow] = []
    for verdict in verdicts:
        if verdict.outcome != "violated":
            continue
        if not verdict.violations:
            message = visible(verdict.reason) or "violated; the checker left no witness"
            rows.append(ViolationRow(invariant=verdict.invariant, message=message, rule="", witness=[]))
        unshown = max(0, verdict.violation_count - len(verdict.violations))
        for number, violation in enumerate(verdict.violations, 1):
            rows.append(
                ViolationRow(
                    invariant=verdict.invariant,
                    message=visible(violation.message),
                    rule=visible(violation.rule),
                    witness=[line for item in violation.witness for line in witness_lines(item)],
                    unshown=unshown if number == len(verdict.violations) else 0,
                )
            )
    return rows


def witness_lines(item: Any) -> list[str]:
    """One event, operation or text of a witness as lines. A field of several lines (a log's tail) follows below."""
    if isinstance(item, str):
        return visible_lines(item)
    if not isinstance(item, dict) or not isinstance(item.get("t_us"), int):
        return [json_value(item)]
    fields = dict(item)
    at = f"{seconds(fields.pop('t_us')):>8} s"
    if "kind" in fields:
        where, what = f"{fields.pop('node', '?')}/{fields.pop('inc', '?')}", str(fields.pop("kind"))
    else:
        # A client operation. The process would only repeat the client.
        where, what = str(fields.pop("client", "?")), f"{fields.pop('type', '?')} {fields.pop('f', '?')}"
        fields.pop("process", None)
    blocks = {key: value for key, value in fields.items() if isinstance(value, str) and "\n" in value.strip()}
    pairs = [f"{visible(str(key))}={_value(value)}" for key, value in fields.items() if key not in blocks]
    line = f"{at}  {visible(where):<9}  {visible(what):<16}  {' '.join(pairs)}".rstrip()
    return [line, *(f"{'':10}  | {text}" for block in blocks.values() for text in visible_lines(block))]


def _value(value: Any) -> str:
    """A plain name unchanged; JSON for a value that is easily misread (blanks, quotes, lists, null)."""
    if isinstance(value, str) and value and all(c.isalnum() or c in "_-./:" for c in value):
        return visible(value)
    return json_value(value)
