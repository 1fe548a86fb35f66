"""Text files have an encoding of their own, not that of the machine, which may be ASCII (LC_ALL=POSIX)."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("api", "chaos", "invariants", "pytest_plugin", "raft", "reports")


def without_encoding(source: str) -> Iterator[int]:
    """The lines that read or write text in the machine's encoding."""
    for call in ast.walk(ast.parse(source)):
        if not isinstance(call, ast.Call) or any(keyword.arg == "encoding" for keyword in call.keywords):
            continue
        name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
        modes = [value.value for value in call.args if isinstance(value, ast.Constant) and isinstance(value.value, str)]
        if name in ("read_text", "write_text") or (
            name == "open" and any(mode in ("r", "w", "a", "x") for mode in modes)
        ):
            yield call.lineno


def test_what_counts() -> None:
    assert list(without_encoding('f.open("w")\nf.open("wb")\nf.write_text(t)\nopen(f, "a", encoding="utf-8")')) == [
        1,
        3,
    ]


def test_every_text_file_has_an_encoding() -> None:
    files = [file for package in PACKAGES for file in (ROOT / package).rglob("*.py")]
    assert len(files) > 100
    found = [f"{file.relative_to(ROOT)}:{line}" for file in files for line in without_encoding(file.read_text("utf-8"))]
    assert found == []
