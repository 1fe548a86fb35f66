"""stale_reads: what a read of a node's own state may show, and what no correct node shows."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from event_scripts import History, judged
from raft_chaos.invariants.history import Value
from raft_chaos.invariants.verdict import Verdict

Script = Callable[[History], None]


def write(h: History, f: str, value: str | None, index: int, client: str = "c0") -> None:
    """An acknowledged write, which is the entry at `index`."""
    h.ok(h.invoke(client, f, value=value), index=index, term=1)  # type: ignore[arg-type]


def stale(h: History, value: Value, index: int, *, node: str = "n2", inc: int = 1, client: str = "c1") -> None:
    h.answer_stale(h.invoke_stale(client), value, index, node, inc)


def verdict_on(script: Script) -> Verdict:
    history = History()
    script(history)
    return judged(ops=history.ops, events_expected=False)["stale_reads"]


def message(script: Script) -> str:
    verdict = verdict_on(script)
    assert verdict.outcome == "violated" and verdict.violation_count == 1
    return verdict.violations[0].message


# ---- what may be shown -----------------------------------------------------------------------------------------------


def test_old_states_are_valid_at_their_index_also_long_after_they_were_replaced() -> None:
    def script(h: History) -> None:
        write(h, "put", "a", 2)
        write(h, "put", "b", 5)
        write(h, "delete", None, 9)
        for index, value in ((1, None), (2, "a"), (4, "a"), (5, "b"), (8, "b"), (9, None)):
            stale(h, value, index)

    verdict = verdict_on(script)
    assert (verdict.outcome, verdict.judged) == ("valid", 6)


def test_stale_reads_are_no_part_of_the_linearizable_history() -> None:
    history = History()
    write(history, "put", "a", 2)
    write(history, "put", "b", 3)
    stale(history, "a", 2)
    history.read("c2", "b")
    outcomes = {name: v.outcome for name, v in judged(ops=history.ops, events_expected=False).items()}
    named = ("stale_reads", "linearizability", "acknowledged_writes", "monotonic_reads")
    assert [outcomes[name] for name in named[:3]] == ["valid"] * 3
    assert outcomes["monotonic_reads"] == "unknown", "one read alone is compared with nothing"


def test_a_read_by_read_index_is_part_of_the_linearizable_history() -> None:
    history = History()
    write(history, "put", "a", 2)
    write(history, "put", "b", 3)
    history.answer_stale(history.invoke_stale("c1", "read_index"), "a", 2, "n1", 1)
    verdicts = judged(ops=history.ops, events_expected=False)
    assert verdicts["linearizability"].outcome == verdicts["acknowledged_writes"].outcome == "violated"
    assert "stale_reads" not in verdicts, "none was asked for"


@pytest.mark.parametrize("value", [None, "a", "b"])
def test_a_write_of_unknown_outcome_may_be_any_entry_or_none(value: str | None) -> None:
    def script(h: History) -> None:
        h.info(h.invoke("c0", "put", value="a"))
        h.invoke("c2", "delete")
        write(h, "put", "b", 5)
        stale(h, value, 7)

    assert verdict_on(script).outcome == "valid"


def test_lists_hold_every_entry_up_to_the_index_and_perhaps_some_of_unknown_outcome() -> None:
    def script(h: History) -> None:
        write(h, "append", "a", 2)
        h.info(h.invoke("c2", "append", value="u"))
        write(h, "append", "b", 4)
        for index, value in ((1, None), (2, ["a"]), (3, ["a", "u"]), (4, ["a", "u", "b"])):
            stale(h, value, index)

    assert verdict_on(script).outcome == "valid"


def test_reads_that_overlap_may_come_back_in_either_order_and_another_incarnation_begins_anew() -> None:
    def script(h: History) -> None:
        write(h, "put", "a", 2)
        slow = h.invoke_stale("c1")
        stale(h, "a", 3, client="c2")
        h.answer_stale(slow, None, 1, "n2", 1)
        stale(h, None, 1, inc=2)
        stale(h, None, 1, node="n3")

    assert verdict_on(script).outcome == "valid"


# ---- what must not be shown ------------------------------------------------------------------------------------------


def test_a_value_that_nobody_wrote() -> None:
    assert message(lambda h: stale(h, "x", 3)) == "c1/0 read 'x' from 'k', which nobody wrote"


def test_a_value_whose_write_began_only_after_the_read() -> None:
    def script(h: History) -> None:
        stale(h, "a", 3)
        h.info(h.invoke("c0", "put", value="a"))

    assert message(script) == "c1/0 read 'a' from 'k', which was not written by then"


def test_a_value_whose_write_failed_even_if_that_becomes_known_later() -> None:
    def script(h: History) -> None:
        put = h.invoke("c0", "put", value="a")
        stale(h, "a", 3)
        h.fail(put)

    assert message(script) == "c1/0 read 'a' from 'k', which failed"


@pytest.mark.parametrize(
    ("value", "index", "how"),
    [
        ("a", 5, "without entry 5"),
        (None, 2, "without entry 2"),
        ("b", 4, "which is entry 5"),
        ("b", 9, "without entry 9"),
    ],
)
def test_another_state_than_that_at_the_index(value: str | None, index: int, how: str) -> None:
    def script(h: History) -> None:
        write(h, "put", "a", 2)
        write(h, "put", "b", 5)
        write(h, "delete", None, 9)
        stale(h, value, index)

    assert message(script) == f"c1/0 read {value!r} from 'k' at n2 as of index {index}, {how}"


@pytest.mark.parametrize(
    ("value", "index", "how"),
    [
        (["b"], 4, "without entry 2"),
        (["a", "b"], 3, "with entry 4"),
        (["b", "a"], 4, "in another order than that of the entries"),
        (["a", "a", "b"], 4, "with 'a' twice"),
    ],
)
def test_another_list_than_that_at_the_index(value: list[str], index: int, how: str) -> None:
    def script(h: History) -> None:
        write(h, "append", "a", 2)
        write(h, "append", "b", 4)
        stale(h, value, index)

    assert message(script) == f"c1/0 read {value!r} from 'k' at n2 as of index {index}, {how}"


def test_an_incarnation_that_goes_back() -> None:
    def script(h: History) -> None:
        write(h, "put", "a", 2)
        stale(h, "a", 3)
        stale(h, "a", 7, node="n3")
        stale(h, "a", 2, client="c2")

    assert message(script) == (
        "n2 (incarnation 1) answered c2/0 as of index 2, after it had answered c1/0 as of index 3"
    )


def test_two_states_at_one_index() -> None:
    """Which one is wrong is unknown, since neither write was acknowledged."""

    def script(h: History) -> None:
        h.info(h.invoke("c0", "put", value="a"))
        h.info(h.invoke("c2", "put", value="b"))
        stale(h, "a", 3)
        stale(h, "b", 3, node="n3")

    assert message(script) == "c1/0 and c1/1 read 'a' and 'b' from 'k', both as of index 3"


def test_a_key_with_both_kinds_of_writes_is_judged_by_the_other_rules() -> None:
    def script(h: History) -> None:
        write(h, "put", "a", 2)
        write(h, "append", "b", 4)
        stale(h, "a", 9)
        stale(h, "x", 9, node="n3")

    verdict = verdict_on(script)
    assert [violation.message for violation in verdict.violations] == [
        "c1/0 and c1/1 read 'a' and 'x' from 'k', both as of index 9",
        "c1/1 read 'x' from 'k', which nobody wrote",
    ]
