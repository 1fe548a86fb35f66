"""What network namespaces alone can do: packets are lost, runs do not meet, doors lead in, and nothing is left."""

from __future__ import annotations

import errno
import importlib.util
import multiprocessing
import os
import signal
import socket
import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from network_ends import PATIENCE_S, Ends, make_sockets, open_ends

from builders.waiting import eventually
from raft_chaos.chaos.processes.execute import execute
from raft_chaos.chaos.processes.shortage import SetupError
from raft_chaos.chaos.processes.supervisor import Child, Supervisor
from raft_chaos.chaos.run.live import kernel
from raft_chaos.chaos.run.live.enter import Enter, Namespace
from raft_chaos.chaos.run.live.network.control import ProxyError
from raft_chaos.chaos.run.live.network.netns import namespaces
from raft_chaos.chaos.run.live.network.netns.network import missing, start
from raft_chaos.chaos.run.live.network.rules import LinkRule

SPAWN = multiprocessing.get_context("spawn")


@pytest.fixture(scope="module")
def ends(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ends]:
    with ExitStack() as stack:
        yield open_ends("netns", stack, tmp_path_factory.mktemp("netns"))


@pytest.fixture
def supervisor() -> Iterator[Supervisor]:
    with Supervisor() as running:
        yield running


# ---- packets ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "field"),
    [
        (LinkRule(loss=0.05), "lost"),
        (LinkRule(duplicate=0.3), "duplicated"),
        (LinkRule(reorder=0.1), "reordered"),
        (LinkRule(delay_max_us=3_000, delay_mean_us=1_000, loss=0.02, duplicate=0.1, reorder=0.05), "delayed"),
    ],
    ids=["loss", "duplicate", "reorder", "all"],
)
def test_tcp_makes_up_for_what_happens_to_its_packets(ends: Ends, rule: LinkRule, field: str) -> None:
    ours, theirs = ends.pair("a", "b")
    data = os.urandom(150_000)
    ends.network.set_rules({("a", "b"): rule, ("b", "a"): rule})
    before = ends.counters(("a", "b"))
    with ours, theirs:
        theirs.settimeout(60)
        sending = threading.Thread(target=ours.sendall, args=(data,))
        sending.start()
        arrived = bytearray()
        while len(arrived) < len(data):
            arrived += theirs.recv(65_536)
        sending.join()
        assert arrived == data
        now = ends.counters(("a", "b"))
    ends.heal()
    assert getattr(now, field) > getattr(before, field)


def test_nodes_see_each_other_and_nothing_else(ends: Ends) -> None:
    """Without a route to anywhere else, a node cannot do harm outside."""
    with ends.socket("a") as ours, pytest.raises(OSError, match="unreachable"):
        ours.connect(("192.0.2.1", 80))


def test_a_connection_goes_on_soon_after_a_cut(ends: Ends, supervisor: Supervisor, tmp_path: Path) -> None:
    """Otherwise a link stays silent as long again as it was cut, while the cluster is expected to recover."""
    limit = Path("/proc/sys/net/ipv4/tcp_rto_max_ms")
    if not limit.exists():
        pytest.skip("this kernel has no tcp_rto_max_ms")
    said, command = tmp_path / "a.log", ["sh", "-c", f"cat {limit} >&2"]
    supervisor.start("a", execute, command, {}, 1024, ends.network.enter("a"), stderr=said)
    eventually("the process in the namespace says something", lambda: said.exists() and said.read_text().endswith("\n"))
    assert said.read_text().strip() == str(namespaces.RETRANSMITTED_MS)
    assert limit.read_text().strip() != str(namespaces.RETRANSMITTED_MS), "that is for the namespaces alone"


# ---- runs at the same time, and doors -----------------------------------------------------------------------------


@pytest.mark.slow
def test_runs_at_the_same_time_have_the_same_addresses_and_do_not_meet(ends: Ends, tmp_path: Path) -> None:
    with ExitStack() as stack:
        others = open_ends("netns", stack, tmp_path)
        assert others.network.hosts == ends.network.hosts
        for name, run in ((b"first", ends), (b"second", others)):
            listening = run.socket("c")
            listening.bind((run.network.hosts["c"], 7_000))
            listening.listen()
            stack.enter_context(listening)
            with run.socket("a") as ours:
                ours.connect((run.network.hosts["c"], 7_000))
                theirs, _ = listening.accept()
                with theirs:
                    theirs.sendall(name)
                assert ours.recv(10) == name
        others.network.set_rules(dict.fromkeys(others.network.links, LinkRule(cut=True)))
        ours, theirs = ends.pair("a", "b")
        with ours, theirs:
            ours.sendall(b"unharmed")
            assert theirs.recv(8) == b"unharmed"


@pytest.mark.parametrize("address", ["its own", "127.0.0.1"])
def test_the_controller_reaches_a_real_server_also_while_it_is_cut_off(
    ends: Ends, supervisor: Supervisor, tmp_path: Path, address: str
) -> None:
    network = ends.network
    network.set_rules(dict.fromkeys(network.links, LinkRule(cut=True)))
    bind = network.hosts["b"] if address == "its own" else address
    server = [sys.executable, "-m", "http.server", "8000", "--bind", bind, "--directory", str(tmp_path)]
    (tmp_path / "here.txt").write_text("reached")
    supervisor.start("b", execute, server, {}, 1024, network.enter("b"), stderr=tmp_path / "b.log")
    host, port = network.door("b", 8000)
    assert network.door("b", 8000) == (host, port), "a door stays where it is"
    answers = []

    def answered() -> bool:
        with suppress(OSError):
            answers.append(urllib.request.urlopen(f"http://{host}:{port}/here.txt", timeout=PATIENCE_S).read())
        return bool(answers)

    eventually("the server answers", answered)
    assert answers == [b"reached"]
    with pytest.raises(ProxyError, match="node 'z' is unknown"):
        network.door("z", 1)
    with pytest.raises(ProxyError, match="is unknown"):
        network.set_rules({("a", "z"): LinkRule(cut=True)})


def test_a_door_refuses_connections_while_nothing_listens_behind_it(ends: Ends) -> None:
    """To the client, a broken connection would be a request that may have been carried out."""
    network = ends.network
    door = network.door("c", 7_100)
    for known_to_be_down in (False, True):
        assert not accepts(door)
        with ends.socket("c") as listening:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind((network.hosts["c"], 7_100))
            listening.listen()
            eventually("the door opens", lambda: accepts(door))
        if known_to_be_down:
            network.route("c", None)
        else:
            eventually("the door closes", lambda: not accepts(door))
    assert not accepts(door)


def accepts(address: tuple[str, int]) -> bool:
    try:
        socket.create_connection(address, PATIENCE_S).close()
    except (ConnectionRefusedError, ConnectionResetError):  # reset: the door was closed at this very moment
        return False
    return True


# ---- the end ------------------------------------------------------------------------------------------------------


class Traces(NamedTuple):
    """What a run might leave behind: processes, and namespaces (their inodes) that any process is in or holds open."""

    processes: list[int]
    namespaces: list[int]

    def left(self) -> list[str]:
        found = [f"process {pid}" for pid in self.processes if Path(f"/proc/{pid}").exists() and not _is_zombie(pid)]
        for folder in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                links = [folder / "ns" / "net", folder / "ns" / "user", *(folder / "fd").iterdir()]
                for link in links:
                    with suppress(OSError):
                        target = os.readlink(link)
                        if any(target.endswith(f":[{inode}]") for inode in self.namespaces):
                            found.append(f"{link} is {target}")
        return found


def _is_zombie(pid: int) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    return True


def network_with_a_node(supervisor: Supervisor) -> tuple[Any, Child, Connection, Traces]:
    """A network with a node in it."""
    network = start(supervisor, ["a", "b"], 1, Path(os.devnull))
    enter = network.enter("a")
    assert isinstance(enter, Enter)
    ours, theirs = supervisor.pipe()
    node = supervisor.start("a", make_sockets, theirs, enter, stderr=Path(os.devnull))
    other = network.enter("b")
    assert isinstance(other, Enter)
    inodes = {one.inode for one in (*enter.namespaces, *other.namespaces)}
    ours.send(True)  # the node has entered once it answers
    assert ours.poll(PATIENCE_S)
    return network, node, ours, Traces([enter.holder, node.pid], sorted(inodes))


def controller(report: Connection) -> None:
    with Supervisor() as supervisor:
        try:
            _, _, _, traces = network_with_a_node(supervisor)
        except SetupError as error:
            report.send(str(error))
            return
        report.send(traces)
        signal.pause()


@pytest.mark.slow
def test_nothing_is_left_when_the_controller_is_killed() -> None:
    ours, theirs = SPAWN.Pipe()
    process = SPAWN.Process(target=controller, args=(theirs,))
    process.start()
    theirs.close()
    traces = ours.recv()
    if isinstance(traces, str):
        pytest.skip(traces)
    assert len(traces.left()) > 2, "the test must be able to see them"
    process.kill()
    process.join()
    eventually("nothing is left", lambda: not traces.left())


def test_a_switch_that_is_killed_is_noticed_and_nothing_is_left(supervisor: Supervisor) -> None:
    try:
        network, node, sockets, traces = network_with_a_node(supervisor)
    except SetupError as error:
        pytest.skip(str(error))
    network.check()
    os.kill(traces.processes[0], signal.SIGKILL)
    eventually("the switch has ended", lambda: not network._process.is_alive)
    with pytest.raises(ProxyError, match="the switch ended by itself with exit code -9"):
        network.check()
    with pytest.raises(ProxyError, match="the switch process is gone"):
        network.counters()
    node.kill()
    sockets.close()
    eventually("nothing is left", lambda: not traces.left())
    with pytest.raises(SystemExit, match="a cannot enter its network namespace"):
        network.enter("a")()


# ---- machines that cannot ------------------------------------------------------------------------------------------


def test_a_machine_that_can_has_nothing_missing(ends: Ends) -> None:
    assert missing() is None


def test_says_that_pyroute2_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(namespaces.ImpossibleError, match=r"pyroute2 is not installed \(pip install"):
        namespaces.build(["a", "b"])


@pytest.mark.parametrize(
    ("refused", "said"),
    [
        (kernel.NEWNET, "the system refuses network namespaces: No space left"),
        (kernel.NEWUSER | kernel.NEWNET, "the system refuses user namespaces to this user: Operation not permitted"),
    ],
)
def test_says_which_namespaces_the_system_refuses(monkeypatch: pytest.MonkeyPatch, refused: int, said: str) -> None:
    def unshare(kinds: int) -> None:
        number = errno.ENOSPC if kinds == refused == kernel.NEWNET else errno.EPERM
        raise OSError(number, os.strerror(number))

    pytest.importorskip("pyroute2")
    monkeypatch.setattr(kernel, "unshare", unshare)
    with pytest.raises(namespaces.ImpossibleError, match=said):
        namespaces.build(["a", "b"])


def test_refuses_more_nodes_than_there_are_addresses() -> None:
    with pytest.raises(namespaces.ImpossibleError, match="it has room for 250 nodes, not for 251"):
        namespaces.build([f"n{number}" for number in range(251)])


def test_a_run_cannot_begin_on_a_machine_that_cannot(supervisor: Supervisor) -> None:
    with pytest.raises(SetupError, match="the network 'netns' is not possible on this machine: it has room for 250"):
        start(supervisor, [f"n{number}" for number in range(251)], 1, Path(os.devnull))


def test_a_process_does_not_enter_the_namespaces_of_another_switch() -> None:
    """The number of a switch that is gone may be another process's by now."""
    with open(os.devnull) as any_file:
        wrong = Namespace(any_file.fileno(), 1, kernel.NEWNET)
        with pytest.raises(SystemExit, match="n1 cannot enter its network namespace: its holder is gone"):
            Enter("n1", "its network namespace", os.getpid(), (wrong,))()
