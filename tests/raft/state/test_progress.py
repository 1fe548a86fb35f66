"""When a leader may send entries to a follower."""

from __future__ import annotations

import pytest

from raft_chaos.raft.state.messages import Entry, Snapshot
from raft_chaos.raft.state.progress import Progress


@pytest.mark.parametrize("probe_sent", [False, True])
def test_a_probe_pauses_until_its_reply(probe_sent: bool) -> None:
    probe = Progress(next_index=8, match_index=0, probing=True, probe_sent=probe_sent)
    assert probe.is_paused(max_entries_in_flight=100) is probe_sent
    assert probe.is_paused(max_entries_in_flight=1) is probe_sent


@pytest.mark.parametrize(("next_index", "paused"), [(5, False), (6, False), (7, True), (8, True)])
def test_a_pipeline_pauses_at_the_limit_of_entries_in_flight(next_index: int, paused: bool) -> None:
    # Entries 5 to next_index - 1 are in flight. An earlier probe says nothing about a pipeline.
    pipeline = Progress(next_index=next_index, match_index=4, probing=False, probe_sent=True)
    assert pipeline.is_paused(max_entries_in_flight=2) is paused


def test_a_broken_pipeline_pauses_at_half_of_what_was_in_flight_and_grows_with_acknowledgements() -> None:
    progress = Progress(next_index=21, match_index=10, probing=False)
    progress.move_back(11)
    assert (progress.stream, progress.probing, progress.most_in_flight) == (1, True, 5)
    progress.move_back(11)  # a rejected probe breaks no pipeline
    assert (progress.stream, progress.most_in_flight) == (2, 5)
    progress.matches_up_to(13)
    assert (progress.next_index, progress.probing, progress.most_in_flight) == (14, False, 8)
    progress.matches_up_to(12)
    assert (progress.match_index, progress.next_index, progress.most_in_flight) == (13, 14, 8)


def test_one_message_may_always_be_in_flight() -> None:
    progress = Progress(next_index=12, match_index=11, probing=False)
    progress.move_back(12)
    progress.probing = False
    assert not progress.is_paused(max_entries_in_flight=100)


def test_bytes_are_in_flight_until_their_message_is_acknowledged_or_the_stream_ends() -> None:
    progress = Progress(next_index=5, match_index=4, probing=False)
    progress.sends([Entry(1, b"12"), Entry(1, b"345")])
    progress.sends([Entry(1, b"6789")])
    assert (progress.next_index, progress.bytes_in_flight) == (8, 9)
    assert progress.is_paused(100, max_bytes_in_flight=9) and not progress.is_paused(100, max_bytes_in_flight=10)
    progress.matches_up_to(5)  # a part of a message
    assert progress.bytes_in_flight == 9
    progress.matches_up_to(6)
    assert progress.bytes_in_flight == 4
    progress.move_back(7)
    assert progress.bytes_in_flight == 0
    progress.probing = False
    progress.sends([Entry(1, b"6789")])
    progress.begin_transfer(Snapshot(9, 1, "", b""))
    assert progress.bytes_in_flight == 0
