"""The controller of a run is killed, in each network between the nodes: nothing of the run is left."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from builders.commands import RAFT_CHAOS, background
from builders.processes import accepts
from builders.waiting import eventually
from raft_chaos.chaos.run.live.network.netns.network import missing

ROOT = Path(__file__).parents[3]
LONG = ("--nodes", "3", "--warmup", "1.5", "--duration", "600", "--faults", "partition")


def namespaces() -> set[str]:
    """The network namespaces that some process is in, or holds open."""
    found = set()
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            for link in (folder / "ns" / "net", *(folder / "fd").iterdir()):
                with suppress(OSError):
                    if (target := os.readlink(link)).startswith("net:["):
                        found.add(target)
    return found


def devices() -> set[str]:
    return set(os.listdir("/sys/class/net"))


@pytest.mark.live
@pytest.mark.slow
@pytest.mark.parametrize(
    ("network", "target"),
    [
        ("frames", "examples/raft_node.toml"),
        ("tcp", "examples/shelf.toml"),
        ("netns", "examples/shelf.toml"),
        ("messages", f"stdio:{sys.executable} examples/stdio_primary.py"),
    ],
)
def test_a_killed_controller_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, network: str, target: str
) -> None:
    if network == "netns" and (why := missing()) is not None:
        pytest.skip(why)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    choice = () if network == "messages" else ("--network", network)
    before, out = devices(), tmp_path / "out"
    words = (RAFT_CHAOS, "run", "--target", target, *choice, *LONG, "--out", str(out), "--json")
    with background(*words, cwd=ROOT) as command:
        eventually(
            "the safety phase begins",
            lambda: any(b'"safety"' in one.read_bytes() for one in out.glob("*/harness.jsonl")),
        )
        family, ports = command.family(), command.listening()
        of_run = {os.readlink(f"/proc/{process.pid}/ns/net") for process in family} - {os.readlink("/proc/self/ns/net")}
        assert len(family) >= 4 and (ports or network == "messages")
        assert len(of_run) == (4 if network == "netns" else 0), "the hub, and one for each node"
        command.sigkill()
        eventually("every process is gone", command.all_gone)
        assert not any(accepts(port) for port in ports)
        assert not namespaces() & of_run and devices() == before
        assert not list(command.temp.iterdir())
