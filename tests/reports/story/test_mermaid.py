"""The diagram of a story: its shape, and that Mermaid reads no text as syntax."""

from __future__ import annotations

import re

import pytest

from raft_chaos.invariants.events import HARNESS, FaultHealed, MessageSent, PhaseStarted, RunEnded
from raft_chaos.invariants.verdict import Violation
from raft_chaos.reports.story.mermaid import escape, mermaid
from raft_chaos.reports.story.story import tell
from raft_chaos.reports.text import fenced
from report_builders import Trace

HOSTILE = 'end; #quot; "x": %% a->>b {c} <b>d</b> @{e} `f`\n\x1b[2J note\u202e'

PARTICIPANT = re.compile(r"    participant p\d+ as (.+)")
NOTE = re.compile(r" {4,8}Note over p\d+(,p\d+)?: (.+)")
ARROW = re.compile(r" {4,8}(p\d+)(->>|-x|--\))(p\d+): (.+)")
SHAPES = (re.compile("sequenceDiagram"), PARTICIPANT, NOTE, ARROW, re.compile(r"    rect rgb\(\d+, \d+, \d+\)|    end"))


def diagram(trace: Trace, invariant: str) -> list[str]:
    return mermaid(tell(trace.items, trace.violation(invariant)))


def two_leaders() -> Trace:
    trace = Trace("n1", "n2", "n10")
    trace.starts("n10", "n2", "n1")
    trace.wins("n1", 1, "n2")
    trace.dies("n2", term=1)
    trace.send("n10", "n1", "rv")
    trace.wins("n10", 1, "n2")
    return trace


def test_a_diagram_has_nodes_arrows_notes_and_a_marked_witness() -> None:
    assert diagram(two_leaders(), "election_safety") == [
        "sequenceDiagram",
        "    participant p1 as n1",
        "    participant p2 as n2",
        "    participant p3 as n10",
        "    Note over p1,p3: Election Safety#58; At most one server is ever elected leader in a given term<br/>"
        "(Figure 3, §5.2).",
        "    Note over p3: 1. 0.001 s#58; started in term 0, no vote,<br/>log empty",
        "    Note over p2: 2. 0.002 s#58; started in term 0, no vote,<br/>log empty",
        "    Note over p1: 3. 0.003 s#58; started in term 0, no vote,<br/>log empty",
        "    Note over p1: 4. 0.004 s#58; became candidate in term 1",
        "    Note over p1: 5. 0.005 s#58; voted for n1 in term 1",
        "    p1->>p2: 6. RequestVote",
        "    Note over p2: 7. 0.008 s#58; voted for n1 in term 1",
        "    p2->>p1: 8. RequestVoteReply",
        "    rect rgb(255, 214, 214)",
        "        Note over p1: 9. 0.011 s#58; became leader in term 1",
        "    end",
        "    Note over p2: 10. 0.012 s#58; killed n2#35;1",
        "    Note over p2: 11. 0.013 s#58; started in term 1, no vote,<br/>log empty",
        "    p3-xp1: 12. RequestVote (never arrives)",
        "    Note over p3: 13. 0.015 s#58; became candidate in term 1",
        "    Note over p3: 14. 0.016 s#58; voted for n10 in term 1",
        "    p3->>p2: 15. RequestVote",
        "    Note over p2: 16. 0.019 s#58; voted for n10 in term 1",
        "    p2->>p3: 17. RequestVoteReply",
        "    rect rgb(255, 214, 214)",
        "        Note over p3: 18. 0.022 s#58; became leader in term 1",
        "    end",
        "    Note over p1,p3: VIOLATED term 1 has two leaders#58; n1 (incarnation 1) and n10 (incarnation 1)",
    ]


def test_a_message_that_arrives_later_is_dotted() -> None:
    trace = two_leaders()
    sent = [item for item in trace.items if isinstance(item, MessageSent)]
    trace.arrives(sent[2])
    rows = mermaid(tell(trace.items, trace.violation("election_safety")))
    assert "    p3--)p1: 12. RequestVote (arrives later)" in rows


def test_a_fault_is_noted_over_its_targets_and_an_event_without_a_node_over_all() -> None:
    trace = Trace("n1", "n2", "n3")
    trace.starts("n1", "n2", "n3")
    trace.fault("f1", "pause", "n2", "n3", "n9")
    trace.add(HARNESS, FaultHealed, fault="f1", type="pause", effective=True)
    trace.add(HARNESS, PhaseStarted, phase="liveness", commit_target=1, owed=("n1",), within_us=1)
    trace.add(HARNESS, RunEnded, reason="done")
    rows = diagram(trace, "recovery")
    assert [row for row in rows if "as n9" in row] == []
    assert "    Note over p2,p3: 4. 0.004 s#58; fault f1 pause#58; pause it is" in rows
    assert "    Note over p1,p3: 5. 0.005 s#58; healed f1 pause" in rows


def test_clients_come_after_the_nodes() -> None:
    trace = Trace("n1")
    trace.starts("n1")
    trace.op("invoke", "a0", 1, "append", value="x")
    trace.op("ok", "a0", 1, "append")
    trace.op("invoke", "a0", 2, "get")
    trace.op("ok", "a0", 2, "get", value=[])
    rows = diagram(trace, "acknowledged_writes")
    assert [match[1] for row in rows if (match := PARTICIPANT.fullmatch(row))] == ["n1", "a0"]
    assert "        Note over p2: 2. 0.002 s#58; a0 invoke a0/1 append k + x" in rows


@pytest.mark.parametrize("hostile", [HOSTILE, "", "end", "x" * 300, "#59;", "日本;語"])
def test_no_text_is_read_as_mermaid_syntax(hostile: str) -> None:
    trace = Trace(hostile, "n2")
    trace.starts(hostile, "n2", digest=hostile, last_index=1, voted_for=hostile)
    trace.message(hostile, "n2", hostile)
    trace.send("n2", hostile, hostile)
    trace.fault(hostile, hostile, hostile)
    trace.op("ok", hostile, 1, "get", value=hostile, error=hostile)
    rows = mermaid(tell(trace.items, Violation(hostile, hostile, hostile, tuple(trace.items[-2:]))))
    assert rows[0] == "sequenceDiagram"
    for row in rows:
        assert row.isprintable()
        assert any(shape.fullmatch(row) for shape in SHAPES), row
        said = re.sub(r"#\d+;|<br/>", "", row.split(": ", 1)[1] if ": " in row else row.partition(" as ")[2])
        assert not re.search(r"[;#:\"%<>{}@`&\[\]]", said), row
    assert sum("rect" in row for row in rows) == rows.count("    end")
    assert fenced(rows, "mermaid")[0] == "```mermaid"


def test_escaped_text_reads_unchanged() -> None:
    shown = re.sub(r"#(\d+);", lambda match: chr(int(match[1])), escape(HOSTILE))
    assert shown == 'end; #quot; "x": %% a->>b {c} <b>d</b> @{e} `f` \\x1b[2J note\\u202e'
    assert escape("plain words, §5.2 (Figure 3)") == "plain words, §5.2 (Figure 3)"
