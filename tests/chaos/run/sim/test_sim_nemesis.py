"""The nemesis in virtual time, a run for each fault: to the microsecond, at any time of the run, on whoever leads.

What holds in every world, and what several faults make of one node together, is in `test_nemesis`.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from raft_chaos.chaos.faults.action import Action
from raft_chaos.chaos.faults.clock import Clock
from raft_chaos.chaos.faults.disk import SlowSync
from raft_chaos.chaos.faults.network import TRAFFIC_PATIENCE_US, Network, Reset
from raft_chaos.chaos.faults.partition import Clog, Partition
from raft_chaos.chaos.faults.process import FAILPOINT_PATIENCE_US, Kill, Pause
from raft_chaos.chaos.run.nemesis import LEADER_POLL_US
from raft_chaos.chaos.run.sim.run import VirtualRun
from raft_chaos.chaos.schedule.data import AnchorEvent, Fault, When
from raft_chaos.invariants.events import (
    AnyEvent,
    FaultHealed,
    FaultInjected,
    NodeKilled,
    NodeLaunched,
    NodePaused,
    NodeResumed,
    PhaseStarted,
)
from sim_runs import ISOLATED, LONGEST_US, NODES, SAFETY_US, fault, harness_of, of, short, virtual

FROM_US, UNTIL_US = SAFETY_US
AT_US = 400_000
Look = Callable[[VirtualRun], object]


def injected(events: list[AnyEvent], name: str = "f1") -> FaultInjected:
    (event,) = [event for event in of(FaultInjected, events) if event.fault == name]
    return event


def healed(events: list[AnyEvent], name: str = "f1") -> FaultHealed:
    (event,) = [event for event in of(FaultHealed, events) if event.fault == name]
    return event


def seen_at(run: VirtualRun, moments: list[int], look: Look) -> list[object]:
    """What `look` finds at these times of the run, which is then over."""
    found: list[object] = []
    for at_us in moments:
        run.scheduler.at(at_us, lambda _: found.append(look(run)))
    run.go()
    return found


def leader(run: VirtualRun) -> str:
    assert run.view.leader is not None
    return run.view.leader


# ---- each kind ---------------------------------------------------------------------------------------------------

KINDS: list[tuple[Action, int, str, str]] = [
    (Pause(["n2"]), 100_000, "pause n2", r"seen stopped: n2"),
    (Pause(["leader"]), 100_000, "pause n[123]", r"seen stopped: n[123]"),
    (SlowSync(["leader"], 2_000, 3_000), 100_000, "syncs of n[123] take 2 to 3 ms longer", r"\d+ syncs slowed"),
    (Partition("isolate_leader", ISOLATED), 150_000, "isolate_leader: n1 hears not .*", r"\d+ frames held back"),
    (
        Network(["leader"], delay_max_us=5_000, loss=0.2, duplicate=0.3, reorder=0.3),
        100_000,
        "n[123]: delay 0 to 5 ms, loss 20%, duplicate 30%, reorder 30%",
        r"frames: [1-9]\d* delayed, [1-9]\d* lost, [1-9]\d* duplicated, [1-9]\d* reordered",
    ),
    (Clog({"others": ["leader"]}), 30_000, "clog: n.*", r"[1-9]\d* frames held and let go at once"),
    (Clock(["n2"], 200_000, 5_000), 100_000, "clocks of n2 jump by 5 ms and gain 20 %", r"gained 25 ms"),
    (Kill(["leader"], [50_000]), 50_000, "kill n[123]", r"killed (n[123]), new incarnation of \1"),
]


@pytest.mark.parametrize(("action", "duration_us", "detail", "effect"), KINDS)
def test_each_kind_sets_in_is_healed_and_tells_its_effect(
    action: Action, duration_us: int, detail: str, effect: str
) -> None:
    events = harness_of(short(fault("f1", AT_US, action, duration_us)))
    start, end = injected(events), healed(events)
    assert (start.t_us, end.t_us) == (AT_US, AT_US + duration_us)
    assert re.fullmatch(detail, start.detail), start.detail
    assert re.fullmatch(effect, end.effect), end.effect
    assert end.effective and end.moot == ""
    assert start.leader in NODES
    if "leader" in getattr(action, "nodes", []):
        assert start.targets == (start.leader,)


def test_a_paused_node_is_stopped_for_as_long_as_it_is_said() -> None:
    run = virtual(short(fault("f1", AT_US, Pause(["n2", "n3"]), 100_000)))
    states = seen_at(run, [AT_US - 1, AT_US + 1, AT_US + 99_999, AT_US + 100_001], lambda r: r.cluster.state("n3"))
    assert states == ["up", "paused", "paused", "up"]
    events = run.trace.harness_events
    assert [(e.subject, e.t_us) for e in of(NodePaused, events)] == [("n2", AT_US), ("n3", AT_US)]
    assert [(e.subject, e.t_us) for e in of(NodeResumed, events)] == [("n2", AT_US + 100_000), ("n3", AT_US + 100_000)]


def test_a_killed_node_starts_again_after_its_time() -> None:
    run = virtual(short(fault("f1", AT_US, Kill(["n1", "n2"], [20_000, 70_000]), 70_000)))
    moments = [AT_US + 1, AT_US + 20_001, AT_US + 70_001]
    states = seen_at(run, moments, lambda r: (r.cluster.state("n1"), r.cluster.state("n2")))
    assert states == [("down", "down"), ("up", "down"), ("up", "up")]
    events = run.trace.harness_events
    assert [(e.subject, e.t_us) for e in of(NodeKilled, events)] == [("n1", AT_US), ("n2", AT_US)]
    again = [(e.subject, e.subject_inc, e.t_us) for e in of(NodeLaunched, events) if e.subject_inc > 1]
    assert again == [("n1", 2, AT_US + 20_000), ("n2", 2, AT_US + 70_000)]
    assert healed(events).t_us == AT_US + 70_000


def test_a_partition_cuts_its_links_and_no_other() -> None:
    run = virtual(short(fault("f1", AT_US, Partition("one_way", {"n2": ["n1"], "n3": ["n1"]}), 100_000)))
    seen = seen_at(
        run,
        [AT_US - 1, AT_US + 1, AT_US + 100_001],
        lambda r: sorted(name for name, link in r.cluster.network.links.items() if link.cut),
    )
    assert seen == [[], [("n1", "n2"), ("n1", "n3")], []]


def test_a_leader_that_is_cut_off_is_succeeded_and_follows_again() -> None:
    run = virtual(short(fault("f1", AT_US, Partition("isolate_leader", ISOLATED), 300_000)))
    leaders = seen_at(run, [AT_US - 1, AT_US + 299_999, UNTIL_US + 90_000], leader)
    assert leaders[0] != leaders[1] == leaders[2]
    assert run.view.nodes[str(leaders[0])].role == "follower"


def test_a_clock_is_bent_for_as_long_as_it_is_said_and_keeps_what_it_gained() -> None:
    run = virtual(short(fault("f1", AT_US, Clock(["n2"], -300_000, 8_000), 100_000)))
    run.go()
    assert run.cluster._nodes["n2"].clock == [
        (0, 0, 0),
        (AT_US, AT_US + 8_000, -300_000),
        (AT_US + 100_000, AT_US + 8_000 + 70_000, 0),
    ]
    assert healed(run.trace.harness_events).effect == "gained -22 ms"
    assert run.cluster._nodes["n1"].clock == [(0, 0, 0)]


def test_slow_syncs_are_slow_for_as_long_as_it_is_said() -> None:
    run = virtual(short(fault("f1", AT_US, SlowSync(["n1"], 10, 20), 100_000)))
    seen = seen_at(run, [AT_US - 1, AT_US + 1, AT_US + 100_001], lambda r: r.cluster._nodes["n1"].slow_sync_us)
    assert seen == [(0, 0), (10, 20), (0, 0)]


# ---- several of a kind at once -----------------------------------------------------------------------------------


def test_a_pause_stops_a_node_that_started_anew_within_another_pause() -> None:
    """The kill ended what the first pause had done; the second finds the node up, and the later end lets it go."""
    one = fault("f1", AT_US, Pause(["n1"]), 200_000)
    kill = fault("f2", AT_US + 20_000, Kill(["n1"], [20_000]), 20_000)
    again = fault("f3", AT_US + 60_000, Pause(["n1"]), 90_000)
    run = virtual(short(one, kill, again))
    moments = [AT_US + after_us for after_us in (10_000, 30_000, 50_000, 70_000, 160_000, 210_000)]
    states = seen_at(run, moments, lambda r: r.cluster.state("n1"))
    assert states == ["paused", "down", "up", "paused", "paused", "up"]
    assert all(healed(run.trace.harness_events, name).effective for name in ("f1", "f2", "f3"))


def test_a_fault_that_another_left_nothing_to_do_says_which() -> None:
    down = fault("f1", AT_US, Kill(["n1"], [100_000]), 100_000)
    again = fault("f2", AT_US + 10_000, Kill(["n1"], [0]))
    stop = fault("f3", AT_US + 10_000, Pause(["n1"]), 10_000)
    events = harness_of(short(down, again, stop))
    for name in ("f2", "f3"):
        assert not healed(events, name).effective
        assert healed(events, name).moot.startswith("f1")
    assert healed(events, "f1").effective
    assert len(of(NodeKilled, events)) == 1


# ---- the end of the safety phase ---------------------------------------------------------------------------------

LATE_US = UNTIL_US - 5_000
LASTING: list[Action] = [
    Pause(["n2"]),
    SlowSync(NODES, 1_000, 2_000),
    Partition("isolate_leader", ISOLATED),
    Network(NODES, loss=0.5),
    Clog({"others": ["leader"]}),
    Clock(["n3"], 100_000, 0),
    Kill(["n1", "n2"], [700_000, 700_000]),
    Kill(["n1"], [700_000], failpoint="after_sync"),
]


@pytest.mark.parametrize("action", LASTING, ids=lambda action: type(action).__name__)
def test_the_end_of_the_safety_phase_heals_everything(action: Action) -> None:
    run = virtual(short(fault("f1", LATE_US, action, 700_000), every_us=2_000))
    (rest,) = seen_at(
        run,
        [UNTIL_US + 1],
        lambda r: (
            [r.cluster.state(node) for node in NODES],
            [node.slow_sync_us for node in r.cluster._nodes.values()],
            [node.armed for node in r.cluster._nodes.values()],
            [node.clock[-1][2] for node in r.cluster._nodes.values()],
            [link.name for link in r.cluster.network.links.values() if link.cut or link.clog or link.rules],
        ),
    )
    assert rest == (["up"] * 3, [(0, 0)] * 3, [None] * 3, [0] * 3, [])
    events = run.trace.harness_events
    assert (injected(events).t_us, healed(events).t_us) == (LATE_US, UNTIL_US)
    phases = [event for event in events if isinstance(event, PhaseStarted | FaultHealed)]
    assert [type(event) for event in phases[-2:]] == [FaultHealed, PhaseStarted], "healed before liveness begins"
    assert healed(events).effective or healed(events).moot == "end of the safety phase"


@pytest.mark.parametrize("when", [When(at_us=UNTIL_US + 1), When(on="leader_elected", nth=99)])
def test_a_fault_whose_moment_has_not_come_by_then_never_fires(when: When) -> None:
    events = harness_of(short(fault("f1", when, Pause(["n1"]), 10_000)))
    assert not of(FaultInjected, events) and not of(FaultHealed, events) and not of(NodePaused, events)


# ---- anchors -----------------------------------------------------------------------------------------------------


def first_leader_dies(at_us: int = AT_US) -> Fault:
    return fault("f0", at_us, Kill(["leader"], [100_000]), 100_000)


@pytest.mark.parametrize("event", ["leader_elected", "leader_committed", "vote_granted"])
def test_an_anchor_counts_from_the_beginning_of_the_run(event: AnchorEvent) -> None:
    """What has passed by the time the safety phase begins has passed at that moment."""
    anchored = fault("f1", When(on=event, nth=1, after_us=7_000), Pause(["n1"]), 10_000)
    run = virtual(short(anchored))
    run.go()
    assert run.view.seen[event][1] in NODES
    assert injected(run.trace.harness_events).t_us == FROM_US + 7_000


@pytest.mark.parametrize("event", ["leader_elected", "leader_committed", "vote_granted"])
def test_an_anchor_is_passed_when_the_event_comes_for_that_time(event: AnchorEvent) -> None:
    quiet = virtual(short(first_leader_dies()))
    before, after = seen_at(quiet, [FROM_US, UNTIL_US - 1], lambda r: len(r.view.seen[event]))
    assert isinstance(before, int) and isinstance(after, int) and after > before
    # That number of the event comes in the safety phase; the run is the same up to then.
    passed: list[int] = []
    run = virtual(
        short(first_leader_dies(), fault("f1", When(on=event, nth=before + 1, after_us=300), Pause(["n1"]), 9))
    )
    happened = run.nemesis.happened

    def watched(what: AnchorEvent, number: int, reporter: str) -> None:
        if (what, number) == (event, before + 1):
            passed.append(run.scheduler.now_us)
        happened(what, number, reporter)

    run.nemesis.happened = watched  # type: ignore[method-assign]
    run.go()
    assert [injected(run.trace.harness_events).t_us] == [at_us + 300 for at_us in passed]
    assert passed[0] > AT_US


def test_the_voter_is_who_granted_that_vote() -> None:
    run = virtual(short(first_leader_dies(), fault("f1", When(on="vote_granted", nth=4), Kill(["voter"], [5_000]))))
    run.go()
    assert injected(run.trace.harness_events).targets == (run.view.seen["vote_granted"][4],)


# ---- what a fault waits for --------------------------------------------------------------------------------------


def test_a_fault_on_the_leader_waits_until_there_is_one() -> None:
    """The leader is killed, and the next fault is meant for its successor."""
    events = harness_of(short(first_leader_dies(), fault("f1", AT_US + 1, Pause(["leader"]), 20_000)))
    start = injected(events)
    assert start.t_us > AT_US + LONGEST_US // 2
    assert (start.t_us - AT_US - 1) % LEADER_POLL_US == 0
    assert start.leader not in (None, injected(events, "f0").leader)
    assert start.targets == (start.leader,)


def test_a_leader_that_is_cut_off_or_paused_leads_nobody() -> None:
    for first in (Partition("isolate_leader", ISOLATED), Pause(["leader"])):
        events = harness_of(
            short(fault("f0", AT_US, first, 300_000), fault("f1", AT_US + 1, Kill(["leader"], [50_000]), 50_000))
        )
        assert injected(events).leader not in (None, injected(events, "f0").leader)


def test_a_cut_that_leaves_the_links_of_the_leader_alone_waits() -> None:
    """Followers have nothing to say to each other. Once the leader is gone, they have an election to hold."""
    for node in NODES:
        others = [other for other in NODES if other != node]
        between = Partition("halves", {others[0]: [others[1]], others[1]: [others[0]]})
        plan = short(
            fault("f1", AT_US, between, 100_000), fault("f2", AT_US + 50_000, Kill([node], [150_000]), 150_000)
        )
        run = virtual(plan)
        (led,) = seen_at(run, [AT_US - 1], leader)
        events = run.trace.harness_events
        if led == node:
            assert injected(events).t_us >= AT_US + 50_000
        else:
            assert injected(events).t_us == AT_US
        assert injected(events).leader != node


def test_a_reset_waits_for_traffic_and_tells_what_became_of_it() -> None:
    """Between two heartbeats nothing is in flight, so a reset at any moment would mostly break nothing."""
    for at_us in range(AT_US, AT_US + 10_000, 1_111):
        events = harness_of(short(fault("f1", at_us, Reset(["leader"], 0.0)), clients=1, every_us=200_000))
        end = healed(events)
        assert end.effective and re.fullmatch(r"frames in flight: 0 delivered, [1-9]\d* lost", end.effect)
        assert at_us <= end.t_us < at_us + TRAFFIC_PATIENCE_US
        assert injected(events).t_us == end.t_us


@pytest.mark.parametrize(
    ("delivered", "effect"), [(0.0, r"0 delivered, [1-9]\d* lost"), (1.0, r"[1-9]\d* delivered, 0 lost")]
)
def test_a_reset_delivers_or_loses(delivered: float, effect: str) -> None:
    assert re.search(effect, healed(harness_of(short(fault("f1", AT_US, Reset(NODES, delivered))))).effect)


def test_a_reset_that_still_waits_when_the_safety_phase_ends_never_fires() -> None:
    """All nodes but one are down, so nothing is in flight; once all is healed there is, and nothing may be lost."""
    down = fault("f0", AT_US, Kill(["n2", "n3"], [700_000, 700_000]), 700_000)
    quiet = fault("f1", AT_US + 1, Partition("one", {"n2": ["n1"], "n3": ["n1"]}), 700_000)
    late = fault("f2", UNTIL_US - 50, Reset(["n2"], 0.0))
    run = virtual(short(down, quiet, late))
    run.go()
    events = run.trace.harness_events
    liveness_us = next(event.t_us for event in of(PhaseStarted, events) if event.phase == "liveness")
    assert all(event.t_us <= liveness_us for event in (*of(FaultInjected, events), *of(FaultHealed, events)))
    assert {event.fault for event in of(FaultInjected, events)} == {event.fault for event in of(FaultHealed, events)}
    assert sum(link.counters.lost for link in run.cluster.network.links.values()) == 0


# ---- kills at a failpoint ----------------------------------------------------------------------------------------


def test_a_kill_at_a_failpoint_strikes_when_the_node_gets_there() -> None:
    events = harness_of(short(fault("f1", AT_US, Kill(["leader"], [50_000], failpoint="mid_send"), 50_000)))
    (killed,) = of(NodeKilled, events)
    assert injected(events).t_us == AT_US and injected(events).detail.endswith(", mid_send")
    assert AT_US < killed.t_us <= AT_US + 11_000, "with the next heartbeat at the latest"
    (again,) = [event for event in of(NodeLaunched, events) if event.subject_inc == 2]
    assert again.t_us == killed.t_us + 50_000 == healed(events).t_us
    assert healed(events).effective


def test_a_failpoint_that_is_never_reached_strikes_after_the_patience() -> None:
    """A follower answers no clients."""
    until_us = AT_US + FAILPOINT_PATIENCE_US + 200_000
    probe = virtual(short())
    (led,) = seen_at(probe, [AT_US], leader)
    follower = next(node for node in NODES if node != led)
    plan = short(
        fault("f1", AT_US, Kill([follower], [30_000], failpoint="before_answer"), 30_000), safety_us=(FROM_US, until_us)
    )
    events = harness_of(plan)
    (killed,) = of(NodeKilled, events)
    assert (killed.subject, killed.t_us) == (follower, AT_US + FAILPOINT_PATIENCE_US)
    assert healed(events).t_us == killed.t_us + 30_000


def test_each_node_of_a_kill_comes_back_after_its_own_time_from_its_own_end() -> None:
    kill = Kill(["leader", *NODES], [40_000, 10_000, 20_000, 30_000], failpoint="after_sync")
    events = harness_of(short(fault("f1", AT_US, kill, 40_000)))
    led = injected(events).leader
    waits = {node: 10_000 * (place + 1) for place, node in enumerate(NODES)} | {led: 40_000}
    ended = {event.subject: event.t_us for event in of(NodeKilled, events)}
    begun = {event.subject: event.t_us for event in of(NodeLaunched, events) if event.subject_inc == 2}
    assert set(ended) == set(NODES)
    assert {node: begun[node] - ended[node] for node in NODES} == waits
    assert healed(events).t_us == max(begun.values())


def test_what_reaches_the_disk_is_what_the_schedule_says() -> None:
    crashed: list[tuple[str, int]] = []
    run = virtual(short(fault("f1", AT_US, Kill(["n3", "n1"], [1_000, 1_000], keep_permille=[300, 700]), 1_000)))
    kill = run.cluster.kill

    def watched(name: str, keep_permille: int) -> bool:
        crashed.append((name, keep_permille))
        return kill(name, keep_permille)

    run.cluster.kill = watched  # type: ignore[method-assign]
    run.go()
    assert crashed == [("n3", 300), ("n1", 700)]
