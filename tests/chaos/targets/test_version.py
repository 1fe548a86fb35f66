"""Which version of a system a run is about: what a target's file, a class or nothing says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from builders.waiting import eventually
from raft_chaos.chaos.run.settings import versions
from raft_chaos.chaos.targets import version
from raft_chaos.chaos.targets.version import version_of

REST = """
command = "true"
persistent = true
[get]
request = "GET /{key}"
value = "value"
[put]
request = "PUT /{key}"
"""


def described(folder: Path, says: str) -> str:
    """The name of a target's file whose command for the version runs this code."""
    file = folder / "system.toml"
    file.write_text(f"version = [{sys.executable!r}, '-c', {says!r}]\n{REST}")
    return str(file)


@pytest.mark.parametrize(
    ("says", "told"),
    [
        ("print('a server')\nprint('  v1.2 of it ')\nprint('built with 3')", "v1.2 of it"),
        ("import sys; sys.stderr.write('7.1')", "7.1"),
        ("print('no number')", ""),
        ("print('1.0'); raise SystemExit(3)", ""),
        ("print('9' * 1000)", "9" * 80),
        ("while True: print('1.0')", ""),
    ],
)
def test_a_target_s_file_has_a_command_for_it(tmp_path: Path, says: str, told: str) -> None:
    name = described(tmp_path, says)
    assert version_of(name) == told
    assert versions(name).get("target", "") == told


def test_a_class_says_it_as_a_text_or_by_a_function(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "somebodys.py").write_text(
        "class Base:\n    can = ('get', 'put')\n    def start(self, node): ...\n    async def invoke(self, op): ...\n"
        "class Text(Base):\n    version = '4.2'\n"
        "class Asked(Base):\n    @staticmethod\n    def version(): return '5.0'\n"
        "class Broken(Base):\n    @staticmethod\n    def version(): raise OSError('no such program')\n"
    )
    names = ("Text", "Asked", "Broken", "Base", "Nobody")
    assert [version_of(f"somebodys:{name}") for name in names] == ["4.2", "5.0", "", "", ""]


@pytest.mark.parametrize("name", [None, "stdio:python3 node.py", "nosuch.toml", "nosuch:Class"])
def test_nothing_says_it(name: str | None) -> None:
    assert version_of(name) == ""
    assert "target" not in versions(name)


def test_what_the_command_starts_is_ended_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A command that does not end: the name of a server by mistake, which also starts others."""
    monkeypatch.setattr(version, "SAYS_WITHIN_S", 1.0)
    told = tmp_path / "pids"
    code = f"import os, time; os.fork(); print(os.getpid(), file=open({str(told)!r}, 'a'), flush=True); time.sleep(99)"
    assert version_of(described(tmp_path, code)) == ""
    pids = [int(pid) for pid in told.read_text().split()]
    assert pids
    eventually("their end", lambda: not any(psutil.pid_exists(pid) for pid in pids))


@pytest.mark.slow
def test_it_ends_also_if_the_harness_is_killed_meanwhile(tmp_path: Path) -> None:
    told = tmp_path / "pid"
    code = f"import os, time; print(os.getpid(), file=open({str(told)!r}, 'a'), flush=True); time.sleep(99)"
    asking = (
        "from raft_chaos.chaos.targets import version\nversion.SAYS_WITHIN_S = 1.0\n"
        f"version.version_of({described(tmp_path, code)!r})"
    )
    with subprocess.Popen([sys.executable, "-c", asking]) as harness:
        pid = int(eventually("the command", lambda: told.exists() and told.read_text()))
        harness.kill()
    eventually("its end", lambda: not psutil.pid_exists(pid))
