"""A log that keeps only its newest entries in memory answers as one that keeps all of them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raft_chaos.raft.state.log import ENTRY_BYTES, CompactedError, Log, WrongEntryError
from raft_chaos.raft.state.messages import Entry

SIZE = ENTRY_BYTES + 10
"""What one entry of these tests costs in memory."""


class Source:
    """The entries on a disk, by index, and what was read of them."""

    def __init__(self) -> None:
        self.entries: dict[int, Entry] = {}
        self.reads: list[tuple[int, int]] = []
        self.fails = False

    def read_entries(self, first: int, last: int, max_bytes: int) -> list[Entry]:
        self.reads.append((first, last))
        if self.fails:
            raise OSError("the disk fails")
        read: list[Entry] = []
        for index in range(first, last + 1):
            read.append(self.entries[index])
            if sum(len(entry.command) for entry in read) >= max_bytes:
                break
        return read


def entry(term: int, number: int) -> Entry:
    return Entry(term, b"%010d" % number)


def log_of(count: int, cache_bytes: int = 4 * SIZE) -> tuple[Log, Source]:
    source = Source()
    log = Log(source=source, cache_bytes=cache_bytes)
    for number in range(1, count + 1):
        source.entries[number] = entry(1, number)
        log.append(source.entries[number], number)
        log.mark_durable(number)
    return log, source


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.integers(1, 5)),
        st.tuples(st.just("durable"), st.integers(0, 3)),
        st.tuples(st.just("truncate"), st.integers(1, 20)),
        st.tuples(st.just("compact"), st.integers(1, 20)),
        st.tuples(st.just("slice"), st.integers(1, 20)),
        st.tuples(st.just("entry"), st.integers(1, 20)),
    ),
    max_size=40,
)


@given(STEPS, st.integers(0, 6))
def test_it_answers_as_a_log_that_keeps_all(steps: list[tuple[str, int]], cached: int) -> None:
    """Whatever is appended, deleted and compacted. What is not durable is never asked of the disk."""
    source = Source()
    log, whole = Log(source=source, cache_bytes=cached * SIZE + 1), Log()
    lsn = durable = 0
    term = 1
    for step, number in steps:
        match step:
            case "append":
                for _ in range(number):
                    lsn += 1
                    new = entry(term, lsn)
                    log.append(new, lsn)
                    whole.append(new, lsn)
            case "durable":
                durable = max(durable, lsn - number)
                for index in range(whole.base_index + 1, whole.last_index + 1):
                    if whole.lsn(index) <= durable:
                        source.entries[index] = whole.entry(index)
                log.mark_durable(durable)
                whole.mark_durable(durable)
            case "truncate":
                term += 1
                log.truncate(number)
                whole.truncate(number)
            case "compact":
                log.compact(min(number, log.durable_index))
                whole.compact(min(number, whole.durable_index))
            case _:
                for most in (1, 3, 20):
                    assert asked(log.slice, number, most, 25) == asked(whole.slice, number, most, 25)
                if number <= log.last_index:
                    assert asked(log.entry, number) == asked(whole.entry, number)
        assert same(log, whole)


def asked(ask: Callable[..., object], *given: int) -> object:
    """The answer, or what the error says."""
    try:
        return ask(*given)
    except CompactedError as error:
        return str(error)


def same(log: Log, whole: Log) -> bool:
    assert (log.base_index, log.base_term, log.base_digest) == (whole.base_index, whole.base_term, whole.base_digest)
    assert (log.last_index, log.last_term, log.durable_index) == (
        whole.last_index,
        whole.last_term,
        whole.durable_index,
    )
    for index in range(log.base_index, log.last_index + 1):
        assert (log.term_at(index), log.digest(index)) == (whole.term_at(index), whole.digest(index))
        assert log.behind(index) == whole.behind(index)
    return True


def test_the_bytes_in_memory_stay_below_the_bound() -> None:
    """However many entries there are, and however many of them are read."""
    bound = 4 * SIZE
    log, _ = log_of(0, bound)
    source = log._source
    assert isinstance(source, Source)
    for number in range(1, 1_001):
        source.entries[number] = entry(1, number)
        log.append(source.entries[number], number)
        log.mark_durable(number)
        assert log.held_bytes <= bound
    assert log.evicted >= 996
    for first in range(1, 1_000, 7):
        assert log.slice(first, 3, 1_000_000) == [source.entries[index] for index in range(first, min(first + 3, 1001))]


def test_what_is_not_durable_stays_in_memory() -> None:
    """It could not be read back."""
    log, source = log_of(0)
    for number in range(1, 101):
        log.append(entry(1, number), number)
    assert log.evicted == 0 and log.held_bytes == 100 * SIZE
    source.entries = {number: entry(1, number) for number in range(1, 101)}
    log.mark_durable(60)
    assert log.evicted == 60
    assert log.entry(61) == entry(1, 61) and source.reads == []
    log.mark_durable(100)
    assert log.held_bytes <= 4 * SIZE


def test_without_a_source_all_entries_stay_in_memory() -> None:
    log = Log(cache_bytes=1)
    for number in range(1, 101):
        log.append(entry(1, number), number)
    log.mark_durable(100)
    assert log.evicted == 0 and log.entry(1) == entry(1, 1)


def test_old_entries_that_follow_each_other_are_read_at_once() -> None:
    log, source = log_of(50, 4 * SIZE)
    assert [log.entry(index) for index in range(1, 40)] == [entry(1, index) for index in range(1, 40)]
    assert len(source.reads) == 1


def test_a_read_that_fails_is_an_error_and_never_an_empty_answer() -> None:
    """openraft #1795"""
    log, source = log_of(50)
    source.fails = True
    for ask in (lambda: log.entry(1), lambda: log.slice(1, 10, 100), lambda: log.behind(0)):
        with pytest.raises(OSError, match="the disk fails"):
            ask()


def test_an_entry_that_is_not_the_one_that_was_appended_is_an_error() -> None:
    log, source = log_of(50)
    source.entries[3] = entry(1, 999)
    with pytest.raises(WrongEntryError, match="entry 3 was read back"):
        log.entry(1)
