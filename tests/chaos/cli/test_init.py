"""`raft-chaos init`: what it writes is a target, a test and a workflow, and nothing that exists is changed."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

from builders.commands import Command
from raft_chaos.chaos.targets.description import load


def test_it_writes_what_a_project_needs_and_a_target_that_can_be_read(tmp_path: Path, command: Command) -> None:
    code, stdout, stderr = command("init", str(tmp_path))
    assert code == 0 and stdout.startswith("Next: ") and stderr.count("wrote ") == 3
    file = tmp_path / "chaos.toml"
    file.write_text(file.read_text().replace("./my-server", sys.executable))
    assert load(file).can == {"get", "put", "kill", "pause"}
    ast.parse((tmp_path / "tests" / "test_chaos.py").read_text())
    workflow = (tmp_path / ".github" / "workflows" / "chaos.yml").read_text()
    assert "TARGET: chaos.toml" in workflow and "raft-chaos target check" in workflow


def test_its_comments_are_right_too(tmp_path: Path, command: Command) -> None:
    """Each line that only needs its # taken away is valid."""
    command("init", str(tmp_path))
    file = tmp_path / "chaos.toml"
    lines = file.read_text().replace("./my-server", sys.executable).splitlines()
    file.write_text(
        "\n".join(line.removeprefix("# ") if " = " in line or line.startswith("# [") else line for line in lines)
    )
    assert load(file).can == {"get", "put", "cas", "kill", "pause", "stop", "heartbeats", "leader", "term", "checksum"}


def test_it_changes_no_file_that_exists(tmp_path: Path, command: Command) -> None:
    (tmp_path / "chaos.toml").write_text("mine")
    code, _, stderr = command("init", str(tmp_path))
    assert code == 0 and "kept" in stderr
    assert (tmp_path / "chaos.toml").read_text() == "mine"


def test_a_folder_that_is_none_is_refused(tmp_path: Path, command: Command) -> None:
    code, _, stderr = command("init", str(tmp_path / "nowhere"))
    assert code == 254 and "is no folder" in stderr
