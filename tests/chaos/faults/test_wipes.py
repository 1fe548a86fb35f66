"""Wipes: a node that loses its disk, over a scripted world, drawn from seeds, and on real processes."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from builders.commands import raft_chaos
from builders.schedules import fault
from builders.scripted_world import Stage
from raft_chaos.chaos.faults.abilities import OF_NETWORK, OURS
from raft_chaos.chaos.faults.catalogue import KINDS
from raft_chaos.chaos.faults.process import Kill
from raft_chaos.chaos.faults.wipe import Wipe
from raft_chaos.chaos.run.live.emptied import emptied
from raft_chaos.chaos.schedule.config import ScheduleConfig
from raft_chaos.chaos.schedule.generate import generate

SERVER = Path(__file__).parents[1] / "targets" / "wrong_server.py"
SEEDS = range(40)


def test_a_wiped_node_is_killed_first_and_comes_back() -> None:
    stage = Stage().play(fault("f1", 10, Wipe(["n1"], 100), 100))
    assert [(at_us, *what[:1]) for at_us, *what in stage.world.asked] == [(10, "kill"), (10, "wipe"), (110, "start")]
    assert stage.injected().detail == "wipe n1"
    assert stage.seen() == (True, "wiped n1 (3 files), new incarnation of n1", "")


def test_a_wipe_of_a_node_that_kept_nothing_or_is_down_had_no_effect() -> None:
    stage = Stage()
    stage.world.files["n1"] = 0
    assert stage.play(fault("f1", 10, Wipe(["n1"], 100), 100)).seen()[:2] == (
        False,
        "wiped nothing, new incarnation of n1",
    )
    stage = Stage().play(fault("f1", 10, Kill(["n1"], [500]), 500), fault("f2", 20, Wipe(["n1"], 0), 0))
    assert stage.asked("wipe") == []


def test_only_a_target_that_declares_it_is_wiped() -> None:
    ours = OURS | OF_NETWORK["frames"]
    assert not KINDS["wipe"].exists(ours)
    for seed in SEEDS:
        for can in (None, tuple(ours)):
            schedule = generate(seed, ScheduleConfig(can=can, ops_per_second=0))
            assert not any(isinstance(fault.action, Wipe) for fault in schedule.faults)


@pytest.mark.parametrize("nodes", [3, 4, 5, 7])
def test_all_that_a_seed_wipes_is_one_minority(nodes: int) -> None:
    """A right system may take any time to bring a new node up to date; until then another one must not be wiped."""
    config = ScheduleConfig(
        nodes=nodes,
        faults=("kill", "wipe"),
        can=("get", "put", "kill", "wipe"),
        duration_s=60,
        ops_per_second=0,
    )
    seen = set()
    for seed in SEEDS:
        wipes = [fault.action for fault in generate(seed, config).faults if isinstance(fault.action, Wipe)]
        wiped = {node for wipe in wipes for node in wipe.nodes}
        assert 2 * len(wiped) < nodes, seed
        seen |= wiped
    assert len(seen) == nodes, "every node is in the minority of some seed"


def test_emptying_a_folder_follows_no_link(tmp_path: Path) -> None:
    folder, other = tmp_path / "data", tmp_path / "other"
    (folder / "deep").mkdir(parents=True)
    other.mkdir()
    (other / "kept").touch()
    (folder / "deep" / "log").touch()
    (folder / "deep" / "link").symlink_to(other)
    (folder / "link").symlink_to(other)
    assert emptied(folder) == 1
    assert list(folder.iterdir()) == [] and (other / "kept").exists()
    assert emptied(tmp_path / "nothing") == 0
    (tmp_path / "linked").symlink_to(other)
    assert emptied(tmp_path / "linked") == 0 and (other / "kept").exists()


# ---- real processes ----------------------------------------------------------------------------------------------


def target(tmp_path: Path, mode: str) -> str:
    file = tmp_path / f"{mode}.toml"
    file.write_text(f"""
command = "{sys.executable} {SERVER} --port {{port.client}} --mode {mode} --data {{data}}"
persistent = true
wipe = true
network = "none"
ports = ["client"]

[get]
request = "POST /executeCommand"
body = {{ command = {{ op = "get", key = "{{key}}" }} }}
ok = {{ status = 200, body = {{ ok = true }} }}
value = "result"

[put]
request = "POST /executeCommand"
body = {{ command = {{ op = "put", key = "{{key}}", value = "{{value}}" }} }}
ok = {{ status = 200, body = {{ ok = true }} }}
""")
    return str(file)


@pytest.mark.live
@pytest.mark.slow
@pytest.mark.parametrize(
    ("mode", "outcome", "seen"),
    [
        ("mirror", "ok", "n3 came back empty and the others had its data; with all wiped it was gone"),
        ("shared", "wrong", "there was no file in the data folder of n3"),
        ("herald", "wrong", "after n3 was wiped a key was None, not 'kept by the others'"),
    ],
)
def test_the_check_of_a_target_wipes(tmp_path: Path, mode: str, outcome: str, seen: str) -> None:
    done = raft_chaos("target", "check", target(tmp_path, mode), "--json")
    assert done.returncode == (0 if outcome == "ok" else 254), done.stderr
    found = {finding["what"]: (finding["outcome"], finding["seen"]) for finding in json.loads(done.stdout)}
    assert found["wipe"] == (outcome, seen)


@pytest.mark.live
@pytest.mark.slow
@pytest.mark.parametrize(("mode", "verdict"), [("mirror", "valid"), ("herald", "violated")])
def test_a_run_wipes_and_convicts_who_cannot_take_it(tmp_path: Path, mode: str, verdict: str) -> None:
    size = ("--nodes", "3", "--duration", "6", "--liveness", "1", "--rate", "40", "--seed", "2", "--faults", "wipe")
    done = raft_chaos("run", "--target", target(tmp_path, mode), *size, "--out", str(tmp_path / "out"), "--json", "-q")
    document = json.loads(done.stdout)
    assert document["verdict"] == verdict, document
    events = (Path(document["run_dir"]) / "harness.jsonl").read_text()
    assert '"type":"wipe"' in events
