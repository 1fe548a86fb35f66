"""What clients saw, key by key: in an order that explains it, or with the contradiction; a page holds so many."""

from __future__ import annotations

import pytest

from raft_chaos.invariants.history import Op, OpFunction, OpType
from raft_chaos.invariants.linearizability.readers.jsonl import history_of
from raft_chaos.reports.facts import histories as part
from raft_chaos.reports.facts.histories import Histories, histories
from raft_chaos.reports.facts.plan import planned_faults


def _ops(*rows: tuple[OpType, int, OpFunction, str, str | None, int]) -> list[Op]:
    return [
        Op(type=type_, process=process, client=f"c{process}", op=f"c{process}/0", f=f, key=key, value=value, t_us=t_us)
        for type_, process, f, key, value, t_us in rows
    ]


OVERLAPPING = _ops(
    ("invoke", 0, "get", "x", None, 1_000),
    ("invoke", 1, "put", "x", "a", 2_000),
    ("ok", 1, "put", "x", "a", 3_000),
    ("ok", 0, "get", "x", "a", 4_000),
    ("invoke", 2, "put", "x", "b", 4_500),
    ("invoke", 3, "put", "y", "c", 5_000),
    ("ok", 3, "put", "y", "c", 6_000),
)


def _histories(ops: list[Op], core: tuple[int, ...] = ()) -> Histories:
    return histories(history_of("history", enumerate(ops, 1)), core)


def test_a_key_is_in_the_order_that_explains_it() -> None:
    x, y = _histories(OVERLAPPING).keys
    assert (x.key, x.ordered, y.key, y.ordered) == ("x", "linearized", "y", "linearized")
    assert [one.text for one in x.operations] == ['write c1/0 wrote "a"', 'read c0/0 returned "a"']
    assert [(one.called_s, one.returned_s) for one in x.operations] == [(0.002, 0.003), (0.001, 0.004)]
    assert x.without_effect == 1


def test_a_violated_key_comes_first_in_the_order_of_its_calls() -> None:
    y, x = _histories(OVERLAPPING, core=(3,)).keys
    assert (y.key, y.ordered, [one.core for one in y.operations]) == ("y", "violated", [True])
    assert x.ordered == "linearized" and not any(one.core for one in x.operations)


def test_what_does_not_fit_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(part, "MOST_OF_A_KEY", 1)
    assert [one.unshown for one in _histories(OVERLAPPING).keys] == [1, 0]
    monkeypatch.setattr(part, "MOST_OPERATIONS", 1)
    shown = _histories(OVERLAPPING)
    assert ([one.key for one in shown.keys], shown.unshown) == (["x"], 1)


def test_the_planned_faults_in_words() -> None:
    action = {"type": "network", "nodes": ["n1", "n2"], "delay_min_us": 6255, "loss": 0.0, "duplicate": 0.028}
    cut = {"type": "partition", "shape": "one", "grudge": {"n1": ["n2", "n3"]}}
    first, second, damaged = planned_faults(
        [
            {"kind": "schedule"},
            {"kind": "fault", "id": "f1", "when": {"at_us": 1_500_000}, "action": action, "duration_us": 250_000},
            {"kind": "fault", "id": "f2", "when": {"on": "leader_elected", "nth": 2}, "action": cut, "duration_us": 0},
            {"kind": "fault", "id": "f3", "when": [], "action": 7, "duration_us": "x"},
        ]
    )
    assert (first.due, first.kind, first.on, first.lasts_ms) == ("1.500 s", "network", "n1 n2", "250")
    assert first.how == "delay min 6.3 ms; duplicate 0.028"
    assert (second.due, second.kind, second.lasts_ms) == ("leader_elected #2", "partition one", "")
    assert second.how == "n1 does not hear n2 n3"
    assert damaged.id == "f3"
