"""The plotting library in a page: made once, kept in the user's cache folder, never taken from a damaged file."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from raft_chaos.reports.html import library


@pytest.fixture(autouse=True)
def made(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[list[int]]:
    """How often the bundle was made; a short text stands for it."""
    times: list[int] = []

    def bundle() -> str:
        times.append(1)
        return "window.vegaEmbed = 1;"

    monkeypatch.setattr(library, "_bundle", bundle)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    library.library.cache_clear()
    yield times
    library.library.cache_clear()


def again() -> str:
    """As another process would get it."""
    library.library.cache_clear()
    return library.library()


def unpacked(text: str) -> str:
    return zlib.decompress(base64.b64decode(text)).decode()


def test_it_is_made_once_and_then_read(made: list[int], tmp_path: Path) -> None:
    assert unpacked(again()) == unpacked(again()) == "window.vegaEmbed = 1;"
    assert made == [1]
    assert [file.name.partition("-")[0] for file in (tmp_path / "raft-chaos").iterdir()] == ["vega"]


@pytest.mark.parametrize("damage", [b"", b"\xff", b"two\nlines\nmore", b"0000\nabc"])
def test_a_damaged_file_is_made_again(damage: bytes, made: list[int], tmp_path: Path) -> None:
    again()
    file = next((tmp_path / "raft-chaos").iterdir())
    file.write_bytes(damage)
    assert unpacked(again()) == "window.vegaEmbed = 1;"
    assert unpacked(again()) == "window.vegaEmbed = 1;"
    assert made == [1, 1]


def test_a_cache_that_cannot_be_written_costs_only_time(made: list[int], tmp_path: Path) -> None:
    (tmp_path / "raft-chaos").write_text("a file where the folder should be")
    assert unpacked(again()) == unpacked(again()) == "window.vegaEmbed = 1;"
    assert made == [1, 1]


def test_a_user_without_a_home_gets_it_made_each_time(made: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    def home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", home)
    assert unpacked(again()) == unpacked(again()) == "window.vegaEmbed = 1;"
    assert made == [1, 1]
