"""The log in memory, with and without a base (§7): compaction changes nothing that is asked of what is left."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raft_chaos.raft.state.log import CompactedError, Log
from raft_chaos.raft.state.messages import Entry

TERMS = st.lists(st.integers(1, 4), min_size=1, max_size=12).map(sorted)


def log_of(terms: list[int], lsn: int = 0) -> Log:
    log = Log()
    for place, term in enumerate(terms):
        log.append(Entry(term, b"%d" % place), lsn)
    log.mark_durable(lsn)
    return log


@given(TERMS, st.data())
def test_a_compacted_log_answers_as_before_for_all_that_it_still_has(terms: list[int], data: st.DataObject) -> None:
    whole, log = log_of(terms), log_of(terms)
    base = data.draw(st.integers(1, len(terms)))
    log.compact(base)
    assert (log.base_index, log.base_term, log.base_digest) == (base, whole.term_at(base), whole.digest(base))
    assert (log.last_index, log.last_term, log.durable_index) == (len(terms), terms[-1], len(terms))
    for index in range(base, len(terms) + 1):
        assert (log.term_at(index), log.digest(index)) == (whole.term_at(index), whole.digest(index))
        assert log.first_index_of_term_at(index) == max(whole.first_index_of_term_at(index), base)
        for term in range(5):
            last = whole.last_index_of_term(term, index)
            assert log.last_index_of_term(term, index) == (last if last >= base else 0)
    for index in range(base + 1, len(terms) + 1):
        assert log.entry(index) == whole.entry(index)
        assert log.slice(index, 2, 100) == whole.slice(index, 2, 100)
    assert log.behind(base) == whole.slice(base + 1, 100, 100) if base < len(terms) else log.behind(base) == []
    for ask in (log.term_at, log.digest):
        with pytest.raises(CompactedError):
            ask(base - 1)
    for index in (base, base - 1):
        with pytest.raises(CompactedError):
            log.entry(index)


@given(TERMS, st.data())
def test_entries_appended_after_compaction_have_the_digests_of_the_whole_log(
    terms: list[int], data: st.DataObject
) -> None:
    whole, log = log_of(terms), log_of(terms)
    log.compact(data.draw(st.integers(1, len(terms))))
    log.truncate(log.last_index)
    whole.truncate(log.last_index + 1)
    for one in (whole, log):
        one.append(Entry(9, b"new"), 0)
    assert (log.last_index, log.digest(log.last_index)) == (whole.last_index, whole.digest(whole.last_index))


def test_a_log_that_begins_with_a_snapshot_continues_its_digest() -> None:
    whole, log = log_of([1, 1, 2]), Log(2, 1, log_of([1, 1]).digest(2))
    log.append(Entry(2, b"2"), 0)
    assert (log.last_index, log.digest(3)) == (3, whole.digest(3))


def test_the_base_is_never_deleted() -> None:
    log = log_of([1, 1, 1])
    log.compact(2)
    log.truncate(1)
    assert (log.base_index, log.last_index, log.durable_index) == (2, 2, 2)


def test_a_log_that_rests_on_a_snapshot_is_durable_once_its_record_is() -> None:
    log = log_of([1, 1, 1])
    log.clear(5, 2, "00" * 8)
    log.rests_on(7)
    log.append(Entry(2, b""), 8)
    assert log.lsn(5) == log.lsn(3) == 7
    log.mark_durable(6)
    assert log.durable_index == 0
    log.mark_durable(7)
    assert log.durable_index == 5
    log.mark_durable(8)
    assert log.durable_index == 6
