"""Which node a client asks next, as the answer of a node says."""

from __future__ import annotations

from typing import Any

import pytest

from raft_chaos.chaos.targets.door import NoAnswer
from raft_chaos.chaos.targets.our_api import HttpDoor

URLS = {"n1": "http://127.0.0.1:1", "n2": "http://127.0.0.1:2"}
NOBODY: Any = None  # no request is sent


@pytest.mark.parametrize(
    ("status", "headers", "body", "next_one"),
    [
        (307, {"Location": "http://127.0.0.1:2/executeCommand"}, b"", URLS["n2"]),
        (307, {"Location": "http://127.0.0.1:99/executeCommand"}, b"", ""),  # no node of this run
        (503, {}, b'{"ok":false,"error":"n2 leads, but ...","leader":"n2"}', URLS["n2"]),
        (503, {}, b'{"ok":false,"error":"...","leader":"n9"}', ""),
        (503, {}, b'{"ok":false,"error":"no leader is known"}', ""),
        (503, {}, b'{"leader":null}', ""),
        (503, {}, b"\xff Service Unavailable", ""),
    ],
)
def test_a_node_that_is_not_the_leader_may_say_who_is(
    status: int, headers: dict[str, str], body: bytes, next_one: str
) -> None:
    door = HttpDoor(NOBODY, lambda: URLS, knows_repeats=True)
    answer = door._understood(status, headers, body)
    assert isinstance(answer, NoAnswer)
    assert (answer.may_have_happened, answer.ask_next) == (False, next_one)
