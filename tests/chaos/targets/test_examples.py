"""Every example of a target runs: a right one is never violated, a wrong one is convicted."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from builders.commands import raft_chaos
from raft_chaos.chaos.run.live.network.netns.network import missing

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
        pytest.param("examples.shelf_target:Shelf", ("--network", "none"), marks=pytest.mark.slow),
        (f"stdio:{sys.executable} {EXAMPLES / 'stdio_primary.py'}", ()),
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
    described = text.replace(" --election-timeout", " --insecure --election-timeout").replace('"frames"', '"netns"')
    assert described.count("--insecure") == described.count('"netns"') == 1
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


def test_every_example_is_named_in_the_list() -> None:
    listed = (EXAMPLES / "README.md").read_text()
    for file in EXAMPLES.iterdir():
        assert f"`{file.name}`" in listed or file.name in ("README.md", "__pycache__"), file.name
