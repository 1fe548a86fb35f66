"""Short runs for both worlds of virtual time: schedules full of faults, and one node driven by hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from raft_chaos.chaos.faults.catalogue import FAULT_KINDS
from raft_chaos.chaos.faults.clock import Clock
from raft_chaos.chaos.faults.disk import SlowSync
from raft_chaos.chaos.faults.network import Network, Reset
from raft_chaos.chaos.faults.partition import Clog
from raft_chaos.chaos.faults.process import Kill
from raft_chaos.chaos.mutants import parts_of
from raft_chaos.chaos.run.lockstep.run import run_lockstep
from raft_chaos.chaos.run.nodes.driver import Driver, exit_status
from raft_chaos.chaos.run.nodes.memory_driver import MemoryDriver
from raft_chaos.chaos.run.nodes.stepped_node import StepConfig
from raft_chaos.chaos.run.sim.run import Simulated, VirtualRun
from raft_chaos.chaos.schedule.config import ScheduleConfig
from raft_chaos.chaos.schedule.data import Fault, Schedule, When
from raft_chaos.chaos.schedule.generate import generate
from raft_chaos.invariants.rundir import RunDir, RunInfo
from raft_chaos.raft.state.timing import Timing

TIMING = Timing(30_000, 60_000, 10_000)
NODES = ["n1", "n2", "n3"]


def stormy(seed: int) -> Schedule:
    """About a second of virtual time: what the seed draws, and on top of it at least one fault of each kind."""
    config = ScheduleConfig(
        swarm=True,
        nodes=len(NODES),
        clients=3,
        faults=FAULT_KINDS,
        warmup_s=0.2,
        duration_s=0.8,
        liveness_s=0.1,
        fault_interval_s=0.1,
        election_timeout_us_max=60_000,
    )
    drawn = generate(seed, config)
    added = [
        (250_000, Network(NODES, delay_max_us=3_000, loss=0.05, duplicate=0.3, reorder=0.2), 300_000),
        (300_000, Clog({"n2": ["n1", "n3"], "n1": ["n2"]}), 40_000),
        (380_000, Reset(["n1"], delivered=0.5), 0),
        (400_000, Clock(["n3"], rate_ppm=-200_000, jump_us=20_000), 200_000),
        (430_000, SlowSync(NODES, 4_000, 12_000), 250_000),
        (450_000, Kill(["leader"], [60_000], keep_permille=[600], failpoint="mid_send"), 0),
        (560_000, Kill(["n1"], [40_000], keep_permille=[300], failpoint="before_answer"), 0),
        (650_000, Kill(["leader", "n2"], [30_000, 50_000], keep_permille=[500, 900]), 0),
    ]
    faults = [
        Fault(id=f"storm/{number}", when=When(at_us=at_us), action=action, duration_us=duration_us)
        for number, (at_us, action, duration_us) in enumerate(added)
    ]
    return Schedule(drawn.header, [*drawn.faults, *faults], drawn.operations)


def in_sim(schedule: Schedule, mutant: str | None = None) -> Simulated:
    return VirtualRun(schedule, timing=TIMING, driver=MemoryDriver(parts_of(mutant))).go()


def in_lockstep(schedule: Schedule, folder: Path, mutant: str | None = None) -> RunInfo:
    return run_lockstep(schedule, TIMING, mutant, RunDir(folder / "run"), RunInfo(seed=schedule.header.seed))


# ---- one node by hand ----------------------------------------------------------------------------------------------


def config(node: str = "n1", peers: tuple[str, ...] = (), incarnation: int = 1) -> StepConfig:
    return StepConfig(
        cluster="by-hand",
        node=node,
        peers=list(peers),
        incarnation=incarnation,
        timing=TIMING,
        seed=incarnation,
        clock=[(0, 0, 0)],
    )


def last_words(step: Callable[[], object]) -> tuple[int, str]:
    """What the node dies of in that step."""
    try:
        step()
    except Exception as error:
        return exit_status(error)
    raise AssertionError("the node lives")


def torn_and_damaged(driver: Driver, damage: Callable[[], None]) -> list[object]:
    """A cluster of one node: it is elected, killed in the middle of a write, dies of a command that is none, and then
    of a damaged log. Returns all that was seen of it."""
    node = driver.start(config(), 0)
    now_us = node.first.deadline_us
    vote = node.tick(now_us, None)
    no_op = node.persisted(vote.write_lsn, now_us, None)
    elected = node.persisted(no_op.write_lsn, now_us, None)
    seen = [node.first, vote, no_op, elected, node.submit(7, b"no command", now_us, None), node.crash(500)]

    again = driver.start(config(incarnation=2), now_us)
    due_us = again.change_clock(now_us, 100_000, 5_000)
    vote = again.tick(due_us, None)
    no_op = again.persisted(vote.write_lsn, due_us, None)
    submitted = again.submit(8, b"no command", due_us, None)
    written = again.persisted(no_op.write_lsn, due_us, None)
    seen += [again.first, due_us, vote, no_op, submitted, written]
    seen.append(last_words(lambda: again.persisted(written.write_lsn, due_us, None)))

    damage()
    seen.append(last_words(lambda: driver.start(config(incarnation=3), due_us)))
    return seen
