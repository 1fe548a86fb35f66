"""Every example of a target runs: a right one is never violated, a wrong one is convicted."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

import pytest
from msgspec.structs import replace

from builders.commands import raft_chaos
from builders.schedules import fault
from raft_chaos.chaos.faults.abilities import OF_NETWORKS
from raft_chaos.chaos.faults.network import Reset, Throttle
from raft_chaos.chaos.faults.partition import Clog
from raft_chaos.chaos.reproduction.file import load as load_reproduction
from raft_chaos.chaos.run.live.network.netns.network import missing
from raft_chaos.chaos.schedule.check import check_schedule
from raft_chaos.chaos.schedule.config import ScheduleConfig
from raft_chaos.chaos.schedule.file import save
from raft_chaos.chaos.schedule.generate import generate

ROOT = Path(__file__).parents[3]
EXAMPLES = ROOT / "examples"
SHORT = ("--seed", "5", "--nodes", "3", "--duration", "5", "--warmup", "1.5", "--liveness", "1", "--rate", "60")


def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str, *more: str) -> dict[str, object]:
    """The document of a short run."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    done = raft_chaos("run", "--target", target, *SHORT, *more, "--out", str(tmp_path / "out"), "--json")
    assert done.stdout, done.stderr
    document: dict[str, object] = json.loads(done.stdout)
    return document


@pytest.mark.slow
@pytest.mark.live
@pytest.mark.parametrize(
    ("target", "more"),
    [
        pytest.param("examples/raft_node.toml", (), marks=pytest.mark.slow),
        ("examples/shelf.toml", ("--network", "none")),
        ("examples/basket.toml", ("--network", "none")),
        pytest.param("examples.shelf_target:Shelf", ("--network", "none"), marks=pytest.mark.slow),
        (f"stdio:{sys.executable} {EXAMPLES / 'stdio_primary.py'}", ()),
        ("examples/stdio_primary.toml", ()),
    ],
)
def test_a_right_system_is_not_violated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str, more: tuple[str, ...]
) -> None:
    document = run(tmp_path, monkeypatch, target, *more)
    assert document["violations"] == [], document
    assert document["verdict"] in ("valid", "unknown")
    assert document["stats"]["clean_ops_served"] > 20  # type: ignore[index]


@pytest.mark.live
@pytest.mark.slow
def test_a_system_that_knows_no_harness_runs_in_network_namespaces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Our node with an address of its own, behind doors. It redirects clients to ports that only its namespace has."""
    if (why := missing()) is not None:
        pytest.skip(why)
    text = (EXAMPLES / "raft_node.toml").read_text()
    described = text.replace('"frames"', '"netns"')
    assert described.count('"netns"') == 1
    (tmp_path / "node.toml").write_text(described)
    document = run(tmp_path, monkeypatch, str(tmp_path / "node.toml"))
    assert document["violations"] == [], document
    assert document["stats"]["clean_ops_served"] > 20  # type: ignore[index]


@pytest.mark.live
def test_stale_reads_are_convicted_by_clients_that_read_at_one_node(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = f"stdio:{sys.executable} {EXAMPLES / 'stdio_primary.py'} --stale"
    document = run(tmp_path, monkeypatch, target, "--fail-fast")
    assert document["verdict"] == "violated"
    assert {"acknowledged_writes", "monotonic_reads"} & {
        name
        for name, verdict in document["invariants"].items()  # type: ignore[attr-defined]
        if verdict == "violated"
    }


@pytest.mark.live
@pytest.mark.slow
@pytest.mark.parametrize("delivery", ["exactly_once", "at_least_once"])
def test_a_queue_that_forgets_what_it_took_in_is_convicted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, delivery: str
) -> None:
    """Elements that came out again convict only where once is promised; those that never came out, always."""
    text = (EXAMPLES / "basket.toml").read_text().replace("{data}", "{data} --lazy").replace("exactly_once", delivery)
    (tmp_path / "lazy.toml").write_text(text)
    more = ("--network", "none", "--faults", "kill")
    document = run(tmp_path, monkeypatch, str(tmp_path / "lazy.toml"), *more)
    assert document["invariants"] == {"total_queue": "violated", "unexpected_exit": "valid"}, document
    messages = [violation["message"] for violation in document["violations"]]  # type: ignore[attr-defined]
    assert any("never came out of 'queue'" in message for message in messages)
    assert any("both took" in message for message in messages) is (delivery == "exactly_once")


def test_every_example_is_named_in_the_list() -> None:
    listed = (EXAMPLES / "README.md").read_text()
    for file in EXAMPLES.iterdir():
        assert f"`{file.name}`" in listed or file.name in ("README.md", "__pycache__"), file.name


@pytest.mark.live
@pytest.mark.slow
@pytest.mark.parametrize(
    ("target", "lacks"),
    [
        ("examples/shelf.toml", {"append", "cas", "delete", "loss", "duplicate", "reorder", "corrupt", "stop"}),
        (
            f"stdio:{sys.executable} examples/stdio_primary.py",
            {"append", "delete", "cas that expects an absent key", "status: who leads"}
            | {"clog", "throttle", "reset", "corrupt", "kill", "stop"},
        ),
        ("examples/etcd.toml", {"append", "corrupt", "stop"}),
    ],
)
def test_each_fault_that_a_target_declares_has_its_effect(
    monkeypatch: pytest.MonkeyPatch, target: str, lacks: set[str]
) -> None:
    monkeypatch.chdir(ROOT)
    if "etcd" in target and (why := missing() or (None if shutil.which("etcd") else "etcd is not installed")):
        pytest.skip(why)
    done = raft_chaos("target", "check", target, "--json")
    findings = {finding["what"]: finding for finding in json.loads(done.stdout)}
    assert done.returncode == 0, done.stdout
    assert {what for what, finding in findings.items() if finding["outcome"] == "missing"} == lacks
    assert {finding["outcome"] for finding in findings.values()} == {"ok", "missing"}
    assert {"cut: each node in turn", *OF_NETWORKS[1:]} <= set(findings), "none is left out"


@pytest.mark.live
@pytest.mark.slow
def test_links_are_clogged_slow_and_broken_where_the_network_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connections of this system last for one request each, so a reset must wait for one."""
    faults = [
        fault("f1", 2_000_000, Clog({"n2": ["n1"]}), 500_000),
        fault("f2", 3_000_000, Throttle(["n2"], 2_000), 500_000),
        fault("f3", 4_000_000, Reset(["n2", "n3"], 0.0), 0),
    ]
    monkeypatch.chdir(ROOT)
    drawn = generate(
        5, ScheduleConfig(nodes=3, warmup_s=1.5, duration_s=5, liveness_s=1, can=("get", "put"), readers=True)
    )
    plan = replace(drawn, header=replace(drawn.header, required=[]), faults=faults)
    save(plan, tmp_path / "plan.jsonl")
    out = str(tmp_path / "out")
    done = raft_chaos(
        "run", "--target", "examples/shelf.toml", "--schedule", str(tmp_path / "plan.jsonl"), "--out", out, "--json"
    )
    assert done.returncode == 0, done.stdout
    assert json.loads(done.stdout)["stats"]["faults_effective"] == 3, done.stdout


@pytest.mark.live
@pytest.mark.slow
def test_a_system_whose_peers_speak_no_frames_is_not_convicted_but_told_its_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    words = ("--target", "examples/shelf.toml", "--network", "frames", *SHORT, "--out", str(tmp_path / "out"), "-q")
    done = raft_chaos("run", *words)
    assert done.returncode == 255, done.stdout
    assert "carries no frames, which the network 'frames' needs" in done.stderr and "'tcp'" in done.stderr


@pytest.mark.parametrize("file", sorted((EXAMPLES / "failures").glob("*.json")), ids=lambda file: file.stem)
def test_what_was_found_in_a_system_can_be_run_again(file: Path) -> None:
    """The file has the system, its version and a schedule; whether it still fails is asked of the real system."""
    kept = load_reproduction(file)
    assert kept.system is not None and kept.system.version and kept.system.rate is not None
    assert kept.system.rate.violated > 0 and kept.scenario is not None
    check_schedule(kept.scenario.schedule)
