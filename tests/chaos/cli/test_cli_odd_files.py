"""A pipe or a device in place of a file: every command refuses it at once, with its name. None waits for it."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from builders.campaigns import settings
from builders.commands import Command
from builders.runs import recorded_run
from builders.schedules import short
from raft_chaos.chaos.campaign.file import CampaignError, CampaignFile, describe_campaign
from raft_chaos.invariants.rundir import RunDir
from raft_chaos.raft.storage.disk import OsDisk
from raft_chaos.raft.storage.identity import IDENTITY, Identity
from raft_chaos.raft.storage.journal import JournalError, read_journal
from raft_chaos.raft.storage.log_file import FILE
from raft_chaos.raft.storage.sync_mark import SYNCED
from raft_chaos.raft.storage.wal import WriteAheadLog

SAID = "expected a regular file, got a pipe or a device"


@pytest.fixture(autouse=True)
def _no_hang() -> Iterator[None]:
    """A command that waits fails the test, and does not hang it."""

    def late(*_: object) -> None:
        raise AssertionError("the command waits for the file")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(20)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    return recorded_run(short(), tmp_path_factory.mktemp("recorded"))


@pytest.fixture(params=["FIFO", "/dev/zero"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def replaced(file: Path, kind: str) -> Path:
    file.unlink(missing_ok=True)
    if kind == "FIFO":
        os.mkfifo(file)
    else:
        file.symlink_to(kind)
    return file


@pytest.mark.parametrize(
    "words", [["check"], ["report"], ["explain"], ["trace"], ["shrink"], ["replay", "--as", "sim"]], ids=lambda w: w[0]
)
@pytest.mark.parametrize("name", ["run.json", "schedule.jsonl", "history.jsonl", "nodes/n1/events-0001.jsonl"])
def test_a_run_directory(
    command: Command, recorded: RunDir, tmp_path: Path, words: list[str], name: str, kind: str
) -> None:
    run = unsealed(recorded, tmp_path)
    replaced(run / name, kind)
    code, stdout, stderr = command(words[0], run, *words[1:])
    assert code not in (1, 255) and "Traceback" not in stderr
    if words == ["check"]:
        assert code in (2, 254) and name in stdout + stderr and SAID in stdout + stderr


def unsealed(recorded: RunDir, folder: Path) -> Path:
    """A copy without a seal, which would show the damage before any other reader sees it."""
    run = RunDir(Path(shutil.copytree(recorded.path, folder / "run")))
    info = run.load_info()
    info.state, info.evidence = "running", None
    run.save_info(info)
    return run.path


@pytest.mark.parametrize(
    "words",
    [["run", "--world", "sim", "--schedule"], ["repro"], ["check", "--history"]],
    ids=["run --schedule", "repro", "check --history"],
)
def test_a_file_that_is_given_by_name(command: Command, tmp_path: Path, words: list[str], kind: str) -> None:
    file = replaced(tmp_path / "given.jsonl", kind)
    code, stdout, stderr = command(*words, file)
    assert (code, stdout) == (254, "") and str(file) in stderr and SAID in stderr


@pytest.mark.parametrize("name", [FILE, IDENTITY, SYNCED])
def test_the_data_folder_of_a_node(command: Command, tmp_path: Path, name: str, kind: str) -> None:
    disk = OsDisk(tmp_path / "data")
    WriteAheadLog(disk).recover(Identity("cluster", "n1"))
    disk.close()
    replaced(tmp_path / "data" / name, kind)
    code, _, stderr = command("node", "--name", "n1", "--data", tmp_path / "data", "--http-port", "0")
    assert code == 78 and name in stderr and SAID in stderr


def test_the_file_of_a_campaign(tmp_path: Path, kind: str) -> None:
    header = describe_campaign(settings(), [1, 2])
    file = replaced(tmp_path / f"campaign-{header.key}.jsonl", kind)
    with pytest.raises(CampaignError) as refused:
        CampaignFile(tmp_path, header)
    assert str(refused.value) == f"{file}: {SAID}"


def test_the_journal_of_a_node(tmp_path: Path, kind: str) -> None:
    file = replaced(tmp_path / "journal-0001", kind)
    with pytest.raises(JournalError) as refused:
        list(read_journal(file))
    assert str(refused.value) == f"{file}: cannot be read ({SAID})"


def test_a_file_that_is_too_large_is_not_read(command: Command, recorded: RunDir, tmp_path: Path) -> None:
    run = unsealed(recorded, tmp_path)
    with (run / "history.jsonl").open("ab") as file:
        file.truncate(1 << 40)  # it takes no space: these are zeros that nobody wrote
    code, stdout, _ = command("check", run)
    assert code == 2
    assert "history.jsonl: cannot be read (expected at most 2147483648 bytes, got 1099511627776)" in (
        " ".join(stdout.split())
    )
