"""`raft-chaos member`: against a real cluster, and what it refuses before it asks anybody."""

from __future__ import annotations

import json

import pytest

from builders.commands import RAFT_CHAOS, background, raft_chaos
from builders.processes import FIRST_PORT, free_ports
from builders.waiting import eventually


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("join", "n4"), "join"),
        (("add",), "member add: expected the names of nodes, such as n4"),
        (("list", "n4"), "member list: expected no names"),
        (("list", "--node", "127.0.0.1:8001"), "--node: expected a URL such as http://127.0.0.1:8001"),
        (("add", "n4", "--wait", "soon"), "--wait"),
        (("list", "--tls-ca", "missing.pem"), "--tls"),
    ],
)
def test_wrong_arguments_are_refused_with_a_sentence(arguments: tuple[str, ...], said: str) -> None:
    done = raft_chaos("member", *arguments)
    assert done.returncode == 254 and said in done.stderr and "Traceback" not in done.stderr, done.stderr


def test_where_nobody_answers_it_says_where_it_asked() -> None:
    url = f"http://127.0.0.1:{free_ports(1, FIRST_PORT)}"
    done = raft_chaos("member", "list", "--node", url)
    assert done.returncode == 255 and f"{url}/membership" in done.stderr


@pytest.mark.slow
@pytest.mark.live
def test_a_cluster_of_two_voters_takes_in_a_third_and_lets_it_go() -> None:
    http_port = free_ports(3, FIRST_PORT)
    raft_port = free_ports(3, http_port + 3)
    with background(
        *(RAFT_CHAOS, "cluster", "--nodes", "3", "--election-timeout", "150-300", "--token", "s3cret"),
        *("--features", "check_quorum,membership,first_voters=2"),
        *("--http-port", str(http_port), "--raft-port", str(raft_port)),
    ) as command:
        eventually("the cluster is up", lambda: "Ctrl-C ends the cluster" in command.stderr)
        command.family()

        def asked(*arguments: str, place: int = 0, token: str = "s3cret") -> tuple[int, str, str]:
            url = f"http://127.0.0.1:{http_port + place}"
            done = raft_chaos("member", *arguments, "--node", url, "--token", token)
            return done.returncode, done.stdout, done.stderr

        code, _, said = asked("list", token="wrong")
        assert code == 254 and "token" in said

        code, shown, said = asked("add", "n3")
        assert code == 0, said
        assert "voters      n1 n2\n" in shown and "learners    n3\n" in shown and "committed" in shown
        code, shown, said = asked("promote", "n3", "--json")
        assert code == 0, said
        assert json.loads(shown)["voters"] == ["n1", "n2", "n3"]

        # n3 asks whoever leads, as all do.
        code, shown, said = asked("remove", "n1", place=2)
        assert code == 0, said
        assert "voters      n2 n3\n" in shown
        eventually("n3 leads or follows without n1", lambda: "voters      n2 n3\n" in asked("list", place=2)[1])
        code, _, said = asked("remove", "n1", place=1)
        assert (code, "remove n1: it is no member" in said) == (254, True), said
        code, _, said = asked("add", "n9", place=1)
        assert (code, "n9 is unknown; there are n1, n2, n3" in said) == (254, True), said
        command.family()
        assert command.interrupt() == 0
        assert "Traceback" not in command.stderr
        eventually("every process is gone", command.all_gone)
