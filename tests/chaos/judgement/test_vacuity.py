"""Vacuity: what a run lacks so that its verdict would mean something. Such a run is unknown."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from builders.commands import only_run, raft_chaos
from builders.schedules import saved, schedule
from raft_chaos.chaos.faults.catalogue import VIRTUAL_KINDS
from raft_chaos.chaos.faults.partition import Partition
from raft_chaos.chaos.faults.process import Kill
from raft_chaos.chaos.judgement.tally import Tally
from raft_chaos.chaos.judgement.vacuity import COMPLETED, clean_operations, vacuity, was_served
from raft_chaos.chaos.mutants import parts_of
from raft_chaos.chaos.run.nodes.memory_driver import MemoryDriver
from raft_chaos.chaos.run.sim.run import VirtualRun
from raft_chaos.chaos.schedule.config import ScheduleConfig
from raft_chaos.chaos.schedule.data import Fault, Operation, RequiredEvent, Schedule, When
from raft_chaos.chaos.schedule.generate import generate
from raft_chaos.chaos.targets.door import REFUSED
from raft_chaos.invariants.events import (
    HARNESS,
    AnyEvent,
    FaultHealed,
    FaultInjected,
    NodeKilled,
    NodeLaunched,
    PhaseStarted,
    RoleChanged,
    RunEnded,
    Started,
)
from raft_chaos.invariants.history import Op, OpFunction, OpType
from raft_chaos.raft.state.timing import Timing

# ---- the reasons, one by one --------------------------------------------------------------------------------------

BOTH: list[RequiredEvent] = ["leader_killed", "leader_isolated"]
KILL = Fault(id="f1", when=When(at_us=150), action=Kill(["leader"], [0]), duration_us=0)
ISOLATE = Fault(
    id="f2",
    when=When(at_us=160),
    action=Partition("isolate_leader", {"leader": ["others"], "others": ["leader"]}),
    duration_us=9,
)


def planned(at_us: Sequence[int] = (50, 150, 250), required: list[RequiredEvent] = BOTH) -> Schedule:
    """Safety lasts from 100 to 200 µs: by default one operation comes before, one within and one after it."""
    bare = schedule([KILL, ISOLATE], safety_us=(100, 200), liveness_us=100, clients=1, every_us=0, required=required)
    operations = [
        Operation(id=f"c0/{number}", client="c0", at_us=at, f="put", key="x", value=f"{number}")
        for number, at in enumerate(at_us)
    ]
    return msgspec.structs.replace(bare, operations=operations)


def injected(fault: str, kind: str, targets: tuple[str, ...], leader: str | None) -> AnyEvent:
    return FaultInjected(node=HARNESS, inc=1, t_us=150, fault=fault, type=kind, targets=targets, leader=leader)


def healed(fault: str, kind: str, *, effective: bool = True, moot: str = "") -> AnyEvent:
    return FaultHealed(
        node=HARNESS, inc=1, t_us=160, fault=fault, type=kind, effective=effective, effect="what was seen", moot=moot
    )


def killed(node: str, t_us: int) -> AnyEvent:
    return NodeKilled(node=HARNESS, inc=1, t_us=t_us, subject=node, subject_inc=1)


def leads(node: str, term: int) -> AnyEvent:
    return RoleChanged(node=node, inc=1, t_us=10, role="leader", term=term, leader=node)


PHASE = PhaseStarted(node=HARNESS, inc=1, t_us=0, phase="warmup")
END = RunEnded(node=HARNESS, inc=1, t_us=300, reason=COMPLETED)
KILLED = [injected("f1", "kill", ("n1",), "n1"), healed("f1", "kill")]
ISOLATED = [injected("f2", "partition", ("n1", "n2", "n3"), "n2"), healed("f2", "partition")]
TWO_TERMS = [leads("n1", 1), leads("n2", 2)]


def began(op: str, at_us: int) -> Op:
    return Op(type="invoke", process=0, client="c0", op=op, f="put", key="x", t_us=at_us, value="0")


def ended(op: str, kind: OpType = "ok", f: OpFunction = "put", index: int | None = None) -> Op:
    return Op(type=kind, process=0, client="c0", op=op, f=f, key="x", t_us=1, value="0", index=index)


def on_time(plan: Schedule, *ends: Op) -> list[Op]:
    """Each operation of the schedule began when it was due, and these ended."""
    return [*(began(operation.id, operation.at_us) for operation in plan.operations), *ends]


SERVED = [ended("c0/0"), ended("c0/1"), ended("c0/2")]


def missing(
    harness: Sequence[AnyEvent] = (PHASE, *KILLED, *ISOLATED, END),
    node_events: Sequence[AnyEvent] | None = TWO_TERMS,
    history: Sequence[Op] | None = None,
    plan: Schedule | None = None,
) -> list[str]:
    plan = plan or planned()
    tally = None if node_events is None else tallied(node_events)
    return vacuity(plan, harness, tally, on_time(plan, *SERVED) if history is None else history)


def tallied(events: Sequence[AnyEvent]) -> Tally:
    tally = Tally()
    for event in events:
        tally.observe(event)
    return tally


def test_a_complete_run_is_not_vacuous() -> None:
    assert missing() == []


def test_a_run_without_a_recorded_end_was_cut_short() -> None:
    assert missing([PHASE, *KILLED, *ISOLATED]) == ["the run was cut short: its end was never recorded"]


def test_a_run_that_ended_for_another_reason_was_cut_short() -> None:
    end = msgspec.structs.replace(END, reason="interrupted by SIGINT")
    assert missing([PHASE, *KILLED, *ISOLATED, end]) == ["the run was cut short: interrupted by SIGINT"]


def test_a_fault_without_effect_is_named_with_its_observed_effect() -> None:
    idle = [injected("f9", "network", ("n3",), "n1"), healed("f9", "network", effective=False)]
    assert missing([PHASE, *KILLED, *ISOLATED, *idle, END]) == ["fault f9 (network) had no effect: what was seen"]


def test_a_moot_fault_needs_no_effect() -> None:
    moot = [injected("f9", "kill", (), "n1"), healed("f9", "kill", effective=False, moot="f1")]
    assert missing([PHASE, *KILLED, *ISOLATED, *moot, END]) == []


def test_a_fault_that_never_fired_needs_no_effect() -> None:
    assert missing([PHASE, END], plan=planned(required=[])) == []


@pytest.mark.parametrize(
    "kill",
    [
        [injected("f1", "kill", ("n1",), "n2"), healed("f1", "kill")],
        [injected("f1", "kill", ("n1",), None), healed("f1", "kill")],
        [injected("f1", "kill", ("n1",), "n1"), healed("f1", "kill", effective=False, moot="f2")],
        [injected("f1", "pause", ("n1",), "n1"), healed("f1", "pause")],
    ],
    ids=["of a follower", "without a leader", "without effect", "only paused"],
)
def test_a_required_kill_of_a_leader_must_hit_the_leader(kill: list[AnyEvent]) -> None:
    assert missing([PHASE, *kill, *ISOLATED, END]) == ["no leader was killed, which the schedule requires"]


def test_a_leader_that_was_seen_gone_was_killed_even_if_it_could_not_start_again() -> None:
    """Its disk failed at the same time, or when it was to start again."""
    before = [killed("n1", 99), injected("f1", "kill", ("n1",), "n1"), healed("f1", "kill", effective=False, moot="f3")]
    assert missing([PHASE, *before, *ISOLATED, END]) == []
    launched = NodeLaunched(node=HARNESS, inc=1, t_us=99, subject="n1", subject_inc=2)
    earlier = [killed("n1", 50), launched, *before[1:]]
    assert "no leader was killed, which the schedule requires" in missing([PHASE, *earlier, *ISOLATED, END])
    kill = [injected("f1", "kill", ("n1",), "n1"), killed("n1", 155), healed("f1", "kill", effective=False, moot="f3")]
    assert missing([PHASE, *kill, *ISOLATED, END]) == []
    other = [injected("f1", "kill", ("n1",), "n1"), killed("n1", 161), healed("f1", "kill", effective=False, moot="f3")]
    assert missing([PHASE, *other, *ISOLATED, END]) == ["no leader was killed, which the schedule requires"]


def test_a_required_isolation_must_have_its_shape_and_take_effect() -> None:
    said = "no leader was cut off, which the schedule requires"
    assert missing([PHASE, *KILLED, END]) == [said]
    without_effect = [ISOLATED[0], healed("f2", "partition", effective=False, moot="f1")]
    assert missing([PHASE, *KILLED, *without_effect, END]) == [said]
    other_cut = [injected("f3", "partition", ("n1", "n2", "n3"), "n2"), healed("f3", "partition")]
    assert missing([PHASE, *KILLED, *other_cut, END]) == [said]


def test_only_the_events_that_the_schedule_names_are_required() -> None:
    assert missing([PHASE, END], plan=planned(required=[])) == []
    assert len(missing([PHASE, END])) == 2


def test_a_leader_in_one_term_only_is_not_a_change_of_leader() -> None:
    assert missing(node_events=[leads("n1", 1), leads("n1", 1)]) == [
        "no change of leader: leaders were elected in 1 terms"
    ]


def test_a_target_without_events_needs_no_terms() -> None:
    assert missing(node_events=None) == []


def test_an_incarnation_that_ran_and_reported_nothing_is_named() -> None:
    launched = [NodeLaunched(node=HARNESS, inc=1, t_us=1, subject="n1", subject_inc=inc) for inc in (1, 2)]
    harness = [PHASE, *launched, *KILLED, *ISOLATED, END]
    began = [Started(node="n1", inc=inc, t_us=0, term=0, voted_for=None, last_index=0, digest="") for inc in (1, 2)]
    assert missing(harness, node_events=[*TWO_TERMS, *began]) == []
    assert missing(harness, node_events=[*TWO_TERMS, began[0]]) == ["no events of n1, incarnation 2, which was running"]
    assert missing(harness, node_events=None) == []


def test_less_than_half_of_the_operations_without_faults_is_too_few() -> None:
    plan = planned(at_us=(50, 60, 210, 220, 150))
    two = on_time(plan, ended("c0/0"), ended("c0/3"))
    assert missing(plan=plan, history=two) == []
    one_and_others = on_time(plan, ended("c0/0"), ended("c0/1", "info"), ended("c0/2", "fail"), ended("c0/4"))
    assert missing(plan=plan, history=one_and_others) == [
        "only 1 operations were served in the phases without faults; required are 2, half of the 4 that are planned "
        "there (ask for less, with --rate or with `rate` in the target's file, if the cluster is that slow)"
    ]


def test_an_operation_counts_in_the_phase_in_which_it_began() -> None:
    """Clients wait for answers during faults, and carry out what is overdue once the faults are over."""
    plan = planned(at_us=(150, 160, 170, 210, 220))
    overdue = [began("c0/0", 150), began("c0/1", 205), ended("c0/0", "info"), ended("c0/1")]
    assert clean_operations(plan, [PHASE], overdue) == (2, 1)
    assert missing(plan=plan, history=overdue) == []
    late = [began("c0/0", 50), began("c0/1", 120), ended("c0/0", "info"), ended("c0/1")]
    assert clean_operations(planned(), [PHASE], late) == (2, 0), "it began during faults, although it was due before"


def test_the_times_of_a_schedule_count_from_the_warmup() -> None:
    """In real time the nodes start first, and the history counts from before that."""
    later = msgspec.structs.replace(PHASE, t_us=1_000)
    history = [began("c0/0", 1_050), began("c0/1", 1_150), began("c0/2", 1_250), *SERVED]
    assert clean_operations(planned(), [later], history) == (2, 2)


def test_reads_that_the_schedule_does_not_have_do_not_count() -> None:
    final = [began("final/0", 250), ended("final/0", f="get")]
    assert clean_operations(planned(), [PHASE], final) == (2, 0)


def test_operations_during_faults_do_not_count() -> None:
    said = "no client operation was planned in the phases without faults"
    assert missing(plan=planned(at_us=(100, 199))) == [said]
    assert missing(plan=planned(at_us=())) == [said]


def test_a_failed_cas_counts_if_it_was_decided_in_the_log() -> None:
    refused, undecided = ended("c0/0", "fail", "cas", index=7), ended("c0/0", "fail", "cas")
    assert clean_operations(planned(), [PHASE], on_time(planned(), refused)) == (2, 1)
    assert clean_operations(planned(), [PHASE], on_time(planned(), undecided)) == (2, 0)


def test_a_run_without_any_phase_is_vacuous() -> None:
    assert missing([], node_events=None, history=[], plan=planned(required=[])) == [
        "the run was cut short: its end was never recorded",
        "no phase of the run ever began",
    ]


# ---- whole runs ----------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.live
def test_a_kill_of_a_node_that_is_down_is_moot_and_the_run_is_not_vacuous(tmp_path: Path) -> None:
    faults = [
        Fault(id="f1", when=When(at_us=700_000), action=Kill(["leader", "n1"], [600_000, 600_000]), duration_us=0),
        Fault(id="f2", when=When(at_us=900_000), action=Kill(["n1"], [0]), duration_us=0),
    ]
    done = raft_chaos("run", "--schedule", saved(tmp_path, schedule(faults)), "--out", str(tmp_path / "out"), "--json")
    healed = {e.fault: e for e in only_run(tmp_path / "out").harness_events() if isinstance(e, FaultHealed)}
    assert healed["f1"].effective
    assert (healed["f2"].effective, healed["f2"].moot) == (False, "f1")
    assert healed["f2"].effect == "killed nothing, new incarnation of none"
    assert json.loads(done.stdout)["vacuous"] == [], done.stdout
    assert done.returncode == 0


@pytest.mark.slow
@pytest.mark.live
def test_a_run_with_too_few_operations_is_unknown_and_says_what_was_missing(tmp_path: Path) -> None:
    """All nodes are down when the first operation begins; when it is answered, it is too late for the others."""
    kill = Fault(id="f1", when=When(at_us=700_000), action=Kill(["n1", "n2", "n3"], [150_000] * 3), duration_us=0)
    plan = schedule([kill], safety_us=(700_000, 900_000), liveness_us=1_000, every_us=0)
    late = [
        Operation(id=f"c0/{number}", client="c0", at_us=at_us, f="put", key="x", value=f"{number}")
        for number, at_us in enumerate((850_000, 900_000, 900_500))
    ]
    file = saved(tmp_path, msgspec.structs.replace(plan, operations=late))
    done = raft_chaos("run", "--schedule", file, "--out", str(tmp_path / "out"), "--json")
    document = json.loads(done.stdout)
    assert document["vacuous"] == [
        "only 0 operations were served in the phases without faults; required are 1, half of the 2 that are planned "
        "there (ask for less, with --rate or with `rate` in the target's file, if the cluster is that slow)"
    ]
    assert (done.returncode, document["verdict"]) == (2, "unknown")
    assert "violated" not in document["invariants"].values()


def test_a_correct_cluster_whose_clients_are_behind_their_plan_is_valid() -> None:
    """Syncs take 10 to 18 ms in this seed, so five clients get through about two thirds of their plan."""
    config = ScheduleConfig(
        nodes=0, warmup_s=1.5, duration_s=15, liveness_s=3, swarm=True, faults=VIRTUAL_KINDS, features=()
    )
    plan = generate(5004, config)
    simulated = VirtualRun(plan, timing=Timing(), driver=MemoryDriver(parts_of(None))).go()
    assert (simulated.analysis.verdict, simulated.analysis.vacuous) == ("valid", [])


@pytest.mark.parametrize(
    ("f", "type", "error", "index", "served"),
    [
        ("put", "ok", None, None, True),
        ("cas", "fail", None, 7, True),
        ("cas", "fail", f"{REFUSED}: another value", None, True),
        ("cas", "fail", "refused with status 401", None, False),
        ("put", "fail", "refused with status 401", None, False),
        ("put", "fail", f"{REFUSED}: no", None, False),
        ("get", "fail", REFUSED, None, False),
        ("put", "info", None, None, False),
    ],
)
def test_a_server_that_refuses_everything_has_served_nothing(
    f: OpFunction, type: OpType, error: str | None, index: int | None, served: bool
) -> None:
    """Or a run in which every command was rejected would count, and be valid."""
    op = Op(type=type, process=0, client="c0", op="c0/1", f=f, key="k", t_us=1, error=error, index=index)
    assert was_served(op) is served
