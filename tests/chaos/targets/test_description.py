"""A target's file: what is read from it, and what is refused with the place and the nearest name."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from raft_chaos.chaos.targets.command_lines import found_beside
from raft_chaos.chaos.targets.described import understood
from raft_chaos.chaos.targets.description import Description, load
from raft_chaos.chaos.targets.door import NoAnswer, Outcome
from raft_chaos.chaos.targets.find import find
from raft_chaos.chaos.targets.protocol import TargetError, rate_of
from raft_chaos.raft.state.timing import Timing

RIGHT = f"""
command = "{sys.executable} -c pass {{node}} {{port.client}} {{peers}}"
persistent = true

[get]
request = "GET /kv/{{key}}"
value = "value"

[put]
request = "PUT /kv/{{key}}"
body = "{{value}}"
"""


def described(tmp_path: Path, text: str) -> Description:
    file = tmp_path / "target.toml"
    file.write_text(text)
    return load(file)


def test_a_file_beside_the_targets_file_is_found_from_everywhere(tmp_path: Path) -> None:
    (tmp_path / "server.py").touch()
    (tmp_path / "python3").touch()
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "serve").touch()
    words = ["python3", "server.py", "{data}", "--port", "bin", "missing.py"]
    assert found_beside(words, tmp_path) == ["python3", f"{tmp_path}/server.py", *words[2:]]
    assert found_beside(["./bin/serve", "bin/serve"], tmp_path) == [f"{tmp_path}/bin/serve"] * 2


def test_a_target_may_say_how_much_it_is_asked_for(tmp_path: Path) -> None:
    file = tmp_path / "slow.toml"
    file.write_text(f"rate = 12.5\n{RIGHT}")
    assert rate_of(find(Timing(), name=str(file))) == 12.5
    file.write_text(RIGHT)
    assert rate_of(find(Timing(), name=str(file))) == rate_of(find(Timing())) == 100
    file.write_text(f"rate = 0\n{RIGHT}")
    with pytest.raises(TargetError, match="rate"):
        find(Timing(), name=str(file))


def test_a_target_can_what_its_file_says_and_nothing_else(tmp_path: Path) -> None:
    assert described(tmp_path, RIGHT).can == {"get", "put", "kill", "pause"}
    status = '\n[status]\nrequest = "GET /"\nleads = { body = { role = "leader" } }\n'
    assert described(tmp_path, RIGHT + status).can == {"get", "put", "kill", "pause", "leader"}
    assert described(tmp_path, RIGHT + status + 'term = "term"').can == {
        "get",
        "put",
        "kill",
        "pause",
        "leader",
        "term",
    }
    lines = '\n[[events]]\npattern = "leads in (?P<term>[0-9]+)"\n'
    assert described(tmp_path, RIGHT + lines).can == {"get", "put", "kill", "pause", "leader", "term"}
    assert described(tmp_path, RIGHT + '\n[stop]\nsignal = "SIGINT"\n').can == {"get", "put", "kill", "pause", "stop"}
    assert "kill" not in described(tmp_path, RIGHT.replace("= true", "= false")).can


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("persistent = true", "", "'persistent' is missing: say whether a killed node has what it acknowledged"),
        (
            "persistent",
            "persistant = true\npersistent",
            "line 3: the file: there is no 'persistant'; did you mean 'persistent'?",
        ),
        ("value = ", "valu = ", "line 7: get: there is no 'valu'; did you mean 'value'?"),
        ('value = "value"', "", "get.value: expected where the answer has the value"),
        ("{key}", "{kye}", "get: {kye}: did you mean 'key'?"),
        ("{port.client}", "{port.http}", "command: {port.http}: did you mean 'port.peer'"),
        ("GET /kv", "fetch /kv", 'get: request: expected a method and a path, such as "GET /kv/{key}"'),
        ("[get]", "[get", "Expected ']'"),
        ("persistent = true", 'persistent = "yes"', "persistent: expected `bool`, got `str`"),
        ("persistent = true", 'persistent = true\nnetwork = "tpc"', "network: invalid enum value 'tpc'"),
        ("persistent = true", 'persistent = true\nclients = "web"', "clients: there is no port 'web'"),
        (sys.executable, "no-such-program", "there is no program 'no-such-program'"),
        ("[get]", '[ready]\ntcp = "cleint"\n[get]', "ready.tcp: there is no port 'cleint'; did you mean 'client'?"),
        ("[get]", "[ready]\nwithin_s = 0\n[get]", "ready.within_s: expected `float` > 0"),
        ("[put]", "ok = { state = 200 }\n[put]", "get.ok: there is no 'state'; did you mean 'status'?"),
        ("[put]", "[enqueue]", "operations: [enqueue] and [dequeue] need each other"),
        ("[get]", 'delivery = "exactly_once"\n[get]', "delivery: it is a promise about queues"),
        ("[get]", 'delivery = "twice"\n[get]', "delivery: invalid enum value 'twice'"),
        ("[put]", "empty = { status = 204 }\n[put]", "get.empty: only a dequeue"),
        (
            "[put]",
            '[enqueue]\nrequest = "POST /"\n[dequeue]\nrequest = "POST /"\n[put]',
            "dequeue.value: expected where",
        ),
        ("[put]", 'ok = { same = ["a"] }\n[put]', "get: same: expected two paths, got 1"),
        ("[put]", '[[events]]\npattern = "leader"\n[put]', "events[0]: pattern: expected a group for the term"),
        ("[put]", '[[events]]\npatern = "leader"\n[put]', "did you mean 'pattern'?"),
        ("[put]", '[[events]]\npattern = "(?P<term>.)"\nevent = "elected"\n[put]', "invalid enum value 'elected'"),
    ],
)
def test_a_mistake_is_refused_with_its_place(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert old in RIGHT
    with pytest.raises(TargetError) as refused:
        described(tmp_path, RIGHT.replace(old, new, 1))
    assert said in str(refused.value)
    assert str(refused.value).startswith(f"{tmp_path / 'target.toml'}: ") or "no program" in str(refused.value)


def test_nodes_on_stdin_and_stdout_have_the_operations_of_their_workload(tmp_path: Path) -> None:
    text = f'protocol = "maelstrom"\ncommand = "{sys.executable} node.py {{data}}"\npersistent = true\n'
    assert described(tmp_path, text).can == {"get", "put", "cas", "pause", "kill"}
    assert described(tmp_path, text.replace("true", "false\nwipe = true")).can == {"get", "put", "cas", "pause", "wipe"}
    assert "checksum" in described(tmp_path, f"{text}checksum = true\n").can
    for more, said in (
        ('network = "none"', "network: not with protocol"),
        ('[get]\nrequest = "GET /"', "get: not with protocol"),
        ('[[events]]\npattern = "(?P<term>.)"\nfile = "stdout"', "events[0]: file: stdout has the messages"),
    ):
        with pytest.raises(TargetError, match=re.escape(said)):
            described(tmp_path, text + more)
    with pytest.raises(TargetError, match=re.escape("{port.client}: there are node, incarnation, data")):
        described(tmp_path, text.replace("{data}", "{port.client}"))


def test_a_file_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TargetError, match=r"none\.toml"):
        load(tmp_path / "none.toml")
    with pytest.raises(TargetError, match="Is a directory"):
        load(tmp_path)


def test_a_queue_is_declared_by_its_two_operations(tmp_path: Path) -> None:
    queue = """
[enqueue]
request = "POST /queue"
body = "{value}"

[dequeue]
request = "DELETE /queue"
value = "element"
empty = { status = 404 }
"""
    can = described(tmp_path, RIGHT + queue).can
    assert can == {"get", "put", "enqueue", "dequeue", "kill", "pause"}
    once = RIGHT.replace("persistent", 'delivery = "exactly_once"\npersistent') + queue
    assert described(tmp_path, once).can == can | {"exactly_once"}
    dequeue = described(tmp_path, once).dequeue
    assert dequeue is not None
    assert understood(dequeue, 404, {}, {"element": "not this"}, {}) == Outcome("ok", None)
    assert understood(dequeue, 200, {}, {"element": "a"}, {}) == Outcome("ok", "a")
    assert understood(dequeue, 500, {}, {"element": "a"}, {}) == NoAnswer(True, "outcome unknown (status 500)")
