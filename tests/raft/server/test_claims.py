"""What a peer may claim about committed entries, which depends on whether the node is judged."""

from __future__ import annotations

from random import Random

import pytest

from raft_chaos.raft.core import Core
from raft_chaos.raft.network.codec import FrameError
from raft_chaos.raft.server.claims import check_message
from raft_chaos.raft.state.messages import AppendEntries, Entry, HardState, Recovered
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
