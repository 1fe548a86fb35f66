"""Every command that rests on a run's files says that they have changed, and decides nothing."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

import pytest

from builders.commands import Command
from builders.runs import recorded_run, unsealed
from builders.schedules import TWO_LEADERS, short
from raft_chaos.invariants.rundir import RunDir


@pytest.fixture
def damaged(tmp_path: Path) -> RunDir:
    """A violated run with one line twice."""
    run = recorded_run(short(*TWO_LEADERS), tmp_path, "vote_not_persisted")
    lines = run.history.read_bytes().splitlines(keepends=True)
    run.history.write_bytes(b"".join([lines[0], *lines]))
    return run


@pytest.mark.parametrize("words", [["check"], ["explain"], ["shrink"], ["replay"], ["replay", "--as", "sim"]])
def test_the_run_is_unknown_and_the_file_is_named(words: list[str], damaged: RunDir, command: Command) -> None:
    code, told, said = command(words[0], damaged.path, *words[1:])
    assert code == 2
    assert "history.jsonl: has " in told + said
    assert not (damaged.path / "reproduction.json").exists()


def test_the_report_is_about_the_damage(damaged: RunDir, command: Command) -> None:
    code, told, _ = command("report", damaged.path)
    assert code == 0
    assert told.startswith("UNKNOWN (")
    assert "history.jsonl: has " in told and "VIOLATED" not in told


def test_a_trace_and_a_difference_say_that_they_are_of_damaged_files(
    damaged: RunDir, tmp_path: Path, command: Command
) -> None:
    said = f"raft-chaos: {damaged.path}: the evidence of this run is damaged: history.jsonl: has "
    code, told, notes = command("trace", damaged.path, "--limit", "1")
    assert (code, told.count("\n"), notes.startswith(said), notes.count("\n")) == (0, 1, True, 1)
    whole = recorded_run(short(*TWO_LEADERS), tmp_path / "whole", "vote_not_persisted").path
    for pair, status in (((whole, damaged.path), 1), ((damaged.path, damaged.path), 0)):
        code, _, notes = command("diff", *pair)
        assert code == status and notes.count(said) == list(pair).count(damaged.path)
    assert command("diff", whole, whole)[::2] == command("trace", whole)[::2] == (0, "")


def test_no_flipped_bit_of_run_json_changes_a_verdict(tmp_path: Path, command: Command) -> None:
    """A violated run becomes unknown, or its run.json cannot be read."""
    run = recorded_run(short(*TWO_LEADERS), tmp_path, "vote_not_persisted")
    assert command("check", run.path)[0] == 1
    raw = run.run_json.read_bytes()
    random = Random(1)
    fields = [raw.rindex(b'"sha256"'), raw.index(b'"evidence"'), raw.index(b'"finished"')]
    places = sorted(
        {*random.sample(range(len(raw)), 15), *(place + offset for place in fields for offset in range(0, 9, 2))}
    )
    for place in places:
        flipped = bytearray(raw)
        flipped[place] ^= 1 << random.randrange(7)
        run.run_json.write_bytes(flipped)
        try:
            same = json.loads(flipped) == json.loads(raw)
        except ValueError:
            same = False
        code, told, said = command("check", run.path)
        assert code == 1 if same else code in (2, 254), (place, bytes(flipped[place - 20 : place + 20]), told, said)
        assert code != 2 or "run.json: " in told


def test_a_run_json_of_an_earlier_version_is_judged_as_before(tmp_path: Path, command: Command) -> None:
    run = recorded_run(short(*TWO_LEADERS), tmp_path, "vote_not_persisted")
    content = json.loads(run.run_json.read_bytes())
    del content["sha256"]
    run.run_json.write_text(json.dumps(content))
    code, told, _ = command("check", run.path)
    assert code == 1 and "UNSEALED" not in told


@pytest.mark.parametrize("damage", [b"", b"no schedule\n", None], ids=["empty", "no JSON", "missing"])
def test_a_damaged_schedule_of_an_unsealed_run_makes_it_unknown(
    damage: bytes | None, tmp_path: Path, command: Command
) -> None:
    """What needs the schedule itself refuses."""
    run = unsealed(recorded_run(short(*TWO_LEADERS), tmp_path, "vote_not_persisted"))
    if damage is None:
        run.schedule.unlink()
    else:
        run.schedule.write_bytes(damage)
    code, told, _ = command("check", run.path)
    assert code == 2 and str(run.schedule) in told and "VIOLATED" not in told
    code, told, said = command("replay", run.path)
    assert code in (2, 254) and str(run.schedule) in told + said


def test_check_marks_a_run_without_a_seal(tmp_path: Path, command: Command) -> None:
    run = recorded_run(short(*TWO_LEADERS), tmp_path, "vote_not_persisted")
    assert "UNSEALED" not in command("check", run.path)[1]
    assert json.loads(command("check", run.path, "--json")[1])["sealed"] is True
    unsealed(run)
    code, told, _ = command("check", run.path)
    assert code == 1 and "UNSEALED: run.json does not list the files" in told
    assert json.loads(command("check", run.path, "--json")[1])["sealed"] is False
