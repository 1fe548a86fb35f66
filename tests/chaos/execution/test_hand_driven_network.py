"""The hand-driven network: which frames are in flight, in which order, and which may arrive again."""

from __future__ import annotations

from raft_chaos.chaos.execution.hand_driven_network import HandDrivenNetwork
from raft_chaos.chaos.execution.player import Frame

THERE, BACK = ("n1", "n2"), ("n2", "n1")


def frame(step: int, link: tuple[str, str] = THERE) -> Frame:
    """The only frame that step `step` sent."""
    return Frame(step, 0, link[0], 1, step, link[1], f"message {step}", sent_us=0)


FIRST, SECOND, REPLY = frame(1), frame(2), frame(3, BACK)


def network() -> HandDrivenNetwork:
    made = HandDrivenNetwork([THERE, BACK])
    made.send([FIRST, SECOND, REPLY])
    return made


def test_arrived_and_lost_frames_may_arrive_again_the_latest_first() -> None:
    on = network()
    on.take(SECOND)
    assert on.frames == [FIRST, REPLY] and on.on_link(THERE) == [FIRST]
    assert on.lose([THERE]) == [FIRST]
    assert on.arrived == {THERE: [FIRST, SECOND], BACK: []}
    on.take(SECOND)
    assert on.frames == [REPLY] and on.arrived[THERE] == [SECOND, FIRST]


def test_each_copy_of_a_duplicated_frame_arrives_once() -> None:
    on = network()
    on.duplicate(FIRST)
    assert on.frames == [FIRST, SECOND, REPLY, FIRST]
    on.take(FIRST)
    assert on.frames == [SECOND, REPLY, FIRST]
    on.take(FIRST)
    assert on.frames == [SECOND, REPLY] and on.arrived[THERE] == [FIRST]


def test_a_delayed_frame_comes_after_all_others() -> None:
    on = network()
    on.delay(FIRST)
    assert on.frames == [SECOND, REPLY, FIRST]


def test_a_cut_loses_what_is_in_flight_and_what_is_sent_until_it_is_healed() -> None:
    on = network()
    assert on.cut_links([THERE]) == [FIRST, SECOND]
    on.send([frame(4), frame(5, BACK)])
    assert on.frames == [REPLY, frame(5, BACK)]
    assert on.arrived[THERE] == [frame(4), SECOND, FIRST]
    on.heal()
    on.send([frame(6)])
    assert on.frames[-1] == frame(6)
