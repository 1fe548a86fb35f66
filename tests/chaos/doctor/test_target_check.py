"""`raft-chaos target check`: a right description passes, and each usual mistake in one is found and named."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

from builders.commands import raft_chaos
from raft_chaos.chaos.doctor.control import control
from raft_chaos.invariants.history import Op

SERVER = Path(__file__).parents[1] / "targets" / "wrong_server.py"

RIGHT = f"""
command = "{sys.executable} {SERVER} --port {{port.client}} --mode shared --data {{data}}"
persistent = true
network = "none"
ports = ["client"]

[status]
request = "GET /status"
leads = {{ body = {{ role = "follower" }} }}  # all that this server ever says

[get]
request = "POST /executeCommand"
body = {{ command = {{ op = "get", key = "{{key}}" }} }}
ok = {{ status = 200, body = {{ ok = true }} }}
value = "result"

[put]
request = "POST /executeCommand"
body = {{ command = {{ op = "put", key = "{{key}}", value = "{{value}}" }} }}
ok = {{ status = 200, body = {{ ok = true }} }}

[cas]
request = "POST /executeCommand"
body = {{ command = {{ op = "cas", key = "{{key}}", value = "{{value}}", expected = "{{expected}}" }} }}
absent = {{ command = {{ op = "cas", key = "{{key}}", value = "{{value}}" }} }}
ok = {{ status = 200, body = {{ ok = true }} }}
fail = {{ status = 200 }}
"""


def checked(tmp_path: Path, text: str) -> tuple[int, dict[str, tuple[str, str]], str]:
    """(exit code, {what: (outcome, seen)}, all advice)."""
    file = tmp_path / "target.toml"
    file.write_text(text)
    done = raft_chaos("target", "check", str(file), "--nodes", "1", "--json")
    assert done.returncode in (0, 254), done.stderr
    assert done.stdout, done.stderr
    findings = json.loads(done.stdout)
    advice = " | ".join(finding["advice"] for finding in findings)
    return done.returncode, {finding["what"]: (finding["outcome"], finding["seen"]) for finding in findings}, advice


@pytest.mark.live
def test_a_right_description_passes_and_what_it_leaves_out_is_missing(tmp_path: Path) -> None:
    code, findings, _ = checked(tmp_path, RIGHT)
    assert code == 0, findings
    assert {what for what, (outcome, _) in findings.items() if outcome == "missing"} == {
        "append",
        "delete",
        "cut",
        "stop",
    }
    assert findings["kill and restart"][0] == findings["a wrong answer is convicted"][0] == "ok"


@pytest.mark.slow
@pytest.mark.live
def test_a_node_must_end_as_its_description_says(tmp_path: Path) -> None:
    """This server lets SIGTERM end it."""
    code, findings, advised = checked(tmp_path, f"{RIGHT}\n[stop]\n")
    assert (code, findings["stop and restart"]) == (254, ("wrong", "n1 ended with exit code -15"))
    assert "with which exit codes" in advised
    code, findings, _ = checked(tmp_path, f"{RIGHT}\n[stop]\nexit_codes = [-15]\n")
    assert (code, findings["stop and restart"][0]) == (0, "ok"), findings
    code, findings, _ = checked(tmp_path, f'{RIGHT}\n[stop]\nsignal = "SIGUSR1"\nwithin_s = 0.2\nexit_codes = [-10]\n')
    assert (code, findings["stop and restart"][0]) == (0, "ok"), findings


@pytest.mark.slow
@pytest.mark.live
@pytest.mark.parametrize(
    ("old", "new", "what", "advice"),
    [
        ('value = "result"', 'value = "reslut"', "put, then get", "look at `value` of get"),
        ("fail = { status = 200 }", "", "cas with a wrong value", "`fail` must say"),
        (
            "ok = { status = 200, body = { ok = true } }\nfail",
            "ok = { status = 200 }\nfail",
            "cas with a wrong value",
            "",
        ),
        ('role = "follower"', 'role = "primary"', "status: who leads", "exactly one node must lead"),
        ('value = "{value}"', 'value = "{key}"', "put, then get", ""),
    ],
)
def test_a_mistake_is_found_and_named(tmp_path: Path, old: str, new: str, what: str, advice: str) -> None:
    assert old in RIGHT
    code, findings, advised = checked(tmp_path, RIGHT.replace(old, new, 1))
    assert code == 254
    assert findings[what][0] == "wrong", findings
    assert advice in advised


@pytest.mark.slow
@pytest.mark.live
def test_what_only_follows_from_a_mistake_is_left_out_and_the_answer_is_shown(tmp_path: Path) -> None:
    file = tmp_path / "target.toml"
    file.write_text(RIGHT.replace('value = "result"', 'value = "reslut"'))
    done = raft_chaos("target", "check", str(file), "--nodes", "1", "--json")
    findings = {finding["what"]: finding for finding in json.loads(done.stdout)}
    assert [what for what, finding in findings.items() if finding["outcome"] == "wrong"] == ["put, then get"]
    assert findings["put, then get"]["answer"].startswith("status 200, {")
    assert "first value" in findings["put, then get"]["answer"]
    skipped = {what for what, finding in findings.items() if finding["outcome"] == "skipped"}
    assert skipped >= {"cas with the right value", "kill and restart", "a wrong answer is convicted"}
    assert findings["kill and restart"]["seen"] == "it rests on 'put, then get', which is wrong"


def test_a_file_that_cannot_be_read_is_named_as_it_was_given(tmp_path: Path) -> None:
    file = tmp_path / "target.toml"
    file.write_text(RIGHT.replace("persistent", "persistant"))
    for arguments in ([str(file)], [str(tmp_path / "none.toml")], ["no.module:Class"]):
        done = raft_chaos("target", "check", *arguments)
        assert done.returncode == 254
        assert done.stderr.startswith("raft-chaos: ") and arguments[0] in done.stderr and "--target" not in done.stderr


@pytest.mark.slow
@pytest.mark.live
def test_data_that_does_not_survive_a_kill_is_found(tmp_path: Path) -> None:
    code, findings, advised = checked(tmp_path, RIGHT.replace("--mode shared", "--mode memory"))
    assert code == 254
    assert findings["kill and restart"] == ("wrong", "after all nodes were killed the old key was None, not 'old'")
    assert "persistent = false" in advised


@pytest.mark.live
def test_a_program_that_ends_is_named_with_its_last_words(tmp_path: Path) -> None:
    command = f"""command = ["{sys.executable}", "-c", "import sys; sys.exit('no config')"]"""
    code, findings, _ = checked(tmp_path, re.sub("command = .*", command, RIGHT, count=1))
    assert code == 254
    assert list(findings) == ["start"] and "no config" in findings["start"][1]


def test_a_description_whose_reads_find_nothing_fails_the_control() -> None:
    def op(type: str, t_us: int, value: str | None = None) -> Op:
        return Op(type=type, process=0, client="c", op="c/1", f="get", key="k", t_us=t_us, value=value)  # type: ignore[arg-type]

    assert control([op("invoke", 1), op("ok", 2)], frozenset({"get"})).outcome == "wrong"


BASKET = Path(__file__).parents[3] / "examples" / "basket.py"
QUEUE = f"""
command = "{sys.executable} {BASKET} {{node}} {{port.client}} {{port.peer}} {{peers}} {{data}}"
persistent = true
network = "none"
peers = "{{node}}={{host}}:{{port.peer}}"

[enqueue]
request = "POST /put"
body = {{ value = "{{value}}" }}

[dequeue]
request = "POST /take"
body = {{ value = "" }}
ok = {{ status = 200 }}
value = "value"
"""


@pytest.mark.slow
@pytest.mark.live
def test_a_queue_is_examined_by_its_own_operations(tmp_path: Path) -> None:
    code, findings, _ = checked(tmp_path, QUEUE)
    assert code == 0, findings
    assert findings["dequeue of an empty queue"] == ("ok", "nothing came out")
    assert findings["keys"] == ("missing", "not declared, so linearizability is not judged")
    assert findings["kill and restart"][0] == findings["a wrong answer is convicted"][0] == "ok"


@pytest.mark.slow
@pytest.mark.live
@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ('value = "value"', 'value = "velue"', "enqueue, then dequeue"),
        ("POST /take", "POST /put", "enqueue, then dequeue"),
        (" {data}", " {data} --lazy", "kill and restart"),
    ],
)
def test_a_mistake_in_a_queue_is_found(tmp_path: Path, old: str, new: str, what: str) -> None:
    assert old in QUEUE
    code, findings, _ = checked(tmp_path, QUEUE.replace(old, new, 1))
    assert code == 254
    assert findings[what][0] == "wrong", findings


@pytest.mark.slow
@pytest.mark.live
def test_nodes_that_did_not_find_each_other_are_no_system(tmp_path: Path) -> None:
    """Each believes to be the first one, and serves alone."""
    (tmp_path / "target.toml").write_text(QUEUE.replace("{peers}", "n2=nobody:1"))
    done = raft_chaos("target", "check", str(tmp_path / "target.toml"), "--nodes", "2", "--json")
    findings = {finding["what"]: finding for finding in json.loads(done.stdout)}
    assert findings["one system"]["seen"] == "what was written at n1 was not found at n2"


@pytest.mark.live
def test_a_file_whose_name_has_blanks_is_no_command_line(tmp_path: Path) -> None:
    folder = tmp_path / "my project"
    folder.mkdir()
    command = f"""command = ["{sys.executable}", "-c", "import sys; sys.exit('no config')"]"""
    code, findings, _ = checked(folder, re.sub("command = .*", command, RIGHT, count=1))
    assert code == 254 and "no config" in findings["start"][1]
