"""acknowledged_writes and monotonic_reads: histories that violate them, and uncertain histories that do not."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from event_scripts import History, appends, applies, commits, judged, started, violated
from raft_chaos.invariants.verdict import Verdict

Script = Callable[[History], None]


def outcomes(script: Script) -> tuple[str, str]:
    """The outcomes of acknowledged_writes and monotonic_reads."""
    verdicts = verdicts_on(script)
    return verdicts["acknowledged_writes"].outcome, verdicts["monotonic_reads"].outcome


def verdicts_on(script: Script) -> dict[str, Verdict]:
    history = History()
    script(history)
    return judged(ops=history.ops, events_expected=False)


# ---- registers ----


def test_a_register_read_in_order_is_valid() -> None:
    def script(h: History) -> None:
        h.read("c1", None)
        h.put("c0", "a")
        h.read("c1", "a")
        h.put("c0", "b")
        h.read("c1", "b")

    assert outcomes(script) == ("valid", "valid")


@pytest.mark.parametrize("value", [None, "a"])
def test_an_acknowledged_put_is_lost(value: str | None) -> None:
    def script(h: History) -> None:
        h.put("c0", "a")
        h.put("c0", "b")
        h.read("c1", value)

    verdict = verdicts_on(script)["acknowledged_writes"]
    assert verdict.outcome == "violated"
    assert [op.op for op in verdict.violations[0].witness][-4:] == ["c0/1", "c0/1", "c1/0", "c1/0"]


def test_a_read_concurrent_with_a_put_may_return_either_value() -> None:
    for value in ("a", "b"):

        def script(h: History, value: str = value) -> None:
            h.put("c0", "a")
            read = h.invoke("c1", "get")
            h.put("c0", "b")
            h.ok(read, value)

        assert outcomes(script)[0] == "valid"


def test_an_open_put_may_be_read_or_not() -> None:
    def script(h: History) -> None:
        h.put("c0", "a")
        h.invoke("c0", "put", value="b")
        h.read("c1", "a")
        h.read("c2", "b")

    assert outcomes(script) == ("valid", "valid")


def test_an_unknown_put_may_take_effect_late_over_later_values() -> None:
    def script(h: History) -> None:
        h.put("c0", "a")
        h.info(h.invoke("c0", "put", value="b"))
        h.put("c0", "c")
        h.read("c1", "c")
        h.read("c1", "b")

    assert outcomes(script) == ("valid", "valid")


def test_an_unknown_put_excuses_no_other_value() -> None:
    def script(h: History) -> None:
        h.put("c0", "a")
        h.info(h.invoke("c0", "put", value="b"))
        h.read("c1", "b")
        h.read("c1", "a")

    assert outcomes(script) == ("valid", "violated")


def test_a_value_that_nobody_wrote() -> None:
    def script(h: History) -> None:
        h.put("c0", "a")
        h.read("c1", "z")

    assert outcomes(script)[0] == "violated"
    assert outcomes(lambda h: h.read("c1", "z"))[0] == "violated"


def test_a_value_read_before_its_put_was_invoked() -> None:
    def script(h: History) -> None:
        h.put("c0", "a")
        h.read("c1", "b")
        h.put("c0", "b")

    assert outcomes(script)[0] == "violated"


@pytest.mark.parametrize("late", [False, True], ids=["fail seen first", "read seen first"])
def test_a_failed_put_is_read(late: bool) -> None:
    def script(h: History) -> None:
        h.put("c0", "a")
        put = h.invoke("c0", "put", value="b")
        if late:
            h.read("c1", "b")
            h.fail(put)
        else:
            h.fail(put)
            h.read("c1", "b")

    assert outcomes(script)[0] == "violated"


def test_a_failed_put_that_is_not_read_is_ignored() -> None:
    def script(h: History) -> None:
        h.put("c0", "a")
        h.fail(h.invoke("c0", "put", value="b"))
        h.read("c1", "a")
        h.put("c0", "c")
        h.read("c1", "c")

    assert outcomes(script) == ("valid", "valid")


@pytest.mark.parametrize("value", ["a", None])
def test_a_later_read_goes_back(value: str | None) -> None:
    # b's put is never answered, so no acknowledged write is missing: only the reads contradict each other.
    def script(h: History) -> None:
        if value is not None:
            h.put("c0", value)
        h.invoke("c0", "put", value="b")
        h.read("c1", "b")
        h.read("c2", value)

    assert outcomes(script) == ("valid", "violated")


def test_overlapping_reads_are_not_compared() -> None:
    def script(h: History) -> None:
        h.put("c0", "a")
        read = h.invoke("c2", "get")
        h.invoke("c0", "put", value="b")
        h.read("c1", "b")
        h.ok(read, "a")

    assert outcomes(script) == ("valid", "unknown")


def test_reads_that_failed_or_are_unknown_say_nothing() -> None:
    def script(h: History) -> None:
        h.put("c0", "a")
        h.fail(h.invoke("c1", "get"))
        h.info(h.invoke("c2", "get"))

    assert outcomes(script) == ("unknown", "unknown")


# ---- lists ----


def test_a_list_that_grows_is_valid() -> None:
    def script(h: History) -> None:
        h.read("c2", None)
        h.append("c0", "a")
        h.append("c1", "b")
        h.read("c2", ["a", "b"])
        h.info(h.invoke("c0", "append", value="c"))
        h.append("c1", "d")
        h.read("c2", ["a", "b", "d"])
        h.read("c2", ["a", "b", "d", "c"])

    assert outcomes(script) == ("valid", "valid")


@pytest.mark.parametrize("tokens", [None, ["b"], ["a", "z", "b"], ["a", "b", "a"], "a"])
def test_a_list_lacks_an_acknowledged_token_or_has_an_unwritten_or_repeated_one(tokens: list[str] | None) -> None:
    def script(h: History) -> None:
        h.append("c0", "a")
        h.append("c1", "b")
        h.read("c2", tokens)

    assert outcomes(script)[0] == "violated"


def test_a_failed_append_is_read() -> None:
    def script(h: History) -> None:
        append = h.invoke("c0", "append", value="a")
        h.read("c1", ["a"])
        h.fail(append)

    assert outcomes(script)[0] == "violated"


def test_an_append_acknowledged_after_the_read_began_may_be_missing() -> None:
    def script(h: History) -> None:
        read = h.invoke("c1", "get")
        h.append("c0", "a")
        h.ok(read, [])

    assert outcomes(script)[0] == "valid"


def test_a_list_shrinks() -> None:
    def script(h: History) -> None:
        h.invoke("c0", "append", value="a")
        h.read("c1", ["a"])
        h.read("c1", [])

    assert outcomes(script) == ("valid", "violated")


def test_two_overlapping_reads_see_lists_of_which_neither_is_a_prefix() -> None:
    def script(h: History) -> None:
        h.invoke("c0", "append", value="a")
        h.invoke("c1", "append", value="b")
        one, other = h.invoke("c2", "get"), h.invoke("c3", "get")
        h.ok(one, ["a", "b"])
        h.ok(other, ["b"])

    assert outcomes(script) == ("valid", "violated")


def test_overlapping_reads_may_see_the_longer_list_first() -> None:
    def script(h: History) -> None:
        h.invoke("c0", "append", value="a")
        one, other = h.invoke("c2", "get"), h.invoke("c3", "get")
        h.ok(one, ["a"])
        h.ok(other, [])
        h.read("c2", ["a"])

    assert outcomes(script) == ("valid", "valid")


# ---- keys that are left to a linearizability checker ----


def _second_writer(h: History) -> None:
    h.put("c1", "b")


def _compare_and_set(h: History) -> None:
    h.ok(h.invoke("c0", "cas", value="b", expected="a"))


def _delete(h: History) -> None:
    h.ok(h.invoke("c0", "delete"))


def _append(h: History) -> None:
    h.append("c0", "b")


def _same_value_again(h: History) -> None:
    h.put("c0", "a")


def _overlapping_puts(h: History) -> None:
    h.invoke("c0", "put", value="b")
    h.put("c0", "c")


@pytest.mark.parametrize(
    "write", [_second_writer, _compare_and_set, _delete, _append, _same_value_again, _overlapping_puts]
)
def test_a_mixed_key_is_not_judged(write: Script) -> None:
    def script(h: History) -> None:
        h.put("c0", "a")
        read = h.invoke("c2", "get")
        write(h)
        h.ok(read, "zzz")
        h.read("c2", None)

    verdicts = verdicts_on(script)
    assert outcomes(script) == ("unknown", "unknown")
    assert "1 keys" in verdicts["acknowledged_writes"].reason


def test_violations_found_before_a_key_became_mixed_still_count() -> None:
    def script(h: History) -> None:
        h.put("c0", "a")
        h.read("c2", None)
        h.put("c1", "b")

    assert outcomes(script)[0] == "violated"


def test_answers_without_an_invocation_are_ignored() -> None:
    history = History()
    history.put("c0", "a")
    history.read("c1", None)
    assert violated(judged(ops=history.ops[1:2] + history.ops[3:], events_expected=False)) == []


# ---- against the log ----


def acked_at(index: int, term: int) -> History:
    history = History()
    history.ok(history.invoke("c0", "put", value="a"), index=index, term=term)
    return history


LOG = [started("n1"), *appends("n1", "1x 2a"), commits("n1", 2, 2), applies("n1", 1, 1), applies("n1", 2, 2)]


def test_an_acknowledged_write_is_the_entry_at_its_index() -> None:
    assert judged(LOG, ops=acked_at(2, 2).ops)["acknowledged_writes"].outcome == "valid"
    assert judged(LOG, ops=acked_at(3, 2).ops)["acknowledged_writes"].outcome == "unknown"


def test_another_entry_was_applied_where_a_write_was_acknowledged() -> None:
    history = acked_at(1, 2)
    verdict = judged(LOG, ops=history.ops)["acknowledged_writes"]
    assert verdict.outcome == "violated"
    assert verdict.violations[0].witness == (history.ops[1], applies("n1", 1, 1))


def test_an_acknowledgement_is_compared_with_every_entry_applied_at_its_index() -> None:
    both = [started("n1"), started("n2"), applies("n1", 1, 1), applies("n2", 1, 2)]
    for term in (1, 2):
        assert judged(both, ops=acked_at(1, term).ops)["acknowledged_writes"].outcome == "violated"


@pytest.mark.parametrize("term", [1, 2])
def test_two_writes_acknowledged_at_one_index(term: int) -> None:
    history = acked_at(1, 1)
    history.ok(history.invoke("c1", "delete", key="other"), index=1, term=term)
    assert judged(ops=history.ops)["acknowledged_writes"].outcome == "violated"
