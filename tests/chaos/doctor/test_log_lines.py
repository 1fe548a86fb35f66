"""Lines of logs that say who became leader: a right expression may convict, a wrong one never does."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest

from builders.commands import raft_chaos
from raft_chaos.chaos.run.live.network.netns.network import missing
from raft_chaos.chaos.targets.find import find
from raft_chaos.chaos.targets.log_lines import stamp_of
from raft_chaos.raft.state.timing import Timing

ELECTOR = Path(__file__).parents[1] / "targets" / "elector.py"
ETCD = Path(__file__).parents[3] / "examples" / "etcd.toml"
WINNER = r"became leader at term (?P<term>\d+)"
SHORT = ("--seed", "4", "--nodes", "3", "--duration", "5", "--warmup", "1.5", "--liveness", "1", "--rate", "40", "-q")
STATUS = """
[status]
request = "GET /status"
leads = { body = { leads = true } }
term = "term"
"""
OPERATIONS = """
[get]
request = "POST /executeCommand"
body = { command = { op = "get", key = "{key}" } }
ok = { status = 200, body = { ok = true } }
value = "result"

[put]
request = "POST /executeCommand"
body = { command = { op = "put", key = "{key}", value = "{value}" } }
ok = { status = 200, body = { ok = true } }
"""


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's folder for stamps, which is empty."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


def target(tmp_path: Path, pattern: str = WINNER, *, status: str = STATUS, option: str = "", more: str = "") -> str:
    """The file of a cluster that elects leaders and logs it."""
    file = tmp_path / "elector.toml"
    file.write_text(
        f'command = "{sys.executable} {ELECTOR} {{node}} --port {{port.client}} --data {{data}} {option}"\n'
        f'persistent = true\nnetwork = "none"\nports = ["client"]\n{status}\n'
        f'[[events]]\nevent = "leader_elected"\nfile = "stdout"\npattern = \'{pattern}\'\n{more}\n{OPERATIONS}'
    )
    return str(file)


def checked(name: str) -> tuple[int, str, str]:
    """(exit code, outcome and what was seen of the lines) of `target check`."""
    done = raft_chaos("target", "check", name, "--json")
    assert done.returncode in (0, 254), done.stderr
    (lines,) = [finding for finding in json.loads(done.stdout) if finding["what"].startswith("events")]
    return done.returncode, lines["outcome"], lines["seen"]


def ran(tmp_path: Path, name: str) -> tuple[str, str, str]:
    """The verdict of a short run, that of election_safety, and its reason."""
    done = raft_chaos("run", "--target", name, *SHORT, "--out", str(tmp_path / "out"), "--json")
    document = json.loads(done.stdout)
    run = Path(document["run_dir"])
    saved = json.loads((run / "run.json").read_text())
    (found,) = [verdict for verdict in saved["invariants"] if verdict["invariant"] == "election_safety"]
    return document["verdict"], found["outcome"], found["reason"]


@pytest.mark.live
@pytest.mark.slow
@pytest.mark.parametrize(
    ("pattern", "status"),
    [(WINNER, STATUS), (WINNER, ""), (r"says that (?P<leader>\w+) leads in term (?P<term>\d+)", STATUS)],
    ids=["with a status", "without one", "by the name of the leader"],
)
def test_a_right_expression_is_found_right(tmp_path: Path, pattern: str, status: str) -> None:
    name = target(tmp_path, pattern, status=status)
    code, outcome, seen = checked(name)
    assert (code, outcome) == (0, "ok"), seen
    assert stamp_of(find(Timing(), name=name)).is_file()
    verdict, elections, reason = ran(tmp_path, name)
    assert (verdict, elections) == ("valid", "valid") or "leader" in pattern, reason


@pytest.mark.live
@pytest.mark.slow
@pytest.mark.parametrize(
    ("pattern", "status", "said"),
    [
        (r"stands for election in term (?P<term>\d+)", "", "logged"),
        (r"in term (?P<term>\d+)", STATUS, "two leaders"),
        (r"follows \w+ in term (?P<term>\d+)", STATUS, ""),
        (r"n(?P<term>\d+) became leader at term", "", ""),
        (r"became king in term (?P<term>\d+)", STATUS, "no line of a log named a leader"),
        (r"(\w+ ?)+x(?P<term>\d+)", "", "was given up"),
    ],
    ids=["a candidate", "every node", "a follower", "another number", "nothing", "too slow"],
)
def test_a_wrong_expression_is_found_wrong_and_leaves_no_stamp(
    tmp_path: Path, cache: Path, pattern: str, status: str, said: str
) -> None:
    """With a status to compare it with, or without one."""
    code, outcome, seen = checked(target(tmp_path, pattern, status=status))
    assert (code, outcome) == (254, "wrong"), seen
    assert said in seen
    assert not cache.exists()


@pytest.mark.live
@pytest.mark.slow
def test_two_leaders_of_one_term_are_convicted_only_with_the_stamp(tmp_path: Path) -> None:
    name = target(tmp_path, option="--liar")
    verdict, elections, reason = ran(tmp_path, name)
    assert (verdict, elections) == ("unknown", "unknown")
    assert f"raft-chaos target check {name}" in reason
    stamp = stamp_of(find(Timing(), name=name))
    stamp.parent.mkdir(parents=True)
    stamp.touch()
    assert ran(tmp_path, name)[:2] == ("violated", "violated")
    assert checked(name)[1] == "wrong", "the check itself finds no fault with what the system did, but cannot tell"


@pytest.mark.live
@pytest.mark.slow
def test_a_stamp_counts_for_exactly_one_description(tmp_path: Path) -> None:
    stamps = {stamp_of(find(Timing(), name=target(tmp_path, pattern))) for pattern in (WINNER, f"{WINNER}$", WINNER)}
    assert len(stamps) == 2


@pytest.mark.live
@pytest.mark.slow
def test_the_winner_of_an_election_of_etcd_logs_it(tmp_path: Path) -> None:
    if shutil.which("etcd") is None:
        pytest.skip("etcd is not installed (Debian: etcd-server)")
    if (why := missing()) is not None:
        pytest.skip(why)
    code, outcome, seen = checked(str(ETCD))
    assert (code, outcome) == (0, "ok"), seen
