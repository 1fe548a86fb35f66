"""The disk as a node has it, through FUSE: a killed process loses what it did not sync, and nothing else is left."""

from __future__ import annotations

import codecs
import ctypes
import errno
import multiprocessing
import os
import resource
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from builders.commands import raft_chaos
from builders.waiting import eventually
from raft_chaos.chaos.processes.execute import execute
from raft_chaos.chaos.processes.shortage import HarnessError, SetupError
from raft_chaos.chaos.processes.supervisor import Child, ProcessError, Supervisor
from raft_chaos.chaos.run.live import kernel
from raft_chaos.chaos.run.live.disk import mount as mounts
from raft_chaos.chaos.run.live.disk import protocol
from raft_chaos.chaos.run.live.disk.disk import Disk, DiskError, start
from raft_chaos.chaos.run.live.disk.folder import LossyFolder
from raft_chaos.chaos.run.live.disk.requests import Requests
from raft_chaos.chaos.run.live.disk.server import disk_main
from raft_chaos.chaos.run.live.enter import Enter
from raft_chaos.invariants.rundir import RunDir

WRITER = Path(__file__).with_name("writer.py")
EXAMPLES = Path(__file__).parents[5] / "examples"
SPAWN, FORK = multiprocessing.get_context("spawn"), multiprocessing.get_context("fork")
NOBODY = 65_534
PR_SET_DUMPABLE = 4


@pytest.fixture
def supervisor() -> Iterator[Supervisor]:
    with Supervisor() as running:
        yield running


def disk_in(supervisor: Supervisor, folder: Path) -> Disk:
    """Skips the test on a machine that cannot have it."""
    try:
        return start(supervisor, "n1", folder, None, folder / "disk.log")
    except SetupError as error:
        pytest.skip(str(error))


def writer_on(supervisor: Supervisor, folder: Path, disk: Disk) -> Child:
    """The program, once it has done its work."""
    log = folder / "node.log"
    command = [sys.executable, str(WRITER), str(folder / "data")]
    child = supervisor.start("n1", execute, command, {}, 1024, disk.enter, None, stderr=log)
    eventually("the node has written", lambda: not child.is_alive or "done" in log.read_text())
    assert child.is_alive, log.read_text()
    return child


# ---- what a kill takes -------------------------------------------------------------------------------------------


def test_a_killed_process_loses_what_it_did_not_sync(supervisor: Supervisor, tmp_path: Path) -> None:
    disk = disk_in(supervisor, tmp_path)
    child = writer_on(supervisor, tmp_path, disk)
    data = tmp_path / "data"
    assert (data / "never").stat().st_size == 300_000, "outside of the mount the newest content can be seen"
    child.kill()
    disk.check()
    lost = disk.lose(0)
    assert lost.written >= 300_000 + len(", and not") and lost.names == 3
    assert sorted(os.listdir(data)) == ["appended", "by_open", "folder", "mapped", "synced"]
    assert sorted(os.listdir(data / "folder")) == ["link", "named", "second"]
    for name in ("synced", "appended", "by_open", "folder/link", "folder/second"):
        assert (data / name).read_bytes() == b"durable"
    assert (data / "mapped").read_bytes() == b"durable" + bytes(8185)
    assert sorted(os.listdir(tmp_path)) == ["data", "disk.log", "node.log"]


def test_a_node_that_ends_by_itself_loses_nothing(supervisor: Supervisor, tmp_path: Path) -> None:
    disk = disk_in(supervisor, tmp_path)
    child = writer_on(supervisor, tmp_path, disk)
    child.kill()
    disk.end()
    assert sorted(os.listdir(tmp_path / "data")) == ["appended", "folder", "mapped", "never", "renamed"]
    assert sorted(os.listdir(tmp_path)) == ["data", "disk.log", "node.log"]


def test_a_disk_that_is_killed_is_noticed(supervisor: Supervisor, tmp_path: Path) -> None:
    disk = disk_in(supervisor, tmp_path)
    os.kill(disk._process.pid, signal.SIGKILL)
    eventually("the disk has ended", lambda: not disk._process.is_alive)
    with pytest.raises(DiskError, match="the disk of n1 is gone"):
        disk.check()
    with pytest.raises(DiskError, match="the disk of n1 is gone"):
        disk.lose(0)
    with pytest.raises(SystemExit, match="n1 cannot enter the namespace of its disk"):
        disk.enter()


def test_a_disk_that_runs_out_of_something_tells_its_controller(supervisor: Supervisor, tmp_path: Path) -> None:
    """And not the node, which would be convicted for what it makes of the error."""
    disk = disk_in(supervisor, tmp_path)
    resource.prlimit(disk._process.pid, resource.RLIMIT_NOFILE, (3, 3))
    log = tmp_path / "node.log"
    command = [sys.executable, str(WRITER), str(tmp_path / "data")]
    child = supervisor.start("n1", execute, command, {}, 1024, disk.enter, None, stderr=log)
    eventually("the node has ended", lambda: not child.is_alive)
    assert "Too many open files" not in log.read_text()
    with pytest.raises(DiskError, match="the disk of n1 failed: it ran out of open files"):
        disk.check()
    disk.end()
    assert not (tmp_path / "removed").exists()


def test_a_file_that_the_kernel_was_never_told_of_is_no_error_of_the_node(tmp_path: Path) -> None:
    requests = Requests(LossyFolder(os.open(tmp_path, os.O_PATH), os.open(tmp_path, os.O_PATH)))
    asked = protocol.HEADER.pack(protocol.HEADER.size, protocol.Opcode.GETATTR, 1, 999, 0, 0, 0)
    with pytest.raises(HarnessError, match="Stale file handle"):
        requests.answer(memoryview(asked))


# ---- whole runs --------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(("target", "codes"), [("shelf.toml", (0, 2)), ("shelf_hasty.toml", (1,))])
def test_a_server_that_acknowledges_before_it_syncs_is_convicted(
    supervisor: Supervisor, tmp_path: Path, target: str, codes: tuple[int, ...]
) -> None:
    """On a crowded machine too little may be served for a verdict on the right one, which is then unknown."""
    disk_in(supervisor, tmp_path).end()
    out, options = (
        tmp_path / "out",
        "--seed 2 --nodes 3 --faults kill --rate 40 --duration 6 --warmup 1 --liveness 2 -q",
    )
    named = ["--target", str(EXAMPLES / target), "--disk", "lossy", "--out", str(out)]
    done = raft_chaos("run", *named, *options.split())
    assert done.returncode in codes, done.stdout + done.stderr
    (run,) = map(RunDir, out.iterdir())
    assert "lossy_disk" in run.load_info().can
    assert ("acknowledged_writes" in done.stdout) == (codes == (1,))
    assert not list(run.path.glob("nodes/*/removed"))
    assert "which lost" in run.harness.read_text()


# ---- nothing is left ---------------------------------------------------------------------------------------------


def test_a_disk_that_comes_too_late_leaves_nothing(tmp_path: Path) -> None:
    """Nodes start in threads, which go on while a run is interrupted."""
    with Supervisor() as supervisor:
        pass
    with pytest.raises(ProcessError, match="disk of n1: not started, since the run is ending"):
        start(supervisor, "n1", tmp_path, None, tmp_path / "disk.log")
    assert os.listdir(tmp_path) == ["data"]


def controller(report: Connection, folder: Path) -> None:
    with Supervisor() as supervisor:
        try:
            disk = start(supervisor, "n1", folder, None, folder / "disk.log")
        except SetupError as error:
            report.send(str(error))
            return
        child = writer_on(supervisor, folder, disk)
        report.send((disk._process.pid, child.pid))
        signal.pause()


@pytest.mark.slow
def test_nothing_is_left_when_the_controller_is_killed(tmp_path: Path) -> None:
    ours, theirs = SPAWN.Pipe()
    process = SPAWN.Process(target=controller, args=(theirs, tmp_path))
    process.start()
    theirs.close()
    pids = ours.recv()
    if isinstance(pids, str):
        pytest.skip(pids)
    assert "fuse.lossy" in Path(f"/proc/{pids[1]}/mounts").read_text(), "the test must be able to see it"
    assert "fuse.lossy" not in Path("/proc/self/mounts").read_text()
    process.kill()
    process.join()
    eventually("its processes are gone", lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids))
    eventually("the folder is gone", lambda: not (tmp_path / "removed").exists())


# ---- machines that cannot ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("refused", "said"),
    [
        (kernel.NEWNS, "the system refuses namespaces of mounts: No space left"),
        (kernel.NEWUSER | kernel.NEWNS, r"user namespaces to this user \(run as root, or allow them\): Operation not"),
    ],
)
def test_says_which_namespaces_the_system_refuses(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, refused: int, said: str
) -> None:
    def unshare(kinds: int) -> None:
        number = errno.ENOSPC if kinds == refused == kernel.NEWNS else errno.EPERM
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(kernel, "unshare", unshare)
    with pytest.raises(mounts.ImpossibleError, match=said):
        mounts.mount(tmp_path)


def test_says_that_there_is_no_fuse(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mounts, "DEVICE", "/dev/none")
    with pytest.raises(mounts.ImpossibleError, match=r"there is no FUSE here: /dev/none: No such file .*modprobe fuse"):
        mounts._device()


# ---- an ordinary user --------------------------------------------------------------------------------------------


def as_nobody(do: Callable[..., None], *arguments: object) -> None:
    """A process that changes its user may not write in its own /proc, unless it says so, nor perhaps load modules."""
    codecs.lookup("ascii")
    os.setgroups([])
    os.setgid(NOBODY)
    os.setuid(NOBODY)
    ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 1)
    do(*arguments)


def write_two(enter: Enter, folder: Path, report: Connection) -> None:
    enter()
    with open(folder / "synced", "w") as file:
        file.write("durable")
        file.flush()
        os.fsync(file.fileno())
    (folder / "unsynced").write_text("x")
    report.send(os.listdir(folder))


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user, and make it a device")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_an_ordinary_user_needs_nothing_but_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        place.chmod(0o755)
        data, graves = place / "data", place / "removed"
        for folder in (data, graves):
            folder.mkdir()
            os.chown(folder, NOBODY, NOBODY)
        device = place / "fuse"
        os.mknod(device, 0o020666, os.makedev(10, 229))
        device.chmod(0o666)
        monkeypatch.setattr(mounts, "DEVICE", str(device))
        control, theirs = FORK.Pipe()
        disk = FORK.Process(target=as_nobody, args=(disk_main, theirs, data, graves, None))
        disk.start()
        theirs.close()
        described = control.recv()
        if isinstance(described, str):
            disk.join()
            pytest.skip(described)
        holder, namespaces = described
        assert len(namespaces) == 2, "a user namespace, and one of mounts"
        report, theirs = FORK.Pipe()
        enter = Enter("n1", "the namespace of its disk", holder, namespaces)
        node = FORK.Process(target=as_nobody, args=(write_two, enter, data, theirs))
        node.start()
        theirs.close()
        assert sorted(report.recv()) == ["synced", "unsynced"]
        node.join()
        control.send(0)
        assert control.recv() == (1, 1)
        disk.join()
        assert os.listdir(data) == ["synced"] and (data / "synced").stat().st_uid == NOBODY
