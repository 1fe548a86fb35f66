"""Flipped bits: where they are, and the fault over a scripted world."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders.schedules import fault
from builders.scripted_world import LINKS, Stage
from raft_chaos.chaos.faults.abilities import OF_NETWORK, OURS
from raft_chaos.chaos.faults.corrupt import LITTLE, MOST_BITS, SETTLES_US, Corrupt, flipped, places
from raft_chaos.chaos.faults.links import LinkState
from raft_chaos.raft.network.codec import Envelope, FrameBuffer, FrameError, encode_frame
from raft_chaos.raft.state.messages import RequestVote

DRAWS = st.floats(0, 1, exclude_max=True)
FRAME = encode_frame(Envelope(7, RequestVote(3, 2, 1)))
HALF = fault("f1", 10, Corrupt(["n1"], 0.5), 100)


def bits_of(frame: bytes) -> int:
    return int.from_bytes(frame, "big")


@given(st.lists(DRAWS, min_size=2 + MOST_BITS, max_size=2 + MOST_BITS), st.floats(0, 1))
def test_bits_flip_with_the_probability_and_no_receiver_takes_them(draws: list[float], probability: float) -> None:
    at = places(draws, probability)
    assert bool(at) == (draws[0] < probability) and len(at) <= MOST_BITS
    if at:
        changed = (bits_of(FRAME) ^ bits_of(flipped(FRAME, at))).bit_count()
        assert 1 <= changed <= len(at)
        with pytest.raises(FrameError, match="checksum"):
            list(FrameBuffer().feed(flipped(FRAME, at)))


def test_a_bit_that_is_named_twice_does_not_flip_back() -> None:
    assert flipped(b"\0\0", [0.5, 0.5, 0.51]) == b"\0\x01"


def test_the_links_of_its_nodes_corrupt_in_both_directions() -> None:
    stage = Stage().play(HALF)
    links = [link for link in LINKS if "n1" in link]
    assert stage.world.asked == [
        (10, "set_links", dict.fromkeys(links, LinkState(corrupt=0.5))),
        (110, "set_links", dict.fromkeys(links, LinkState())),
    ]
    assert stage.injected().detail == "n1: corrupt 50%"


def test_of_two_on_a_link_the_larger_probability_counts() -> None:
    plan = [fault("f1", 10, Corrupt(["n1"], 0.1), 100), fault("f2", 50, Corrupt(["n2"], 0.5), 100)]
    asked = [(at_us, states.get(("n1", "n2"))) for at_us, _, states in Stage().play(*plan).world.asked]
    assert asked == [(10, LinkState(corrupt=0.1)), (50, LinkState(corrupt=0.5)), (110, None), (150, LinkState())]


def test_it_is_effective_only_if_a_receiver_refused_a_frame() -> None:
    stage = Stage()
    stage.count(50, ("n1", "n2"), "corrupted", 3)
    stage.count(60, ("n1", "n2"), "refused", 2)
    stage.count(60, ("n3", "n2"), "refused", 9)  # another link
    stage.play(HALF)
    assert stage.seen() == (True, "frames: 3 corrupted, 2 refused", "")
    stage = Stage()
    stage.count(50, ("n1", "n2"), "corrupted", 3)
    stage.play(HALF)
    assert stage.seen() == (False, "frames: 3 corrupted, 0 refused", "")


def test_it_waits_for_the_refusal_of_what_came_last() -> None:
    stage = Stage()
    stage.count(109, ("n1", "n2"), "corrupted", 1)
    stage.count(109 + SETTLES_US, ("n1", "n2"), "refused", 1)
    stage.play(HALF)
    assert stage.seen() == (True, "frames: 1 corrupted, 1 refused", "")


def test_few_frames_excuse_it_and_many_do_not() -> None:
    for passed, excuse in ((0, "only 0 frames passed"), (19, "only 19 frames passed"), (20, "")):
        stage = Stage()
        stage.count(50, ("n1", "n2"), "forwarded", passed)
        stage.play(HALF)
        assert stage.seen() == (False, "frames: 0 corrupted, 0 refused", excuse)


@pytest.mark.parametrize("state", ["down", "paused"])
def test_a_receiver_that_did_not_run_excuses_it(state: str) -> None:
    stage = Stage()
    stage.count(50, ("n1", "n2"), "corrupted", 3)
    stage.at(40, lambda: stage.world.states.update(n2=state))
    stage.play(HALF)
    assert stage.seen() == (False, "frames: 3 corrupted, 0 refused", "no node was up to read them")


def test_only_who_has_a_checksum_suffers_it() -> None:
    assert Corrupt.exists(OURS | OF_NETWORK["frames"]) and Corrupt.exists(OURS | OF_NETWORK["tcp"])
    assert not Corrupt.exists(OURS | OF_NETWORK["netns"]), "the kernel discards the packet"
    without = (OURS | OF_NETWORK["frames"]) - {"checksum"}
    assert not Corrupt.exists(without) and Corrupt(["n1"], 0.5).weakened(without) is None


def test_a_smaller_one_is_less_probable_or_hits_fewer_nodes() -> None:
    assert list(Corrupt(["n1"], 0.5).smaller()) == [Corrupt(["n1"], LITTLE)]
    assert list(Corrupt(["n1", "n2"], LITTLE).smaller()) == [Corrupt(["n2"], LITTLE), Corrupt(["n1"], LITTLE)]


@pytest.mark.parametrize(("probability", "said"), [(0.0, "more than 0"), (1.5, "got 1.5")])
def test_what_is_no_probability_is_refused(probability: float, said: str) -> None:
    (wrong,) = Corrupt(["n1"], probability).check(["n1"])
    assert said in wrong
