"""The hash of the code that a campaign runs: it covers every package that decides a run."""

from __future__ import annotations

import shutil
from importlib import import_module
from pathlib import Path

import pytest

from raft_chaos.chaos.campaign.source import digest_of, source_digest

PACKAGES = ("raft", "chaos", "invariants")


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the packages as they are imported."""
    for package in PACKAGES:
        (folder,) = import_module(f"raft_chaos.{package}").__path__
        shutil.copytree(folder, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def test_it_is_the_hash_of_the_packages_that_are_imported(copy: Path) -> None:
    assert source_digest() == digest_of(copy)


@pytest.mark.parametrize("package", PACKAGES)
def test_one_changed_byte_of_each_package_changes_it(package: str, copy: Path) -> None:
    file = max((copy / package).rglob("*.py"), key=lambda file: len(file.parts))
    before, content = digest_of(copy), bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    assert digest_of(copy) != before


def test_renaming_a_module_changes_it(copy: Path) -> None:
    before = digest_of(copy)
    (copy / "raft" / "core" / "core.py").rename(copy / "raft" / "core" / "other.py")
    assert digest_of(copy) != before


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_without_modules_is_refused(package: str, copy: Path) -> None:
    shutil.rmtree(copy / package)
    with pytest.raises(RuntimeError, match=f"expected the modules of raft_chaos.{package}, got none; install it again"):
        digest_of(copy)
