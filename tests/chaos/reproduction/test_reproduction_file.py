"""The reproduction file: it is small, equal after saving and loading, and refused after any change."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from builders.executions import ELECTION, WRITE, execution
from builders.reproductions import STUCK, VOTE, reproduction
from raft_chaos.chaos.execution.steps import Crash, Start, Timeout
from raft_chaos.chaos.reproduction.file import INVARIANTS, Expected, Reproduction, ReproductionError, load, parse, save
from raft_chaos.chaos.reproduction.reproduce import outcome_of, reproduce
from raft_chaos.invariants.judge import Judge
from raft_chaos.invariants.verdict import Verdict

Change = Callable[[Any], None]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    save(reproduction(), tmp_path / "one.json")
    return tmp_path / "one.json"


def refused(file: Path, *, edited: bool = False) -> str:
    """The reason, without the file's name, which comes first."""
    with pytest.raises(ReproductionError) as error:
        load(file, edited=edited)
    said = str(error.value)
    assert said.startswith(f"{file}: ") and "\n" not in said
    return said.removeprefix(f"{file}: ")


def changed(file: Path, change: Change) -> None:
    document = json.loads(file.read_text())
    change(document)
    file.write_text(json.dumps(document))


# ---- as it was made ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("mutant", "invariant"), [VOTE, STUCK])
def test_a_file_is_read_as_it_was_written(mutant: str, invariant: str, tmp_path: Path) -> None:
    made = reproduction(mutant, invariant)
    save(made, tmp_path / "one.json")
    read = load(tmp_path / "one.json")
    assert len(read.sha256) == 64
    assert replace(read, sha256="", expected=made.expected) == made
    assert read.expected.trace_sha256 == made.expected.trace_sha256
    assert (tmp_path / "one.json").stat().st_size < 10_000
    assert [one.name for one in tmp_path.iterdir()] == ["one.json"]
    save(read, tmp_path / "two.json")
    assert (tmp_path / "two.json").read_bytes() == (tmp_path / "one.json").read_bytes()


def test_a_step_is_a_line(file: Path) -> None:
    lines = [line.strip().rstrip(",") for line in file.read_text().splitlines()]
    made = reproduction().execution
    assert made is not None
    assert [line for line in lines if line.startswith('{"do":')] == [
        json.dumps(step, separators=(",", ":")) for step in json.loads(file.read_text())["execution"]["steps"]
    ]
    assert len([line for line in lines if line.startswith('{"do":')]) == len(made.steps)


def test_the_layout_of_a_file_does_not_matter(file: Path) -> None:
    made = load(file)
    file.write_text(json.dumps(dict(reversed(json.loads(file.read_text()).items())), indent=4))
    assert load(file) == made


def test_the_old_file_stays_if_the_new_one_cannot_be_written(file: Path) -> None:
    before = file.read_bytes()
    file.with_name("one.json.new").mkdir()
    with pytest.raises(OSError, match=r"one\.json\.new"):
        save(replace(reproduction(), mutant=None), file)
    assert file.read_bytes() == before


# ---- damage ------------------------------------------------------------------------------------------------------


def test_a_file_that_was_cut_short_anywhere_is_refused(file: Path) -> None:
    whole = file.read_bytes()
    for length in range(len(whole) - 1):  # the last byte is the end of the line
        for edited in (False, True):
            with pytest.raises(ReproductionError, match=r"^one\.json: "):
                parse(whole[:length], Path("one.json"), edited=edited)


def test_a_flipped_bit_is_refused_or_changes_nothing(file: Path) -> None:
    """Some bits do not matter: those of blanks, and of the name of a field whose value is the one that it has without
    its name."""
    made, whole = load(file), file.read_bytes()
    named = {place for found in re.finditer(rb'"\w+":\s*|\s+', whole) for place in range(*found.span())}
    for place in range(len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << (place % 8)
        try:
            assert parse(bytes(damaged), file) == made
            assert place in named
        except ReproductionError as error:
            assert str(error).startswith(f"{file}: ")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "Input data was truncated"),
        (b"\n", "Input data was truncated"),
        (b"null", "Expected `object`, got `null`"),
        (b"[]", "Expected `object`, got `array`"),
        (b"{}", 'not a reproduction; expected an object with "kind": "reproduction"'),
        (b'{"kind": "schedule", "schema": 1}', "not a reproduction; expected an object"),
        (b'{"kind": 1}', "Expected `str`, got `int` - at `$.kind`"),
        (b'{"kind": "reproduction"}', "schema: expected 1 to 1, got 0"),
        (b'{"kind": "reproduction", "schema": 2, "what": 1}', "schema 2 is newer than 1, the newest that this version"),
        (b'{"kind": "reproduction", "schema": 1}', "Object missing required field `expected`"),
        (b"\xff\xfe{}", "JSON is malformed"),
        (b'{"kind": "reproduction\xff"}', "can't decode byte 0xff"),
        (b'{"kind": "reproduction", "x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", ""),
        (b"\x00" * 100, "JSON is malformed"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_file_that_is_not_a_reproduction_is_refused(content: bytes, said: str, file: Path) -> None:
    file.write_bytes(content)
    assert said in refused(file)
    assert said in refused(file, edited=True)


def test_files_that_cannot_be_read_are_errors(tmp_path: Path, file: Path) -> None:
    assert refused(tmp_path / "none.json") == "cannot be read (No such file or directory)"
    assert refused(tmp_path) == "cannot be read (Is a directory)"
    assert refused(file / "below") == "cannot be read (Not a directory)"
    if os.geteuid() != 0:  # who is root may read anything
        file.chmod(0)
        assert refused(file) == "cannot be read (Permission denied)"


# ---- changes -----------------------------------------------------------------------------------------------------


def paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The way to each value in the document."""
    items: list[tuple[Any, Any]] = []
    if isinstance(value, dict):
        items = list(value.items())
    elif isinstance(value, list):
        items = list(enumerate(value))
    return [path] * bool(path) + [one for key, inner in items for one in paths(inner, (*path, key))]


def parent(document: Any, path: tuple[Any, ...]) -> Any:
    for key in path[:-1]:
        document = document[key]
    return document


def test_removed_or_changed_fields_are_refused(file: Path) -> None:
    """What may go are values that would be the same without standing there, so the reproduction is the same, too."""
    whole, made = file.read_text(), load(file)
    document = json.loads(whole)
    tried = 0
    for path in paths(document):
        if path[:3] == ("expected", "violation", "witness") and len(path) > 4:
            continue  # all values of one witness are alike
        here, last = parent(document, path), path[-1]
        value = here[last]
        for other in (None, -1, 1.5, "x", [], 10**30):
            if other != value:
                here[last] = other
                with pytest.raises(ReproductionError):
                    parse(json.dumps(document).encode(), file)
                tried += 1
        if isinstance(here, dict):
            del here[last]
            try:
                assert parse(json.dumps(document).encode(), file) == made, path
            except ReproductionError as error:
                assert str(error).startswith(f"{file}: ")
        here[last] = value
    assert tried > 500


@pytest.mark.parametrize(
    "where", [(), ("expected",), ("origin",), ("execution",), ("execution", "steps", 0), ("scenario",)]
)
def test_added_fields_are_refused(where: tuple[Any, ...], file: Path) -> None:
    changed(file, lambda document: parent(document, (*where, "more")).update(more=1))
    assert "unknown field `more`" in refused(file)
    assert "unknown field `more`" in refused(file, edited=True)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda one: replace(one, mutant="no_such"), "mutant: there is no 'no_such' in this version; there are vote_"),
        (
            lambda one: replace(one, execution=None, scenario=None),
            "has neither execution nor scenario; expected at least",
        ),
        (lambda one: of_invariant(one, "no_such"), "expected.violation.invariant: there is no 'no_such' in this ver"),
        (lambda one: of_steps(one), "steps: expected at least one start step; without it nothing is judged"),
        (
            lambda one: of_steps(one, Timeout("n1")),
            "steps: expected at least one start step; without it nothing is judged",
        ),
        (lambda one: of_steps(one, Start("n1"), Crash("n1", -1)), "step 1 (crash): keep_bytes: expected 0 or more, "),
        (lambda one: of_steps(one, Start("/tmp")), "step 0 (start): node '/tmp' is unknown; expected one of n1, n2"),
        (
            lambda one: replace(one, execution=replace(one.execution, nodes=["../n1"])),
            "nodes: '../n1' is not a valid name; expected letters, digits, - and _",
        ),
        (
            lambda one: replace(one, scenario=replace(one.scenario, schedule=without_nodes(one))),
            "nodes: expected at least one name, each only once, got []",
        ),
    ],
)
def test_a_file_with_a_correct_checksum_is_validated_too(
    change: Callable[[Reproduction], Reproduction], said: str, file: Path
) -> None:
    save(change(reproduction()), file)
    assert refused(file).startswith(said)
    assert refused(file, edited=True).startswith(said)


def of_invariant(one: Reproduction, invariant: str) -> Reproduction:
    violation = replace(one.expected.violation, invariant=invariant)
    return replace(one, expected=Expected(violation=violation, trace_sha256=one.expected.trace_sha256))


def of_steps(one: Reproduction, *steps: Any) -> Reproduction:
    return replace(one, execution=execution(steps))


def without_nodes(one: Reproduction) -> Any:
    assert one.scenario is not None
    return replace(one.scenario.schedule, header=replace(one.scenario.schedule.header, nodes=[]))


def test_invalid_times_of_nodes_are_refused(file: Path) -> None:
    changed(file, lambda document: document["execution"]["timing"].update(heartbeat_us=10**9))
    assert "the heartbeat interval (1000000000 µs) must be positive and shorter" in refused(file, edited=True)


# ---- edited on purpose -------------------------------------------------------------------------------------------


def test_an_edited_file_is_used_only_with_the_option_edited(file: Path) -> None:
    def edit(document: Any) -> None:
        document["execution"]["steps"].append({"do": "start", "node": "n2"})

    changed(file, edit)
    assert refused(file) == (
        "was changed after it was made: its checksum does not match. "
        "Get the file again, or give --edited to use it as it is"
    )
    edited = load(file, edited=True)
    assert edited.execution is not None and edited.execution.steps[-1] == Start("n2")
    save(edited, file)
    assert load(file).execution == edited.execution, "once it is saved it is as it was made"


def test_an_edited_expectation_does_not_give_a_wrong_outcome(file: Path) -> None:
    """It reports violations even if the file expects others, and does not say that an unobserved invariant holds."""
    other = reproduce(of_invariant(reproduction(), "log_matching"), VOTE[0])
    assert (other.outcome, [v.invariant for v in other.violations]) == ("violated", ["one_vote_per_term"])
    assert reproduce(of_invariant(reproduction(), "recovery"), None).outcome == "unknown"
    assert reproduce(reproduction(), None).outcome == "holds"


def test_recovery_must_be_observed_and_safety_must_be_violated() -> None:
    verdicts = [Verdict("election_safety", "unknown", 0), Verdict("recovery", "unknown", 0)]
    assert outcome_of(verdicts, "election_safety") == "holds"
    assert outcome_of(verdicts, "recovery") == "unknown"
    verdicts[1] = Verdict("recovery", "violated", 1)
    assert outcome_of(verdicts, "recovery") == "reproduced"
    assert outcome_of(verdicts, "election_safety") == "violated"


def test_the_invariants_that_a_file_may_expect_are_those_that_are_judged() -> None:
    every = Judge(can=("get", "enqueue", "dequeue")).checkers
    assert [checker.invariant for checker in every] == list(INVARIANTS)


def test_steps_that_another_core_cannot_do_are_skipped() -> None:
    one = replace(reproduction(), execution=execution((*ELECTION[:4], *ELECTION[5:], *WRITE)), mutant=None)
    done = reproduce(one, None)
    assert (done.outcome, done.same_trace, done.skipped[0]) == ("holds", False, 4)
