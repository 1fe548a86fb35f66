"""How the proxy merges the faults in force on a link, and what happens to a message, without sockets."""

from __future__ import annotations

from msgspec.structs import replace as changed

from raft_chaos.chaos.faults.links import Degraded, LinkState
from raft_chaos.chaos.run.live.network.rules import LinkRule, rule_of
from raft_chaos.chaos.run.live.network.wire import LATE_MEANS, REORDER_US, Wire

MESSAGES = range(1, 1_001)


def fates(rule: LinkRule) -> list[tuple[bool, int, int | None, bool]]:
    """(lost, delay, copy, reordered) of a thousand messages."""
    wire = Wire("a", "b", seed=7)
    found = []
    for number in MESSAGES:
        wire.messages = number
        fate = wire.fate(rule)
        found.append((fate.lost, fate.delay_us, fate.copy_after_us, fate.reordered))
    return found


# ---- several faults, one rule --------------------------------------------------------------------------------------


def test_a_link_without_faults_has_the_empty_rule() -> None:
    assert rule_of(LinkState()) == LinkRule()


def test_a_cut_wins_over_all_other_faults() -> None:
    assert rule_of(LinkState(cut=True)) == LinkRule(cut=True)
    assert rule_of(LinkState(cut=True, degraded=(Degraded(loss=0.5),))) == LinkRule(cut=True, loss=0.5)


def test_delays_and_means_add_up_and_the_largest_probability_counts() -> None:
    one = Degraded(1_000, 2_000, loss=0.9, duplicate=0.0, reorder=0.1, delay_mean_us=40)
    other = Degraded(300, 500, loss=0.1, duplicate=0.5, reorder=0.0, delay_mean_us=2)
    expected = LinkRule(delay_min_us=1_300, delay_max_us=2_500, loss=0.9, duplicate=0.5, reorder=0.1, delay_mean_us=42)
    assert rule_of(LinkState(degraded=(one, other))) == rule_of(LinkState(degraded=(other, one))) == expected


# ---- one message ---------------------------------------------------------------------------------------------------


def test_a_mean_delay_is_exponential_and_added_to_the_uniform_one() -> None:
    delays = sorted(
        delay - 1_000 for _, delay, _, _ in fates(LinkRule(delay_min_us=1_000, delay_max_us=1_000, delay_mean_us=2_000))
    )
    assert delays[0] >= 0
    assert 1_800 < sum(delays) / len(delays) < 2_200
    assert 1_200 < delays[len(delays) // 2] < 1_600, "the median of an exponential is 0.69 of its mean"
    assert delays[-1] > 8_000


def test_without_a_mean_a_message_is_delayed_by_the_range_alone() -> None:
    assert {delay for _, delay, _, _ in fates(LinkRule())} == {0}
    delays = [delay for _, delay, _, _ in fates(LinkRule(delay_min_us=100, delay_max_us=200))]
    assert min(delays) == 100 and max(delays) == 200


def test_a_reordered_message_arrives_after_most_delayed_ones() -> None:
    rule = LinkRule(delay_max_us=500, reorder=0.5, delay_mean_us=2_000)
    late = [delay for _, delay, _, reordered in fates(rule) if reordered]
    others = [delay for _, delay, _, reordered in fates(rule) if not reordered]
    assert len(late) > 400 and min(late) >= 500 + REORDER_US[0] + LATE_MEANS * 2_000
    assert sum(delay < min(late) for delay in others) > 0.95 * len(others)


def test_the_parts_of_a_rule_draw_independently() -> None:
    rule = LinkRule(delay_max_us=700, loss=0.3, duplicate=0.4, reorder=0.2)
    plain, slow = fates(rule), fates(changed(rule, delay_mean_us=5_000))
    assert [(lost, copy, reordered) for lost, _, copy, reordered in plain] == [
        (lost, copy, reordered) for lost, _, copy, reordered in slow
    ]
    assert all(later >= sooner for (_, sooner, _, _), (_, later, _, _) in zip(plain, slow, strict=True))
    assert [lost for lost, *_ in plain] == [lost for lost, *_ in fates(LinkRule(loss=0.3))]
