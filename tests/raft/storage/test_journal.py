"""The journal's format: records are read as written, a torn tail is left out, damage and other versions are refused."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raft_chaos.invariants.events import CommitAdvanced
from raft_chaos.raft.replica.inputs import Input, Persisted, Received, Submitted, Ticked
from raft_chaos.raft.replica.output import Output, Reply
from raft_chaos.raft.replica.result import Result
from raft_chaos.raft.state.messages import Append, Entry, HardState, RequestVote, RequestVoteReply
from raft_chaos.raft.state.ready import Write
from raft_chaos.raft.state.timing import Timing
from raft_chaos.raft.storage.framing import frame
from raft_chaos.raft.storage.journal import (
    DIGEST_BYTES,
    MAGIC,
    ClockChanged,
    Journal,
    JournalError,
    JournalRecord,
    Start,
    Turn,
    digest_of,
    read_journal,
)
from records import MESSAGES, NAMES, NUMBERS, RECORDS

INPUTS: st.SearchStrategy[Input] = st.one_of(
    st.builds(Received, NAMES, NUMBERS, NUMBERS, MESSAGES, NUMBERS),
    st.builds(Ticked, NUMBERS),
    st.builds(Persisted, NUMBERS, NUMBERS),
    st.builds(Submitted, st.binary(max_size=40), NUMBERS),
)
OUTPUTS: st.SearchStrategy[Output] = st.builds(
    Output,
    events=st.lists(st.builds(CommitAdvanced, node=NAMES, inc=NUMBERS, t_us=NUMBERS, index=NUMBERS, term=NUMBERS)),
    messages=st.lists(st.tuples(NAMES, MESSAGES), max_size=3),
    write=st.none() | st.builds(Write, NUMBERS, st.lists(RECORDS, max_size=3)),
    deadline_us=NUMBERS,
    replies=st.just([]),
)

START = Start("c", "n1", ["n2", "n3"], 2, Timing(), 2**64 - 1, 8, [(0, 0, 0), (5, 9, -200)], 17)
TAKEN: list[Input] = [
    Received("n2", 1, 3, RequestVote(4, 5, 1), 100),
    Submitted(b"\x93put", 101),
    Persisted(7, 102),
    Ticked(103),
]


def output(**fields: object) -> Output:
    nothing = {"events": [], "messages": [], "write": None, "deadline_us": 0, "replies": []}
    return Output(**{**nothing, **fields})  # type: ignore[arg-type]


def written(file: Path) -> list[JournalRecord]:
    """A journal with one of each kind of record; returns these."""
    journal = Journal(file)
    journal.start(START)
    journal.acted(output(), 17)
    for one in TAKEN:
        journal.took(one)
    said = output(messages=[("n2", RequestVoteReply(4, True))] * 3)
    journal.acted(said, 104, [0, 2], "before_send")
    journal.clock_changed(200, -300, 40)
    journal.took(TAKEN[3])
    journal.died(300)
    journal.close()
    return [
        START,
        Turn([], 17, [], None, digest_of(output())),
        Turn(TAKEN, 104, [0, 2], "before_send", digest_of(said)),
        ClockChanged(200, -300, 40),
        Turn([TAKEN[3]], 300, [], None, b""),
    ]


def test_all_records_are_read_as_they_were_written(tmp_path: Path) -> None:
    records = written(tmp_path / "journal")
    assert list(read_journal(tmp_path / "journal")) == records


@given(st.lists(st.tuples(st.lists(INPUTS, max_size=3), OUTPUTS, NUMBERS), max_size=4))
def test_any_inputs_are_read_as_they_were_taken(
    tmp_path_factory: pytest.TempPathFactory, turns: list[tuple[list[Input], Output, int]]
) -> None:
    file = tmp_path_factory.mktemp("journal") / "journal"
    journal = Journal(file)
    journal.start(START)
    for inputs, said, at_us in turns:
        for one in inputs:
            journal.took(one)
        journal.acted(said, at_us)
    journal.close()
    assert list(read_journal(file)) == [
        START,
        *(Turn(inputs, at_us, [], None, digest_of(said)) for inputs, said, at_us in turns),
    ]


def test_a_journal_torn_at_any_byte_gives_the_records_before(tmp_path: Path) -> None:
    records = written(tmp_path / "whole")
    whole = (tmp_path / "whole").read_bytes()
    torn = tmp_path / "torn"
    counts = []
    for size in range(len(whole) + 1):
        torn.write_bytes(whole[:size])
        found = list(read_journal(torn))
        assert found == records[: len(found)]
        counts.append(len(found))
    assert counts == sorted(counts) and set(counts) == set(range(len(records) + 1))


def test_a_flipped_byte_is_refused_with_file_and_offset_unless_it_is_in_the_last_record(tmp_path: Path) -> None:
    file = tmp_path / "journal"
    records = written(file)
    whole = bytearray(file.read_bytes())
    last = whole.rindex(b"\x96\xa4turn") - 8
    for position in range(len(whole)):
        whole[position] ^= 0x41
        file.write_bytes(whole)
        if position < last:
            with pytest.raises(JournalError, match=rf"^{file}, offset \d+: "):
                list(read_journal(file))
        else:
            assert list(read_journal(file)) == records[:-1]
        whole[position] ^= 0x41


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (MAGIC[:-1] + b"\x01", "offset 0: version 1 of the format; this version reads 2 and 3"),
        (b"RCWAL\x00\x00\x01", "offset 0: no journal of a node"),
        (b"no", "offset 0: no journal of a node"),
        (MAGIC + frame(b"\x94\xa5clock\x01\x02\x03"), "offset 8: expected Start as the first record, and only there"),
    ],
)
def test_a_file_that_is_not_a_journal_of_this_version_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    file = tmp_path / "journal"
    file.write_bytes(content)
    with pytest.raises(JournalError) as refused:
        list(read_journal(file))
    assert str(refused.value).startswith(f"{file}, {said}")


def test_a_second_start_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "journal"
    journal = Journal(file)
    journal.start(START)
    journal.close()
    file.write_bytes(file.read_bytes() + file.read_bytes()[len(MAGIC) :])
    with pytest.raises(JournalError, match="and only there"):
        list(read_journal(file))


def test_a_node_that_dies_before_its_start_leaves_an_empty_journal(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal")
    journal.died(1)
    journal.close()
    assert list(read_journal(tmp_path / "journal")) == []
    with pytest.raises(FileExistsError):
        Journal(tmp_path / "journal")


def test_the_digest_covers_the_whole_output() -> None:
    reply = Reply(object(), 3, 1, Result(True, "x"))
    outputs = [
        output(),
        output(deadline_us=1),
        output(events=[CommitAdvanced(node="n1", inc=1, t_us=1, index=1, term=1)]),
        output(messages=[("n2", RequestVoteReply(1, True))]),
        output(messages=[("n3", RequestVoteReply(1, True))]),
        output(messages=[("n2", RequestVoteReply(1, False))]),
        output(write=Write(1, [HardState(1, "n2")])),
        output(write=Write(2, [HardState(1, "n2")])),
        output(write=Write(1, [Append(1, Entry(1, b""))])),
        output(replies=[reply]),
        output(replies=[Reply(None, 3, 1, Result(True, "y"))]),
        output(replies=[Reply(None, 3, 1, None)]),
    ]
    digests = [digest_of(one) for one in outputs]
    assert len(set(digests)) == len(outputs) and {len(digest) for digest in digests} == {DIGEST_BYTES}
    assert digest_of(output(replies=[Reply(7, 3, 1, Result(True, "x"))])) == digest_of(output(replies=[reply]))


def test_a_journal_of_version_2_is_read(tmp_path: Path) -> None:
    """Its start says no recovered files, and its nodes no features."""
    fields = msgspec.msgpack.decode(msgspec.msgpack.encode(START))
    timing = {name: value for name, value in fields[5].items() if name not in ("features", "chunk_bytes")}
    older = [*fields[:5], timing, *fields[6:10]]
    file = tmp_path / "journal"
    file.write_bytes(MAGIC[:-1] + b"\x02" + frame(msgspec.msgpack.encode(older)))
    assert list(read_journal(file)) == [START]
