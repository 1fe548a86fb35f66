"""The values of options: the same as typer has by way of pydantic, without it."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

import pytest
import typer
from pydantic import TypeAdapter, ValidationError

from raft_chaos.chaos.cli.commands import COMMANDS
from raft_chaos.chaos.cli.lazy import load
from raft_chaos.chaos.cli.values import take_over


def value_of(annotation: Any, given: Any, least: float | None = None, most: float | None = None) -> Any:
    """What an option of this type has for this value. Raises typer.BadParameter."""
    descriptor = SimpleNamespace(annotation=annotation, parameter_info=SimpleNamespace(min=least, max=most))
    option: Any = SimpleNamespace(name="option", type_descriptor=descriptor, required=False, callback=None)
    take_over([option])
    return option.process_value(None, given)


NUMBERS = [
    *("5", " 5 ", "+5", "-5", "1_000", "5.0", "5.00", "5.", "1.5", "1e3", "\u0663", "0x10", "", "  ", "1__0", "_1"),
    *("9" * 4301, "05", "-0", "5\n", "+ 5", "1 000", "1,5", ".5", "1_0.5", "1e400", 5, 5.0, 2.5),
]


@pytest.mark.parametrize("kind", [int, float])
@pytest.mark.parametrize("given", NUMBERS, ids=lambda given: repr(given)[:12])
def test_numbers_are_read_as_pydantic_reads_them(kind: type[int] | type[float], given: Any) -> None:
    if kind is int and given == 2.5:
        return  # no file and no default gives an option of whole numbers a float
    try:
        expected = TypeAdapter(kind).validate_python(given)
    except ValidationError:
        with pytest.raises(typer.BadParameter, match=r"expected a (whole )?number"):
            value_of(kind, given)
    else:
        found = value_of(kind, given)
        assert (found, type(found)) == (expected, kind)


@pytest.mark.parametrize(
    ("kind", "given", "said"),
    [
        (int, "0", "expected at least 1, got '0'"),
        (int, "11", "expected at most 10, got '11'"),
        (float, "nan", "expected at least 1, got 'nan'"),
        (int, "9" * 4301, f"expected a whole number of fewer digits, got '{'9' * 4301}'"),
        (Literal["a", "b"], "c", "expected one of a, b, got 'c'"),
        (Path, "a\0b", "expected the name of a file or folder, got 'a\\x00b'"),
    ],
)
def test_a_value_that_cannot_be_used_is_refused(kind: Any, given: str, said: str) -> None:
    with pytest.raises(typer.BadParameter) as refused:
        value_of(kind, given, 1, 10)
    assert refused.value.message == said


def test_other_values_stay_as_they_are() -> None:
    assert value_of(str, "a") == "a" and value_of(str, None) is None
    assert value_of(list[str], ["a", "b"]) == ["a", "b"] and value_of(list[str], None) == ()
    assert value_of(Path, "a/b") == Path("a/b") and value_of(Path, Path("a")) == Path("a")
    assert value_of(list[Path], ["a"]) == [Path("a")]
    assert value_of(bool, True) is True and value_of(bool, None) is None
    assert value_of(Literal["a", "b"], "b") == "b"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.touch(mode=0)
    with pytest.raises(typer.BadParameter, match="is not readable"):
        value_of(Path, str(file))


@pytest.mark.parametrize("one", COMMANDS, ids=lambda one: one.name)
def test_all_types_of_options_are_known(one: Any) -> None:
    """A command with another one cannot be made."""
    load(one)
