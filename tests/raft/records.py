"""Hypothesis strategies for entries, records and messages, and batches that a node could have written."""

from __future__ import annotations

from hypothesis import strategies as st

from raft_chaos.raft.state.messages import (
    Append,
    AppendEntries,
    AppendEntriesReply,
    Entry,
    HardState,
    Message,
    Record,
    RequestVote,
    RequestVoteReply,
    Truncate,
)

NUMBERS = st.integers(0, 2**63 - 1)
NAMES = st.text(max_size=8)
ENTRIES = st.builds(Entry, NUMBERS, st.binary(max_size=40))
HARD_STATES = st.builds(HardState, NUMBERS, st.none() | NAMES)
RECORDS: st.SearchStrategy[Record] = st.one_of(
    HARD_STATES, st.builds(Append, NUMBERS, ENTRIES), st.builds(Truncate, NUMBERS)
)


@st.composite
def _messages(draw: st.DrawFn) -> Message:
    """Terms of a log never decrease, and none is larger than that of the message."""
    *terms, term = sorted(draw(st.lists(NUMBERS, min_size=2, max_size=6)))
    number, index = draw(NUMBERS), draw(st.integers(0, 2**63 - 1 - len(terms)))
    match draw(st.sampled_from(["rv", "rvr", "ae", "aer"])):
        case "rv":
            return RequestVote(term, number, terms[0])
        case "rvr":
            return RequestVoteReply(term, draw(st.booleans()))
        case "ae":
            entries = [Entry(one, draw(st.binary(max_size=40))) for one in terms[1:]]
            return AppendEntries(term, index, terms[0], number, entries)
        case _:
            return AppendEntriesReply(term, draw(st.booleans()), number, draw(NUMBERS), draw(NUMBERS), terms[0])


MESSAGES: st.SearchStrategy[Message] = _messages()


@st.composite
def written_batches(draw: st.DrawFn) -> list[list[Record]]:
    """Batches in which appended entries follow each other, as a node writes them."""
    batches: list[list[Record]] = []
    last_index = 0
    for kinds in draw(st.lists(st.lists(st.sampled_from("hat"), min_size=1, max_size=5), max_size=6)):
        batch: list[Record] = []
        for kind in kinds:
            if kind == "h":
                batch.append(draw(HARD_STATES))
            elif kind == "a":
                last_index += 1
                batch.append(Append(last_index, draw(ENTRIES)))
            elif last_index:
                last_index = draw(st.integers(1, last_index)) - 1
                batch.append(Truncate(last_index + 1))
        if batch:
            batches.append(batch)
    return batches
