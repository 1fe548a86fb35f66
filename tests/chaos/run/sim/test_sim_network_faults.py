"""Faults of the simulated network: several at once, cuts, clogs and resets, and that each ends without a trace."""

from __future__ import annotations

import pytest
from test_sim_network import BACK, ELSEWHERE, FIXED, GONE_US, LINK, MODEL, degraded

from builders.schedules import NODES
from builders.virtual_network import Net
from raft_chaos.chaos.faults.links import Degraded

# ---- several faults at once, and their end -----------------------------------------------------------------------


def test_delays_add_up_and_the_largest_probability_counts() -> None:
    net = Net(FIXED)
    net.degrade("one", "n1", Degraded(1_000, 1_000, loss=0.9, duplicate=0.0, reorder=0.1))
    net.degrade("other", "n2", Degraded(300, 300, loss=0.1, duplicate=0.5, reorder=0.0))
    link = net.network.links[LINK]
    assert (link.loss, link.duplicate, link.reorder) == (0.9, 0.5, 0.1)
    net.heal("one")
    assert (link.loss, link.duplicate, link.reorder) == (0.1, 0.5, 0.0)
    net.heal("other")

    net.degrade("one", "n1", Degraded(1_000, 1_000))
    net.degrade("other", "n2", Degraded(300, 300))
    net.send(LINK)
    net.go(10_000)
    assert net.times(LINK) == [500 + 1_000 + 300]


def test_a_fault_that_ends_leaves_the_link_as_it_was() -> None:
    plain, hurt = Net(MODEL), Net(MODEL)
    faulty = Degraded(100, 5_000, loss=0.5, duplicate=0.5, reorder=0.5, delay_mean_us=1_000)
    hurt.degrade("f1", "n1", faulty)
    hurt.cut("f2", LINK)
    hurt.clog("f3", LINK)
    for net in (plain, hurt):
        net.send(LINK, 20, every_us=1_000)
    for name in ("f1", "f2", "f3"):
        hurt.heal(name)
    for net in (plain, hurt):
        net.go(GONE_US)
        net.frames.clear()
        net.send(LINK, 200, every_us=700)
        net.go(GONE_US)
    assert hurt.numbers() == plain.numbers() == list(range(21, 221))
    assert hurt.times() == plain.times()


# ---- cuts --------------------------------------------------------------------------------------------------------


def test_a_cut_drops_frames_that_are_sent_or_due_during_it() -> None:
    net = Net(FIXED)
    net.send(LINK)  # due during the cut
    net.go(300)
    net.cut("cut", LINK)
    net.go(150)
    net.send(LINK)  # sent during the cut
    net.go(150)
    net.heal("cut")
    net.send(LINK)
    net.go(100)
    net.cut("short", LINK)
    net.go(100)
    net.heal("short")  # while the last one was on its way
    net.go(1_000)
    assert net.numbers() == [3]
    assert net.counters(LINK).cut == 2


def test_a_cut_affects_one_direction() -> None:
    net = Net(FIXED)
    net.cut("cut", LINK)
    net.send(LINK)
    net.send(BACK)
    net.go(1_000)
    assert [(frame.sender, frame.to) for _, frame in net.frames] == [BACK]


def test_a_link_is_cut_as_long_as_one_fault_cuts_it() -> None:
    net = Net(FIXED)
    net.cut("one", LINK, BACK)
    net.cut("other", LINK)
    degraded(net, loss=0.0)  # what comes later lifts no cut
    net.heal("one")
    net.send(LINK)
    net.send(BACK)
    net.go(1_000)
    assert net.numbers(LINK) == [] and net.numbers(BACK) == [2]
    net.heal("other")
    net.send(LINK)
    net.go(1_000)
    assert net.numbers(LINK) == [3]


# ---- clogs -------------------------------------------------------------------------------------------------------


def test_a_clog_holds_frames_and_releases_them_in_order() -> None:
    net = Net(MODEL)
    net.send(LINK, 5)  # on their way
    net.clog("clog", LINK)
    net.send(LINK, 20, every_us=300)
    net.send(BACK)
    net.go(5_000)
    assert net.numbers(LINK) == [] and len(net.numbers(BACK)) == 1
    net.heal("clog")
    released_us = net.scheduler.now_us
    net.go(0)
    assert net.numbers(LINK) == list(range(1, 26))
    assert set(net.times(LINK)) == {released_us}
    assert net.counters(LINK).clogged == 25


def test_held_frames_are_not_overtaken_when_a_clog_ends() -> None:
    net = Net(FIXED)
    net.scheduler.at(1_000, lambda _: net.heal("clog"))
    net.clog("clog", LINK)
    net.send(LINK)
    net.go(500)
    net.send(LINK)  # due at the very moment at which the clog ends
    net.go(1_000)
    assert net.times(LINK) == [1_000, 1_000]
    assert net.numbers(LINK) == [1, 2]


def test_a_link_is_clogged_as_long_as_one_fault_clogs_it() -> None:
    net = Net(FIXED)
    net.clog("one", LINK)
    net.clog("other", LINK)
    net.send(LINK)
    net.go(1_000)
    net.heal("one")
    net.go(1_000)
    assert net.numbers() == []
    net.heal("other")
    net.go(0)
    assert net.numbers() == [1] and net.counters(LINK).clogged == 1


def test_held_frames_are_lost_if_the_link_is_cut_when_the_clog_ends() -> None:
    net = Net(FIXED)
    net.clog("clog", LINK)
    net.send(LINK)
    net.go(1_000)
    net.cut("cut", LINK)
    net.heal("clog")
    net.go(1_000)
    assert net.numbers() == []
    assert (net.counters(LINK).clogged, net.counters(LINK).cut) == (1, 1)


# ---- resets ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("delivered", "least", "most"), [(0.0, 0, 0), (0.3, 40, 80), (1.0, 200, 200)])
def test_a_reset_delivers_or_drops_each_frame_in_flight_at_once(delivered: float, least: int, most: int) -> None:
    net = Net(MODEL)
    net.go(777)
    net.send(LINK, 100)
    net.send(BACK, 100)
    net.send(ELSEWHERE, 100)
    arrived, lost = net.network.reset("f1", ["n1"], delivered)
    net.go(0)
    assert least <= arrived <= most and arrived + lost == 200
    assert set(net.times()) == ({777} if arrived else set())
    assert len(net.numbers()) == arrived
    for link in (LINK, BACK):
        assert net.numbers(link) == sorted(net.numbers(link)), "what is left keeps its order"
        assert net.counters(link).lost == 100 - len(net.numbers(link))
    net.go(GONE_US)
    assert len(net.numbers()) == arrived + 100
    assert net.numbers(ELSEWHERE) == list(range(201, 301)), "of other nodes: as if nothing had happened"


def test_a_reset_affects_duplicates_and_reordered_frames() -> None:
    net = Net(MODEL)
    degraded(net, duplicate=1.0, reorder=1.0)
    net.send(LINK, 50)
    net.heal("bad")
    assert net.network.reset("f1", ["n2"], 0.0) == (0, 100)
    net.go(GONE_US)
    assert net.numbers() == []


def test_no_frame_waits_behind_one_that_a_reset_removed() -> None:
    net = Net(FIXED)
    degraded(net, delay_min_us=50_000, delay_max_us=50_000)
    net.send(LINK)
    net.heal("bad")
    assert net.network.reset("f1", ["n1"], 0.0) == (0, 1)
    net.send(LINK)
    net.go(100_000)
    assert (net.numbers(), net.times()) == ([2], [500])


def test_frames_that_a_reset_delivers_obey_cuts_and_clogs() -> None:
    net = Net(FIXED)
    net.send(LINK)
    net.send(BACK)
    net.cut("cut", LINK)
    net.clog("clog", BACK)
    net.network.reset("f1", ["n1"], 1.0)
    net.go(1_000)
    assert net.numbers() == []
    net.heal("clog")
    net.go(0)
    assert net.numbers() == [2]


def test_the_draws_of_a_reset_depend_on_its_fault() -> None:
    """Another reset before it, which may poll for traffic many times, shifts nothing."""

    def arrived(name: str, *earlier: str) -> list[int]:
        net = Net(FIXED)
        for other in earlier:
            net.network.reset(other, NODES, 0.5)
        net.send(LINK, 100)
        net.network.reset(name, NODES, 0.5)
        net.go(0)
        return net.numbers()

    assert arrived("f2") == arrived("f2", "f1", "f1")
    assert arrived("f2") != arrived("f3")


def test_a_reset_finds_nothing_where_nothing_is_in_flight() -> None:
    net = Net(FIXED)
    net.send(ELSEWHERE)
    assert net.network.reset("f1", ["n1"], 0.0) == (0, 0)
    net.go(1_000)
    assert net.network.reset("f1", NODES, 0.0) == (0, 0)


def test_frames_between_others_are_no_arrivals_of_a_node() -> None:
    """A reset of a node that is cut off has nothing to break, and the others hear each other all the same."""
    net = Net(FIXED)
    net.send(LINK, 2)
    net.go(1_000)
    (apart,) = {*NODES} - {*LINK}
    assert [net.network.arrivals_of([node]) for node in (*LINK, apart)] == [2, 2, 0]
    assert net.network.arrivals_of(NODES) == 2 == net.network.arrivals


def test_counters_belong_to_a_link_and_are_a_snapshot() -> None:
    net = Net(FIXED)
    before = net.network.counters()
    net.send(LINK, 3)
    net.go(1_000)
    assert net.counters(LINK).forwarded == 3 == net.network.arrivals
    assert all(counters.forwarded == 0 for counters in before.values())
    assert net.counters(BACK).forwarded == 0
