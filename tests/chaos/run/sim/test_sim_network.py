"""The simulated network: what happens to a frame, with faults and without."""

from __future__ import annotations

import pytest

from builders.virtual_network import Net
from raft_chaos.chaos.faults.links import Degraded
from raft_chaos.chaos.run.sim.network import LATE_US, VERY_LATE_US
from raft_chaos.chaos.schedule.data import SimModel

LINK = ("n1", "n2")
BACK = ("n2", "n1")
ELSEWHERE = ("n3", "n2")
MODEL = SimModel(latency_min_us=200, latency_max_us=900)
FIXED = SimModel(latency_min_us=500, latency_max_us=500)
GONE_US = VERY_LATE_US[1] + 1_000_000
"""After this time nothing is on its way any more."""


def degraded(net: Net, name: str = "bad", **what: float) -> None:
    net.degrade(name, "n1", Degraded(**what))  # type: ignore[arg-type]


# ---- without faults ----------------------------------------------------------------------------------------------


def test_the_latency_of_a_frame_is_within_the_range_of_the_model() -> None:
    net = Net(MODEL)
    net.send(LINK, 300, every_us=1_000)
    took = [at_us - 1_000 * place for place, at_us in enumerate(net.times())]
    assert len(took) == 300
    assert MODEL.latency_min_us <= min(took) < 250 and 850 < max(took) <= MODEL.latency_max_us
    assert 500 < sum(took) / len(took) < 600


def test_a_range_of_one_value_gives_that_latency() -> None:
    net = Net(FIXED)
    net.send(LINK, 5, every_us=1_000)
    assert net.times() == [500, 1_500, 2_500, 3_500, 4_500]


def test_a_frame_arrives_as_it_was_sent() -> None:
    net = Net(MODEL)
    net.network.send("n1", 7, "n2", 12, "hello")
    net.go(1_000)
    ((_, frame),) = net.frames
    assert (frame.sender, frame.sender_inc, frame.number, frame.to, frame.payload) == ("n1", 7, 12, "n2", "hello")


def test_frames_of_a_link_keep_their_order() -> None:
    net = Net(MODEL)
    net.send(LINK, 100)
    net.send(LINK, 100, every_us=100)
    net.go(1_000)
    assert net.numbers() == list(range(1, 201))
    assert len(set(net.times())) > 20, "not because all come at once"


def test_frames_of_different_links_overtake_each_other() -> None:
    net = Net(MODEL)
    for _ in range(100):
        net.send(LINK)
        net.send(ELSEWHERE)
    net.go(1_000)
    assert net.numbers() != sorted(net.numbers())
    assert all(net.numbers(link) == sorted(net.numbers(link)) for link in (LINK, ELSEWHERE))


def test_links_do_not_affect_each_other() -> None:
    alone, together = Net(MODEL), Net(MODEL)
    for number in range(200):
        for net in (alone, together):
            net.network.send("n1", 1, "n2", number, None)
        together.network.send("n2", 1, "n1", number, None)
        together.network.send("n3", 1, "n2", number, None)
        for net in (alone, together):
            net.go(1_000)
    assert alone.times(LINK) == together.times(LINK)
    assert together.times(LINK) != together.times(BACK)


def test_the_draws_of_a_frame_do_not_depend_on_earlier_frames() -> None:
    """Draws are keyed by the frame's number on the link: removing a cut from a schedule shifts nothing."""
    plain, cut = Net(MODEL), Net(MODEL)
    for net in (plain, cut):
        degraded(net, delay_max_us=400, loss=0.2, duplicate=0.2, reorder=0.2)
    cut.cut("cut", LINK)
    cut.send(LINK, 50, every_us=1_000)
    plain.send(LINK, 50, every_us=1_000)
    cut.heal("cut")
    for net in (plain, cut):
        net.go(GONE_US)
        net.frames.clear()
        net.send(LINK, 200, every_us=1_000)
        net.go(GONE_US)
    assert cut.numbers() == plain.numbers()
    assert cut.times() == plain.times()


# ---- loss, delay, copies, order ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("loss", "least", "most"), [(0.0, 400, 400), (0.5, 150, 250), (1.0, 0, 0)])
def test_frames_are_lost_with_their_probability(loss: float, least: int, most: int) -> None:
    net = Net(MODEL)
    degraded(net, loss=loss, delay_max_us=1)
    net.send(LINK, 400)
    net.go(GONE_US)
    assert least <= len(net.frames) <= most
    assert net.counters(LINK).lost == 400 - len(net.frames)


def test_a_delay_is_added_to_the_latency() -> None:
    net = Net(FIXED)
    degraded(net, delay_min_us=2_000, delay_max_us=6_000)
    net.send(LINK, 300, every_us=10_000)
    took = [at_us - 10_000 * place for place, at_us in enumerate(net.times())]
    assert 2_500 <= min(took) < 2_600 and 6_400 < max(took) <= 6_500
    assert net.counters(LINK).delayed == 300


def test_a_mean_delay_is_exponential_and_added_to_the_uniform_one() -> None:
    net = Net(FIXED)
    degraded(net, delay_min_us=1_000, delay_max_us=1_000, delay_mean_us=2_000)
    net.send(LINK, 1_000, every_us=100_000)
    took = sorted(at_us - 100_000 * place - 1_500 for place, at_us in enumerate(net.times()))
    assert len(took) == 1_000 and took[0] >= 0
    assert 1_800 < sum(took) / len(took) < 2_200
    assert 1_200 < took[500] < 1_600, "the median of an exponential is 0.69 of its mean"
    assert took[-1] > 8_000


def test_delayed_frames_keep_their_order_too() -> None:
    net = Net(MODEL)
    degraded(net, delay_max_us=50_000, delay_mean_us=20_000)
    net.send(LINK, 200, every_us=100)
    net.heal("bad")
    net.send(LINK, 50, every_us=100)  # these are on time, and wait behind the late ones all the same
    net.go(GONE_US)
    assert net.numbers() == list(range(1, 251))


def test_a_duplicate_is_the_same_frame_and_never_arrives_before_it() -> None:
    net = Net(MODEL)
    degraded(net, duplicate=1.0)
    net.send(LINK, 300, every_us=5_000)
    net.go(GONE_US)
    assert len(net.frames) == 600 and net.counters(LINK).duplicated == 300
    for number in range(1, 301):
        (first_us, first), (again_us, again) = [(t, frame) for t, frame in net.frames if frame.number == number]
        assert (first.sender, first.sender_inc, first.to) == (again.sender, again.sender_inc, again.to)
        assert first.payload is again.payload
        assert first_us < again_us, "the copy is what is late"


def test_some_duplicates_arrive_very_late() -> None:
    net = Net(FIXED)
    degraded(net, duplicate=1.0)
    net.send(LINK, 1_000, every_us=5_000)
    net.go(GONE_US)
    seen: dict[int, list[int]] = {}
    for at_us, frame in net.frames:
        seen.setdefault(frame.number, []).append(at_us)
    late = [again_us - first_us for first_us, again_us in seen.values()]
    assert LATE_US[0] <= min(late) and VERY_LATE_US[1] * 0.8 < max(late) <= VERY_LATE_US[1]
    very_late = [one for one in late if one >= VERY_LATE_US[0]]
    assert 100 < len(very_late) < 200
    assert sum(one > 500_000 for one in very_late) > 20, "log-uniform: each factor of time is as likely"


@pytest.mark.parametrize(("reorder", "least", "most"), [(0.0, 0, 0), (0.3, 80, 160), (1.0, 400, 400)])
def test_frames_are_reordered_with_their_probability(reorder: float, least: int, most: int) -> None:
    net = Net(MODEL)
    degraded(net, reorder=reorder, delay_max_us=1)
    net.send(LINK, 400, every_us=100)
    net.go(GONE_US)
    assert sorted(net.numbers()) == list(range(1, 401))
    assert (net.numbers() == sorted(net.numbers())) == (reorder == 0.0)
    assert least <= net.counters(LINK).reordered <= most


def test_a_reordered_frame_does_not_delay_later_frames() -> None:
    net = Net(FIXED)
    degraded(net, reorder=1.0)
    net.send(LINK)
    net.heal("bad")
    net.send(LINK)
    net.go(500)
    assert net.numbers() == [2]


def test_a_fault_on_some_links_does_not_affect_the_others() -> None:
    net = Net(MODEL)
    net.degrade("bad", "n1", Degraded(loss=1.0))
    for link in net.network.links:
        net.send(link)
    net.go(1_000)
    assert sorted((frame.sender, frame.to) for _, frame in net.frames) == [("n2", "n3"), ("n3", "n2")]
    assert [link for link in net.network.links if net.counters(link).lost] == [
        ("n1", "n2"),
        ("n1", "n3"),
        ("n2", "n1"),
        ("n3", "n1"),
    ]
