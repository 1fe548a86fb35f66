"""Which majority a standing state leaves whole, with CheckQuorum."""

from __future__ import annotations

import pytest

from raft_chaos.invariants.checkers.standing import Standing
from raft_chaos.invariants.events import HARNESS, FaultInjected

NODES = tuple(f"n{number}" for number in range(25))


def standing(*links: tuple[str, str], up: tuple[str, ...] = NODES, hit: tuple[str, ...] = ()) -> Standing:
    cut = FaultInjected(node=HARNESS, inc=1, t_us=0, fault="f1", type="partition", targets=NODES, links=links)
    slow = FaultInjected(node=HARNESS, inc=1, t_us=0, fault="f2", type="slow_sync", targets=hit)
    return Standing(0, 1, NODES, up, (cut, slow), check_quorum=True)


def test_a_node_that_hears_nobody_is_left_out_although_all_hear_it() -> None:
    deaf = [(sender, "n0") for sender in NODES[1:]]
    state = standing(*deaf)
    assert state.quorum == NODES[1:]
    assert not state.is_alone, "each of them hears the deaf node"


@pytest.mark.parametrize("pairs", [11, 12])
def test_of_each_pair_that_is_cut_one_node_stays(pairs: int) -> None:
    """A majority of 25 is 13: twelve pairs leave it, one node of each and the one in no pair."""
    state = standing(*((NODES[2 * pair], NODES[2 * pair + 1]) for pair in range(pairs)))
    assert len(state.quorum) == 25 - pairs
    assert all(not {NODES[2 * pair], NODES[2 * pair + 1]} <= {*state.quorum} for pair in range(pairs))


def test_no_majority_is_whole_if_one_node_more_must_go() -> None:
    pairs = [(NODES[2 * pair], NODES[2 * pair + 1]) for pair in range(12)]
    assert standing(*pairs, up=NODES[:24]).quorum == ()
    assert standing(*pairs, hit=NODES[24:]).quorum == (), "a fault is on the node that is in no pair"
