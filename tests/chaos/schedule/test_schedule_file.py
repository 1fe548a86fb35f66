"""Saved schedules: a saved schedule is loaded unchanged, and an invalid one is refused with file and line."""

from __future__ import annotations

from pathlib import Path

import pytest

from raft_chaos.chaos.faults.action import Action
from raft_chaos.chaos.faults.clock import Clock, Strobe
from raft_chaos.chaos.faults.disk import SlowSync
from raft_chaos.chaos.faults.network import Network, Reset
from raft_chaos.chaos.faults.partition import Clog, Partition
from raft_chaos.chaos.faults.pause import Pause
from raft_chaos.chaos.faults.process import Kill
from raft_chaos.chaos.schedule.data import Fault, Header, Operation, Schedule, ScheduleError, SimModel, When
from raft_chaos.chaos.schedule.file import load, save

HEADER = (
    '{"kind":"schedule","schema":1,"seed":7,"nodes":["n1","n2","n3"],"clients":["c0"],'
    '"safety_from_us":1,"safety_until_us":2,"liveness_for_us":3}'
)


def fault(action: str, when: str = '{"at_us":5}', duration_us: int = 10, name: str = "f01") -> str:
    return f'{{"kind":"fault","id":"{name}","when":{when},"action":{action},"duration_us":{duration_us}}}'


def operation(rest: str, name: str = "c0/0", client: str = "c0", at_us: int = 5) -> str:
    return f'{{"kind":"op","id":"{name}","client":"{client}","at_us":{at_us},{rest}}}'


KILL = '{"type":"kill","nodes":["n1"],"restart_after_us":[0]}'
GET = operation('"f":"get","key":"x"')


def written(tmp_path: Path, *lines: str) -> Path:
    file = tmp_path / "schedule.jsonl"
    file.write_text("".join(line + "\n" for line in lines))
    return file


def test_every_kind_of_entry_survives_being_saved_and_loaded(tmp_path: Path) -> None:
    actions: list[Action] = [
        Kill(["leader", "n1"], [5, 0]),
        Pause(["n2"]),
        SlowSync(["n1", "n2"], 10, 20),
        Partition("isolate_leader", {"leader": ["others"], "others": ["leader"]}),
        Network(["n3"], delay_min_us=1, delay_max_us=2, loss=0.5, duplicate=0.25, reorder=1.0, delay_mean_us=30),
        Kill(["n1", "n2"], [5, 0], keep_permille=[0, 1000], failpoint="mid_send"),
        Clog({"n1": ["leader"], "others": ["n2"]}),
        Reset(["others"], 0.5),
        Clock(["leader", "n1"], rate_ppm=-500_000, jump_us=60_000_000),
        Clock(["others"], rate_ppm=0, jump_us=-60_000_000),
        Strobe(["n1"], offset_us=1, period_us=5_000),
    ]
    faults = [
        Fault(
            id=f"f{place:02}", when=When(at_us=place), action=action, duration_us=0 if isinstance(action, Reset) else 9
        )
        for place, action in enumerate(actions)
    ]
    when = When(on="vote_granted", nth=3, after_us=4)
    faults.append(Fault(id="f99", when=when, action=Kill(["voter"], [0]), duration_us=0))
    operations = [
        Operation(id="c0/0", client="c0", at_us=1, f="put", key="k", value="v"),
        Operation(id="c0/1", client="c0", at_us=2, f="cas", key="k", value="w", expected="v"),
        Operation(id="c0/2", client="c0", at_us=3, f="cas", key="k", value="w"),
        Operation(id="c0/3", client="c0", at_us=3, f="delete", key="k"),
    ]
    header = Header(
        seed=1,
        nodes=["n1", "n2", "n3"],
        clients=["c0"],
        safety_from_us=1,
        safety_until_us=2,
        liveness_for_us=3,
        required=["leader_killed"],
        model=SimModel(latency_min_us=1, latency_max_us=2, sync_min_us=3, sync_max_us=4),
        swarm={"loss": 0.0, "delay_mean_us": 0, "kinds": "kill clog"},
    )
    schedule = Schedule(header, faults, operations)
    file = tmp_path / "schedule.jsonl"
    save(schedule, file)
    assert load(file) == schedule


def test_a_kill_is_saved_without_its_default_fields(tmp_path: Path) -> None:
    header = Header(seed=1, nodes=["n1"], clients=["c0"], safety_from_us=1, safety_until_us=2, liveness_for_us=3)
    plain = Fault(id="f1", when=When(at_us=1), action=Kill(["n1"], [0]), duration_us=0)
    file = tmp_path / "schedule.jsonl"
    save(Schedule(header, [plain], []), file)
    assert '"action":{"type":"kill","nodes":["n1"],"restart_after_us":[0]}' in file.read_text()


def test_lines_may_be_in_any_order_and_fields_may_be_left_out(tmp_path: Path) -> None:
    late, early = operation('"f":"get","key":"x"', "c0/9", at_us=9), operation('"f":"get","key":"x"', "c0/3", at_us=3)
    schedule = load(written(tmp_path, HEADER, late, fault(KILL, name="f02"), early, fault(KILL, name="f01")))
    assert [one.id for one in schedule.faults] == ["f01", "f02"]
    assert [one.id for one in schedule.operations] == ["c0/3", "c0/9"]


RESET = '{"type":"reset","nodes":["n1"],"delivered":%s}'
CLOCK = '{"type":"clock","nodes":["n1"],"rate_ppm":%d,"jump_us":%d}'
STROBE = '{"type":"strobe","nodes":["n1"],"offset_us":%d,"period_us":%d}'
PARTITION = '{"type":"partition","shape":"one","grudge":%s}'
REFUSED = {
    "an empty file": ([], 1, "no header"),
    "no header": ([GET], 1, "no header"),
    "a newer schema": ([HEADER.replace('"schema":1', '"schema":2,"new":0')], 1, "schema 2 is newer than 1"),
    "no nodes": ([HEADER.replace('"n1","n2","n3"', "")], 1, "nodes: expected at least one name"),
    "a node twice": ([HEADER.replace('"n3"', '"n1"')], 1, "nodes: expected at least one name, each only once"),
    "a node named like a path": ([HEADER.replace('"n3"', '"../n3"')], 1, "nodes: '../n3' is not a valid name"),
    "a node named leader": ([HEADER.replace('"n3"', '"leader"')], 1, "'leader' stands for whoever"),
    "phases backwards": ([HEADER.replace('"safety_from_us":1', '"safety_from_us":3')], 1, "got 3, 2 and 3"),
    "an unknown promise": ([HEADER[:-1] + ',"promises":["luck"]}'], 1, "Invalid enum value 'luck'"),
    "two headers": ([HEADER, HEADER], 2, "a second header"),
    "no JSON": ([HEADER, GET, "{"], 3, "truncated"),
    "an unknown field": ([HEADER, fault(KILL.replace("restart_after_us", "restart_us"))], 2, "restart"),
    "a fault's id twice": ([HEADER, fault(KILL), fault(KILL)], 3, "id 'f01' is taken"),
    "an operation's id twice": ([HEADER, GET, GET], 3, "id 'c0/0' is taken"),
    "neither time nor anchor": ([HEADER, fault(KILL, "{}")], 2, "when: expected either at_us, or on or since"),
    "time and anchor": ([HEADER, fault(KILL, '{"at_us":1,"on":"vote_granted"}')], 2, "expected either"),
    "a time before the run": ([HEADER, fault(KILL, '{"at_us":-1}')], 2, "when.at_us: expected 0 or more"),
    "the zeroth leader": ([HEADER, fault(KILL, '{"on":"leader_elected","nth":0}')], 2, "when.nth: expected 1"),
    "before the anchor": ([HEADER, fault(KILL, '{"on":"leader_elected","after_us":-1}')], 2, "when.after_us"),
    "a negative duration": ([HEADER, fault(KILL, duration_us=-1)], 2, "duration_us: expected 0 or more µs, got -1"),
    "an unknown node": ([HEADER, fault(KILL.replace("n1", "n4"))], 2, "'n4' is unknown; expected some of n1, n2, n3"),
    "a voter without a vote": ([HEADER, fault(KILL.replace("n1", "voter"))], 2, "'voter' is unknown"),
    "members of a cluster that is fixed": (
        [HEADER, fault('{"type":"membership","nodes":["n1"]}')],
        2,
        "a membership needs nodes with the feature membership; expected it in the header's features",
    ),
    "nobody": ([HEADER, fault('{"type":"pause","nodes":[]}')], 2, "action.nodes: expected at least one node"),
    "a restart too many": ([HEADER, fault(KILL.replace("[0]", "[0,0]"))], 2, "expected 1 numbers, one a node, got 2"),
    "a restart before the kill": ([HEADER, fault(KILL.replace("[0]", "[-5]"))], 2, "restart_after_us: expected 0"),
    "a sync range backwards": (
        [HEADER, fault('{"type":"slow_sync","nodes":["n1"],"min_us":2,"max_us":1}')],
        2,
        "min_us and max_us: expected 0 <= min <= max, got 2 and 1",
    ),
    "a bad probability": ([HEADER, fault('{"type":"network","nodes":["n1"],"loss":12}')], 2, "action.loss: .*got 12"),
    "a delay backwards": ([HEADER, fault('{"type":"network","nodes":["n1"],"delay_min_us":3}')], 2, "got 3 and 0"),
    "an unknown receiver": ([HEADER, fault(PARTITION % '{"n9":["n1"]}')], 2, "action.grudge: 'n9' is unknown"),
    "an unknown sender": ([HEADER, fault(PARTITION % '{"n1":["n9"]}')], 2, "action.grudge.n1: 'n9' is unknown"),
    "a negative mean delay": (
        [HEADER, fault('{"type":"network","nodes":["n1"],"delay_mean_us":-1}')],
        2,
        "action.delay_mean_us: expected 0 or more µs, got -1",
    ),
    "survivors of somebody else": (
        [HEADER, fault(KILL[:-1] + ',"keep_permille":[0,0]}')],
        2,
        "action.keep_permille: expected 1 numbers, one a node, or none, got 2",
    ),
    "more bytes than there are": (
        [HEADER, fault(KILL[:-1] + ',"keep_permille":[1001]}')],
        2,
        "action.keep_permille: expected 0 to 1000, got 1001",
    ),
    "an unknown failpoint": (
        [HEADER, fault(KILL[:-1] + ',"failpoint":"before_lunch"}')],
        2,
        "Invalid enum value 'before_lunch' - at `[$]\\.action\\.failpoint`",
    ),
    "a clog of an unknown receiver": (
        [HEADER, fault('{"type":"clog","grudge":{"n9":["n1"]}}')],
        2,
        "action.grudge: 'n9' is unknown; expected some of n1, n2, n3, leader, others",
    ),
    "a clog of nobody": ([HEADER, fault('{"type":"clog","grudge":{"n1":[]}}')], 2, "action.grudge.n1: expected at"),
    "a reset that lasts": (
        [HEADER, fault(RESET % "0.5", duration_us=10)],
        2,
        "duration_us: expected 0, a reset is over at once, got 10",
    ),
    "a reset that delivers too much": (
        [HEADER, fault(RESET % "1.5", duration_us=0)],
        2,
        "action.delivered: expected a probability from 0 to 1, got 1.5",
    ),
    "a clock that stands": (
        [HEADER, fault(CLOCK % (-1_000_000, 0))],
        2,
        "action.rate_ppm: expected -500000 to 1000000, got -1000000",
    ),
    "a clock too fast": ([HEADER, fault(CLOCK % (1_000_001, 0))], 2, "action.rate_ppm: expected .* got 1000001"),
    "a clock that jumps back too far": (
        [HEADER, fault(CLOCK % (0, -60_000_001))],
        2,
        "action.jump_us: .*got -60000001",
    ),
    "a clock that jumps too far": ([HEADER, fault(CLOCK % (0, 60_000_001))], 2, "action.jump_us: .*got 60000001"),
    "a strobe that stands": ([HEADER, fault(STROBE % (0, 5_000))], 2, "action.offset_us: expected 1 to .*, got 0"),
    "a strobe too fast": ([HEADER, fault(STROBE % (1, 4_999))], 2, "action.period_us: expected 5000 to .*, got 4999"),
    "a clock of a voter": ([HEADER, fault((CLOCK % (1, 0)).replace("n1", "voter"))], 2, "'voter' is unknown"),
    "a model backwards": (
        [HEADER[:-1] + ',"model":{"latency_min_us":2000}}'],
        1,
        "model.latency_min_us and model.latency_max_us: expected 0 <= min <= max, got 2000 and 1000",
    ),
    "a sync before it began": ([HEADER[:-1] + ',"model":{"sync_min_us":-1}}'], 1, "model.sync_min_us and"),
    "an empty grudge": ([HEADER, fault(PARTITION % "{}")], 2, "action.grudge: expected at least one node"),
    "an unknown client": ([HEADER, operation('"f":"get","key":"x"', "c1/0", "c1")], 2, "client: 'c1' is unknown"),
    "an id of another client": ([HEADER, operation('"f":"get","key":"x"', "c1/0")], 2, "id: expected c0/ and a number"),
    "an operation too early": ([HEADER, operation('"f":"get","key":"x"', at_us=-1)], 2, "at_us: expected 0"),
    "a put without value": (
        [HEADER, operation('"f":"put","key":"x"')],
        2,
        "value: expected a string for put, got None",
    ),
    "a list as value": ([HEADER, operation('"f":"put","key":"x","value":["a"]')], 2, "expected a string for put"),
    "a get with a value": ([HEADER, operation('"f":"get","key":"x","value":"v"')], 2, "value: expected none for get"),
    "a get that expects": ([HEADER, operation('"f":"get","key":"x","expected":"v"')], 2, "expected: a string or"),
    "an empty key": ([HEADER, operation('"f":"get","key":""')], 2, "key: expected at least one character"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refuses_with_file_and_line(name: str, tmp_path: Path) -> None:
    lines, number, reason = REFUSED[name]
    file = written(tmp_path, *lines)
    with pytest.raises(ScheduleError, match=reason) as refused:
        load(file)
    assert str(refused.value).startswith(f"{file}:{number}: ")


def test_refuses_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ScheduleError, match=r"none\.jsonl: cannot be read \(No such file or directory\)"):
        load(tmp_path / "none.jsonl")
