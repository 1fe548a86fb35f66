"""What a peer may claim about committed entries, which depends on whether the node is judged."""

from __future__ import annotations

from random import Random
from zlib import crc32

import pytest
from msgspec.structs import replace

from raft_chaos.raft.core import Core
from raft_chaos.raft.network.codec import FrameError
from raft_chaos.raft.replica.machine import Machine
from raft_chaos.raft.server.claims import check_message
from raft_chaos.raft.state.configuration import Configuration, encode_configuration
from raft_chaos.raft.state.features import Features
from raft_chaos.raft.state.messages import AppendEntries, Entry, HardState, InstallSnapshot, Recovered
from raft_chaos.raft.state.timing import Timing


def test_entries_in_place_of_committed_ones_are_refused_except_by_a_judged_node() -> None:
    entries = [Entry(1, b""), Entry(1, b"")]
    core = Core(
        node="n1",
        peers=["n2", "n3"],
        incarnation=1,
        timing=Timing(),
        random=Random(1),
        recovered=Recovered(HardState(1, None), entries),
        now_us=0,
    )
    core.receive("n2", AppendEntries(1, 2, 1, 2, []), 1)
    assert core.commit_index == 2
    overwrites = AppendEntries(3, 1, 1, 2, [Entry(3, b"")])
    with pytest.raises(FrameError, match="entry 2 of term 3; this node has committed one of term 1"):
        check_message(overwrites, core, judged=False)
    check_message(overwrites, core, judged=True)
    check_message(AppendEntries(3, 1, 1, 2, entries[1:]), core, judged=False)


# ---- members (§6) ----------------------------------------------------------------------------------------------------


def follower() -> Core:
    return Core(
        node="n1",
        peers=["n2", "n3"],
        incarnation=1,
        timing=Timing(features=Features(check_quorum=True, membership="joint")),
        random=Random(1),
        recovered=Recovered(HardState(1, None), []),
        now_us=0,
    )


@pytest.mark.parametrize("judged", [False, True])
def test_a_configuration_with_a_member_that_this_node_does_not_know_is_refused(judged: bool) -> None:
    unknown = encode_configuration(Configuration(("n1", "n2"), (), ("n9",)))
    with pytest.raises(FrameError, match="a configuration with n9, of which this node was not told"):
        check_message(AppendEntries(1, 0, 0, 0, [Entry(1, b""), Entry(1, unknown)]), follower(), judged=judged)
    known = encode_configuration(Configuration(("n1", "n2"), (), ("n3",)))
    check_message(AppendEntries(1, 0, 0, 0, [Entry(1, known)]), follower(), judged=judged)


def test_a_configuration_whose_bytes_are_damaged_is_refused() -> None:
    damaged = encode_configuration(Configuration(("n1", "n2")))[:-1]
    with pytest.raises(FrameError, match="a configuration cannot be decoded: "):
        check_message(AppendEntries(1, 0, 0, 0, [Entry(1, damaged)]), follower(), judged=True)


def test_the_configuration_of_a_snapshot_is_checked_with_its_last_part() -> None:
    data = Machine().snapshot()
    sent = InstallSnapshot(1, 5, 1, "0" * 16, len(data), crc32(data), 0, data, 0, Configuration(("n1", "n8")), 3)
    with pytest.raises(FrameError, match="a configuration with n8, of which this node was not told"):
        check_message(sent, follower(), judged=True)
    check_message(replace(sent, configuration=Configuration(("n2",))), follower(), judged=True)
    check_message(replace(sent, configuration=None, configuration_index=0), follower(), judged=True)
