"""Systems of others, as `examples/` describe them: a right setting is not violated, a wrong one is convicted or found
by `raft-chaos target check`. A test whose program or package is not installed skips, and says what is missing."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from builders.commands import RAFT_CHAOS, raft_chaos
from raft_chaos.chaos.run.live.disk import disk as lossy_disk
from raft_chaos.chaos.run.live.network.netns.network import missing

ROOT = Path(__file__).parents[3]
SHORT = "--seed 5 --nodes 3 --rate 60 --election-timeout 300-600 --duration 8 --warmup 2 --liveness 2"
STALE = "--seed 1 --election-timeout 300-600 --fail-fast"
OF_NATS = "--seed 5 --nodes 3 --rate 60 --duration 16 --warmup 6 --liveness 6 --fault-interval 3"
DEBIANS_NATS, CURRENT_NATS = "/usr/sbin/nats-server", str(Path(sys.executable).with_name("nats-server"))
POWER_FAILURE = "--schedule examples/power_failure.jsonl --election-timeout 300-600 --disk lossy"
RABBITMQ = "/usr/lib/rabbitmq/bin/rabbitmq-server"

pytestmark = [pytest.mark.slow, pytest.mark.live]


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Examples are named from the repository's root, and their `python3` has what is installed here."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")


def needs(*, program: str | None = None, package: str | None = None, disk: bool = False) -> None:
    """Skips the test without this program or package, without network namespaces, or without lossy disks."""
    if program is not None and shutil.which(program) is None:
        pytest.skip(f"the program {program} is not installed")
    if package is not None and importlib.util.find_spec(package) is None:
        pytest.skip(f"the package {package} is not installed: pip install 'raft-chaos[systems]'")
    for why in (missing(), lossy_disk.missing() if disk else None):
        if why is not None:
            pytest.skip(why)


def broken(tmp_path: Path, target: str, options: str) -> dict[str, object]:
    """The document of a short run."""
    done = raft_chaos("run", "--target", target, *options.split(), "--out", str(tmp_path / "out"), "--json")
    assert done.stdout, done.stderr
    document: dict[str, object] = json.loads(done.stdout)
    return document


def is_kept(document: dict[str, object]) -> bool:
    """Nothing is violated, and the cluster has served. A short run may be unknown."""
    served: int = document["stats"]["clean_ops_served"]  # type: ignore[index]
    return document["violations"] == [] and served > 20


def test_etcd_keeps_its_promise(tmp_path: Path) -> None:
    needs(program="etcd")
    document = broken(tmp_path, "examples/etcd.toml", SHORT)
    assert is_kept(document), document


def test_etcd_keeps_its_promise_when_the_power_of_all_nodes_fails(tmp_path: Path) -> None:
    needs(program="etcd", disk=True)
    document = broken(tmp_path, "examples/etcd.toml", POWER_FAILURE)
    assert is_kept(document), document


def test_stale_reads_of_etcd_are_convicted(tmp_path: Path) -> None:
    needs(program="etcd")
    assert broken(tmp_path, "examples/etcd_stale.toml", STALE)["verdict"] == "violated"


def test_pysyncobj_with_journal_and_dump_keeps_its_promise(tmp_path: Path) -> None:
    needs(package="pysyncobj")
    document = broken(tmp_path, "examples/pysyncobj.toml", SHORT)
    assert is_kept(document), document


def test_local_reads_of_pysyncobj_are_convicted(tmp_path: Path) -> None:
    needs(package="pysyncobj")
    assert broken(tmp_path, "examples/pysyncobj_local.toml", STALE)["verdict"] == "violated"


@pytest.mark.parametrize(
    ("setting", "lost"), [("pysyncobj_undumped", "the old key was None"), ("pysyncobj_dump", "key was None")]
)
def test_the_check_of_a_target_finds_what_a_kill_of_all_nodes_loses(setting: str, lost: str) -> None:
    needs(package="pysyncobj")
    done = raft_chaos("target", "check", f"examples/{setting}.toml", "--json")
    assert done.returncode == 254, done.stderr
    findings = {finding["what"]: finding for finding in json.loads(done.stdout)}
    assert findings["kill and restart"]["outcome"] == "wrong"
    assert lost in findings["kill and restart"]["seen"]


def test_a_kill_of_all_nodes_convicts_a_dump_alone(tmp_path: Path) -> None:
    """What was written after the last dump is gone: that is by PySyncObj's design."""
    needs(package="pysyncobj")
    target = ("--target", "examples/pysyncobj_dump.toml", "--schedule", "examples/kill_all.jsonl")
    done = raft_chaos("run", *target, "--out", str(tmp_path / "out"), "--json")
    assert done.returncode == 1, done.stderr
    assert json.loads(done.stdout)["invariants"]["acknowledged_writes"] == "violated"


def test_a_power_failure_convicts_a_journal_that_is_not_synced(tmp_path: Path) -> None:
    """PySyncObj writes its journal through a mapping, and never syncs it."""
    needs(package="pysyncobj", disk=True)
    document = broken(tmp_path, "examples/pysyncobj.toml", POWER_FAILURE)
    assert document["invariants"]["acknowledged_writes"] == "violated", document  # type: ignore[index]


def test_a_power_failure_convicts_nats_that_syncs_every_five_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs(program=CURRENT_NATS, package="nats", disk=True)
    monkeypatch.setenv("NATS_SERVER", CURRENT_NATS)
    monkeypatch.setenv("NATS_SYNC", "5s")
    # Each server syncs at times of its own choice. One that has done so just before the power fails has everything, may
    # lead, and then nothing is lost: about one failure in twenty. Three of them in a row are one in some thousands.
    for attempt in range(3):
        document = broken(tmp_path / str(attempt), "examples.nats_target:Bucket", POWER_FAILURE)
        if document["invariants"]["acknowledged_writes"] == "violated":  # type: ignore[index]
            return
    pytest.fail(f"three power failures lost nothing that was acknowledged; the last run: {document}")


@pytest.mark.parametrize(
    ("program", "reads"), [(CURRENT_NATS, "Bucket"), (CURRENT_NATS, "MarkedReads"), (DEBIANS_NATS, "MarkedReads")]
)
def test_reads_of_nats_that_wait_for_a_write_keep_their_promise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str, reads: str
) -> None:
    needs(program=program, package="nats")
    monkeypatch.setenv("NATS_SERVER", program)
    document = broken(tmp_path, f"examples.nats_target:{reads}", OF_NATS)
    assert is_kept(document), document


def test_conditions_that_do_not_hold_convict_debians_nats(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """2.9.10 accepts a write that expects a revision although another write has been accepted before it.

    A run in real time needs some luck for it: that a leader is cut off while somebody writes.
    """
    needs(program=DEBIANS_NATS, package="nats")
    monkeypatch.setenv("NATS_SERVER", DEBIANS_NATS)
    said = subprocess.run([DEBIANS_NATS, "--version"], capture_output=True, text=True, check=True).stdout
    if "v2.9." not in said:
        pytest.skip(f"{DEBIANS_NATS} is {said.strip()}, not 2.9")
    for seed in (5, 6, 7, 8):
        options = OF_NATS.replace("--seed 5", f"--seed {seed}")
        if broken(tmp_path, "examples.nats_target:Bucket", f"{options} --fail-fast")["verdict"] == "violated":
            return
    raise AssertionError("none of four runs was violated")


def test_rabbitmq_keeps_a_quorum_queue_and_forgets_transient_messages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All nodes are killed at once: a quorum queue has its messages again. The same with transient ones is found."""
    if "RAFT_CHAOS_RABBITMQ" not in os.environ:  # a node may hang for minutes, and a classic queue may be lucky
        pytest.skip("RabbitMQ takes minutes, and is no part of the suite: make rabbitmq")
    needs(program=RABBITMQ, package="pika")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for queue, found in (("Quorum", "ok"), ("ClassicTransient", "wrong")):
        command = [RAFT_CHAOS, "target", "check", f"examples.rabbitmq_target:{queue}", "--json"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300)
        findings = {finding["what"]: finding["outcome"] for finding in json.loads(done.stdout)}
        assert findings["one system"] == "ok", done.stdout
        assert findings["kill and restart"] == found, done.stdout
        assert list(findings.values()).count("wrong") == (found == "wrong"), done.stdout
