"""The nemesis in every world: what its faults do alone and together, that each is healed, and what they wait for.

One run of each world plays all scenes (`nemesis_scenes`). In virtual time moments are exact; in real time they are
bounds. What is so in a world is asked of its nodes and links, not of what was reported.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from nemesis_scenes import ALONE_N1, CROSSED, LOSSY, SLIGHT, Moment, Played, WorldName, play

from builders.runs import harness_of
from builders.schedules import NODES, short
from builders.schedules import fault as scheduled
from raft_chaos.chaos.faults.partition import Partition
from raft_chaos.chaos.faults.process import Kill
from raft_chaos.invariants.events import (
    AnyEvent,
    FaultInjected,
    NodeKilled,
    NodeLaunched,
    NodePaused,
    NodeResumed,
    RoleChanged,
)

Plays = Callable[[WorldName], Played]
FROM_LIVE = pytest.param("live", marks=[pytest.mark.live, pytest.mark.slow])
FROM_LOCKSTEP = pytest.param("lockstep", marks=pytest.mark.live)


@pytest.fixture(scope="module")
def plays(tmp_path_factory: pytest.TempPathFactory) -> Plays:
    """Each world plays at most once."""
    done: dict[WorldName, Played] = {}

    def played(world: WorldName) -> Played:
        if world not in done:
            done[world] = play(world, tmp_path_factory.mktemp("scenes"))
        return done[world]

    return played


@pytest.fixture(params=["sim", FROM_LOCKSTEP, FROM_LIVE])
def played(request: pytest.FixtureRequest, plays: Plays) -> Played:
    return plays(request.param)


@pytest.fixture(params=["sim", FROM_LOCKSTEP])
def virtual(request: pytest.FixtureRequest, plays: Plays) -> Played:
    return plays(request.param)


def told(played: Played, scene: str, node: str) -> list[type[AnyEvent]]:
    """The events about the node during the scene."""
    kinds = (NodeKilled, NodeLaunched, NodePaused, NodeResumed)
    return [type(e) for e in played.during(scene) if isinstance(e, kinds) and e.subject == node]


def links(grudge: dict[str, list[str]]) -> set[tuple[str, str]]:
    return {(sender, receiver) for receiver, senders in grudge.items() for sender in senders}


# ---- each kind -----------------------------------------------------------------------------------------------------

EFFECTS = {
    "leader slow/1": ("syncs of n[123] take 2 to 3 ms longer", r"[1-9]\d* syncs slowed"),
    "two pauses/1": ("pause n1 n2", "seen stopped: n1 n2"),
    "leader cut off/1": ("isolate_leader: n1 does not hear .*", r"[1-9]\d* frames held back"),
    "bad network/1": (
        "n[123]: delay 0 to 3 ms and 0.5 ms more on average, loss 20%, duplicate 30%, reorder 30%",
        r"frames: [1-9]\d* delayed, [1-9]\d* lost, [1-9]\d* duplicated, [1-9]\d* reordered",
    ),
    "two leaders/1": ("kill n[123]", r"killed (n[123]), new incarnation of \1"),
}
VIRTUAL_EFFECTS = {
    "two clogs/1": ("clog: n1 waits for n2 n3", r"[1-9]\d* frames held and let go at once"),
    "two clocks/1": ("clocks of n1 n2 jump by 0 ms and gain 20 %", "gained 18 ms"),
    "two clocks/2": ("clocks of n2 n3 jump by 0.9 ms and gain -10 %", r"gained -8.1 ms"),
    "reset/1": ("reset the connections of n[123]", r"frames in flight: \d+ delivered, \d+ lost"),
    "kill at a failpoint/1": ("kill n[123], mid_send", r"killed (n[123]), new incarnation of \1"),
}


def shows(played: Played, name: str, detail: str, effect: str) -> None:
    start, end = played.injected(name), played.healed(name)
    assert re.fullmatch(detail, start.detail), start.detail
    if played.world == "live":
        # How many frames or syncs a fault meets in real time is the machine's business: it may be busy.
        assert re.fullmatch(effect.replace(r"[1-9]\d*", r"\d+"), end.effect), end.effect
    else:
        assert re.fullmatch(effect, end.effect), end.effect
        assert end.effective and end.moot == ""
    if "leader" in getattr(played.fault(name).action, "nodes", []):
        assert start.targets == (start.leader,)


@pytest.mark.parametrize("name", EFFECTS)
def test_each_kind_is_reported_with_its_effect(played: Played, name: str) -> None:
    shows(played, name, *EFFECTS[name])


@pytest.mark.parametrize("name", VIRTUAL_EFFECTS)
def test_each_kind_of_virtual_time_is_reported_with_its_effect(virtual: Played, name: str) -> None:
    shows(virtual, name, *VIRTUAL_EFFECTS[name])


def test_each_fault_starts_at_its_time_and_is_healed_after_its_duration(played: Played) -> None:
    """Those that wait for a leader, whatever comes after a restart, and what the end cuts short are not among them."""
    looked_at = 0
    for fault in played.plan.faults:
        scene, at_us = fault.id.split("/")[0], fault.when.at_us
        if at_us is None or scene in ("end", "two leaders", "kill at a failpoint"):
            continue
        start_us, end_us = played.injected(fault.id).t_us - played.zero_us, played.healed(fault.id).t_us
        lasted_us = end_us - played.zero_us - start_us
        looked_at += 1
        if played.world == "live":
            assert start_us >= at_us and lasted_us >= fault.duration_us - 1_000, fault.id
        else:
            assert (start_us, lasted_us) == (at_us, fault.duration_us), fault.id
    assert looked_at >= 14


def test_a_run_of_all_scenes_is_valid(played: Played) -> None:
    info = played.run.load_info()
    assert all(verdict.outcome == "valid" for verdict in info.invariants)
    if played.world != "live":  # a busy machine may leave a fault without effect, which makes the run vacuous
        assert (info.verdict, info.vacuous) == ("valid", [])


@pytest.mark.live
def test_lockstep_does_the_same_as_sim_at_the_same_times(plays: Plays) -> None:
    sim, lockstep = plays("sim"), plays("lockstep")
    assert sim.events == lockstep.events
    assert sim.moments == lockstep.moments


# ---- several at once -----------------------------------------------------------------------------------------------


def test_a_node_with_two_pauses_stays_paused_until_both_have_ended(played: Played) -> None:
    states = [(moment.states["n1"], moment.states["n2"]) for moment in played.all_four("two pauses")]
    assert states == [("paused", "paused"), ("paused", "paused"), ("up", "paused"), ("up", "up")]
    assert told(played, "two pauses", "n1") == told(played, "two pauses", "n2") == [NodePaused, NodeResumed]
    for number in (1, 2):
        end = played.healed(f"two pauses/{number}")
        assert end.effective and end.effect.endswith("n2")


def test_the_later_of_two_slow_syncs_lasts_when_the_earlier_ends(played: Played) -> None:
    slow = [(moment.slow_us.get("n1"), moment.slow_us.get("n2")) for moment in played.all_four("two slow syncs")]
    assert slow == [(1_000, 1_000), (1_000, 2_000), (None, 2_000), (None, None)]
    assert played.healed("two slow syncs/1").effective and played.healed("two slow syncs/2").effective


def test_the_shared_link_of_two_cuts_stays_cut_until_both_have_ended(played: Played) -> None:
    one, other = links(ALONE_N1), links(CROSSED)
    assert one & other and one - other and other - one
    assert [moment.cut for moment in played.all_four("two cuts")] == [one, one | other, other, set()]


def test_the_shared_link_of_two_bad_networks_suffers_both(played: Played) -> None:
    shared, of_one, of_other = ("n1", "n2"), ("n2", "n1"), ("n3", "n2")
    slight, lossy = SLIGHT.degraded, LOSSY.degraded
    one, both, other, none = played.all_four("two bad networks")
    assert one.degraded[shared] == one.degraded[of_one] == one.degraded[of_other] == (slight,)
    assert both.degraded["n1", "n3"] == both.degraded[shared] == both.degraded[of_other] == (slight, lossy)
    assert other.degraded[shared] == other.degraded["n2", "n3"] == (lossy,)
    assert none.degraded == {}
    assert played.healed("two bad networks/1").effective and played.healed("two bad networks/2").effective


def test_the_shared_link_of_two_clogs_is_held_until_both_have_ended(virtual: Played) -> None:
    shared, of_one, of_other = ("n2", "n1"), ("n3", "n1"), ("n1", "n3")
    clogged = [moment.clogged for moment in virtual.all_four("two clogs")]
    assert clogged == [{shared, of_one}, {shared, of_one, of_other}, {shared, of_other}, set()]


def test_the_later_of_two_clock_rates_lasts_when_the_earlier_ends(virtual: Played) -> None:
    rates = [moment.rates_ppm for moment in virtual.all_four("two clocks")]
    assert rates == [
        {"n1": 200_000, "n2": 200_000},
        {"n1": 200_000, "n2": -100_000, "n3": -100_000},
        {"n2": -100_000, "n3": -100_000},
        {},
    ]


def test_a_node_killed_during_a_pause_restarts_and_is_not_resumed(played: Played) -> None:
    assert told(played, "kill within a pause", "n1") == [NodePaused, NodeKilled, NodeLaunched]
    for number in (1, 2):
        assert played.healed(f"kill within a pause/{number}").effective


def test_a_pause_of_a_node_that_is_down_is_excused_by_the_kill(played: Played) -> None:
    assert told(played, "pause within a kill", "n1") == [NodeKilled, NodeLaunched]
    end = played.healed("pause within a kill/2")
    assert (end.effective, end.effect, end.moot) == (False, "seen stopped: none", "pause within a kill/1")
    assert played.moments["+pause within a kill/2"].states["n1"] == "down"
    assert played.healed("pause within a kill/1").effective


# ---- what a fault waits for ----------------------------------------------------------------------------------------


def test_a_fault_on_the_leader_waits_for_a_leader(played: Played) -> None:
    """The leader is killed, and the next fault is meant for its successor."""
    killed, paused = played.injected("two leaders/1"), played.injected("two leaders/2")
    assert paused.leader not in (None, killed.leader) and paused.targets == (paused.leader,)
    assert paused.t_us - played.zero_us > (played.fault("two leaders/2").when.at_us or 0)
    moment = played.moments["+two leaders/2"]
    assert moment.states[killed.leader or ""] == "down" and moment.states[paused.leader or ""] == "paused"


def elected_us(played: Played, nth: int) -> int:
    """When the nth leader was elected, as the nodes reported."""
    leaders: dict[int, int] = {}
    for stream in played.run.node_streams():
        for event in stream:
            if isinstance(event, RoleChanged) and event.role == "leader":
                leaders.setdefault(event.term, event.t_us)
    return sorted(leaders.values())[nth - 1]


def test_an_anchor_that_has_passed_counts_from_the_beginning_of_the_safety_phase(played: Played) -> None:
    due_us = played.phase("safety").t_us + played.tick_us
    assert elected_us(played, 1) < played.phase("safety").t_us
    start_us = played.injected("anchor/passed").t_us
    assert start_us >= due_us if played.world == "live" else start_us == due_us


def test_an_anchored_fault_fires_with_its_delay_after_the_event(played: Played) -> None:
    due_us, start_us = elected_us(played, 2) + played.tick_us, played.injected("anchor/to come").t_us
    assert start_us >= due_us if played.world == "live" else start_us == due_us


@pytest.mark.parametrize("name", ["anchor/never", "end/too late"])
def test_a_fault_whose_event_does_not_come_never_fires(played: Played, name: str) -> None:
    assert not [event for event in played.events if isinstance(event, FaultInjected) and event.fault == name]


# ---- the end of the safety phase -----------------------------------------------------------------------------------


def test_the_end_of_the_safety_phase_heals_everything(played: Played) -> None:
    lasting = [fault.id for fault in played.plan.faults if fault.id.startswith("end/") and fault.id != "end/too late"]
    assert len(lasting) == (6 if played.world == "live" else 7)
    until_us = played.zero_us + played.plan.header.safety_until_us
    liveness_us = played.phase("liveness").t_us
    for name in lasting:
        start_us, end_us = played.injected(name).t_us, played.healed(name).t_us
        assert start_us < until_us <= end_us <= liveness_us
        assert played.world == "live" or end_us == until_us
        end = played.healed(name)
        assert end.effective or end.moot
    assert played.moments["end"] == Moment(dict.fromkeys(NODES, "up"), {}, set(), set(), {}, {})


# ---- who goes first --------------------------------------------------------------------------------------------------


def test_of_faults_that_wait_for_a_leader_the_one_that_cuts_it_off_goes_first() -> None:
    """Where elections are rare, kills would take each leader, and the required cut would never come."""
    cut = {"leader": ["others"], "others": ["leader"]}
    plan = short(
        scheduled("f1", 400_000, Kill(["n1", "n2", "n3"], [100_000] * 3), 100_000),
        scheduled("f2", 410_000, Kill(["leader"], [100_000]), 100_000),
        scheduled("f3", 420_000, Partition("isolate_leader", cut), 100_000),
    )
    struck = [event.fault for event in harness_of(plan) if isinstance(event, FaultInjected)]
    assert struck == ["f1", "f3", "f2"]
