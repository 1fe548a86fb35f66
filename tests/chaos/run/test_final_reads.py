"""Final reads: what one node lost is seen at the end, also where no client asked that node before."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from builders.commands import raft_chaos
from builders.scripted_world import Stage
from raft_chaos.chaos.run.client_records import History
from raft_chaos.chaos.run.clients import Client
from raft_chaos.chaos.run.phases import FINAL_US, Bound, Phases
from raft_chaos.chaos.schedule.config import ScheduleConfig
from raft_chaos.chaos.schedule.data import Operation, Schedule
from raft_chaos.chaos.schedule.generate import generate
from raft_chaos.chaos.targets.door import NoAnswer, Outcome
from raft_chaos.invariants.events import HarnessEvent
from raft_chaos.invariants.history import Op
from raft_chaos.invariants.judge import Judge

CONFIG = ScheduleConfig(
    nodes=3,
    clients=2,
    warmup_s=0.5,
    duration_s=3.0,
    liveness_s=0.5,
    faults=(),
    can=("get", "put", "append", "cas", "delete"),
    readers=True,
)
ROOT = Path(__file__).parents[3]


class OneCopy:
    """A door to a store with one copy of everything, in memory. Node n3 has `lost` these keys, and answers at once only
    to those who ask it alone."""

    knows_repeats = False

    def __init__(self, stage: Stage, data: dict[str, list[str] | str], lost: str | None, deaf: str) -> None:
        self._stage = stage
        self._data = data
        self._lost = lost
        self._deaf = deaf

    def addresses(self) -> list[str]:
        return ["n1"]

    def address_of(self, node: str) -> str:
        return node

    def command(self, operation: Operation, session: str, serial: int, since: int = 0) -> Operation:
        return operation

    async def ask(self, address: str, command: Operation, within_us: int) -> Outcome | NoAnswer:
        if address == self._deaf:
            await self._stage.tasks.sleep_until(self._stage.tasks.now_us + within_us)
            return NoAnswer(True, "no answer in time")
        await self._stage.tasks.sleep_until(self._stage.tasks.now_us + 100)
        key, data = command.key, self._data
        if address == "n3" and self._lost is not None and key.startswith(self._lost):
            return Outcome("ok", None)
        if command.f == "append":
            data[key] = [*data.get(key, []), str(command.value)]
        elif command.f == "put" or (command.f == "cas" and data.get(key) == command.expected):
            data[key] = str(command.value)
        elif command.f == "cas":
            return Outcome("fail", error="another value")
        elif command.f == "delete":
            data.pop(key, None)
        return Outcome("ok", data.get(key) if command.f == "get" else None)


class World:
    """What the phases need of a world, over such a store."""

    def __init__(self, stage: Stage, lost: str | None, deaf: str) -> None:
        self.ops: list[Op] = []
        self._stage = stage
        self._door = OneCopy(stage, {}, lost, deaf)
        self._history = History(self.ops.append)

    async def start(self, node: str) -> bool:
        return True

    def now_us(self) -> int:
        return self._stage.tasks.now_us

    def report(self, event: HarnessEvent) -> None: ...
    def began(self) -> None: ...
    def refresh(self) -> None: ...

    def client(self, name: str, place: int) -> Client:
        return Client(
            name=name,
            place=place,
            clients=10,
            door=self._door,
            history=self._history,
            tasks=self._stage.tasks,
            now_us=self.now_us,
        )


def history_of(schedule: Schedule, lost: str | None = None, deaf: str = "") -> tuple[list[Op], int]:
    """What clients saw of a run of the schedule, and when the run was over."""
    stage = Stage()
    world = World(stage, lost, deaf)
    phases = Phases(
        schedule,
        world=world,
        tasks=stage.tasks,
        nemesis=stage.nemesis,
        view=stage.view,
        bound=Bound(),
        recovery_owed=False,
    )
    ended: list[int] = []

    async def run() -> None:
        await phases.run()
        ended.append(stage.tasks.now_us)

    stage.tasks.spawn(run(), "the run")
    stage.scheduler.run_until(100_000_000)
    return world.ops, ended[0]


def violated(ops: list[Op]) -> set[str]:
    judge = Judge(events_expected=False)
    for op in ops:
        judge.observe_op(op)
    return {verdict.invariant for verdict in judge.verdicts() if verdict.outcome == "violated"}


def test_every_key_of_the_workload_is_read_at_every_node() -> None:
    schedule = generate(4, CONFIG)
    keys = {operation.key for operation in schedule.operations if not operation.final}
    assert any(key.startswith("list/") for key in keys) and any(key.startswith("mix/") for key in keys)
    finals = [operation for operation in schedule.operations if operation.final]
    assert {(one.node, one.key) for one in finals} == {(node, key) for node in schedule.header.nodes for key in keys}
    ops, _ = history_of(schedule)
    assert {op.op for op in ops if op.final and op.type == "ok"} >= {one.id for one in finals}
    assert violated(ops) == set()
    last = max(op.t_us for op in ops if not op.final)
    assert all(op.t_us >= last for op in ops if op.final), "they come after everything else"


@pytest.mark.parametrize("lost", ["list/", "mix/"])
def test_a_node_that_lost_what_nobody_asked_it_for_is_convicted_by_final_reads_alone(lost: str) -> None:
    schedule = generate(4, CONFIG)
    assert violated(history_of(schedule, lost)[0])
    without = replace(schedule, operations=[one for one in schedule.operations if not one.final])
    assert violated(history_of(without, lost)[0]) == set()


def test_a_node_that_answers_nothing_ends_its_final_reads_in_time() -> None:
    schedule = generate(4, replace(CONFIG, clients=9, ops_per_second=300.0))
    assert len({operation.key for operation in schedule.operations}) * 500_000 > FINAL_US, "reading all takes longer"
    ops, ended_us = history_of(schedule, deaf="n2")
    began_us = min(op.t_us for op in ops if op.final)
    assert began_us + FINAL_US <= ended_us < began_us + FINAL_US + 2_000_000
    assert violated(ops) == set()


STANDBY = '''
from examples.shelf_target import Shelf
from raft_chaos.chaos.targets.api import Elsewhere, Ok

class Standby(Shelf):
    """n3 is a standby: it names the first node to clients, and who asks it alone gets its own copy, which lost keys."""
    can = ("get", "put", "kill")
    network = "none"

    def invoke(self, node, op):
        if node.name == "n3":
            if op.node is None:
                return Elsewhere("a standby", "n1")
            if op.key.startswith("mix/"):
                return Ok(None)
        return super().invoke(node, op)
'''


@pytest.mark.live
@pytest.mark.slow
def test_a_standby_that_silently_forgot_is_convicted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "standby.py").write_text(STANDBY)
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}:{tmp_path}")
    size = ("--nodes", "3", "--duration", "4.5", "--liveness", "1", "--rate", "60", "--seed", "5", "--quiet")
    done = raft_chaos("run", "--target", "standby:Standby", *size, "--out", str(tmp_path / "out"))
    assert done.returncode == 1, (done.stdout, done.stderr)
    saved = (next((tmp_path / "out").iterdir()) / "schedule.jsonl").read_text()
    kept = tmp_path / "without.jsonl"
    kept.write_text("".join(line for line in saved.splitlines(keepends=True) if '"final":true' not in line))
    done = raft_chaos(
        "run", "--target", "standby:Standby", "--quiet", "--schedule", str(kept), "--out", str(tmp_path / "again")
    )
    assert done.returncode in (0, 2), (done.stdout, done.stderr)
