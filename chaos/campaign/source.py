"""A hash of the source code: results of other code, or of an edited tree, are not continued."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

_PACKAGES = ("raft", "chaos", "invariants")


@cache
def source_digest() -> str:
    """A hash of every module of the packages that decide what a run does and how it is judged.

    The first call computes it: this process does not run later changes.
    """
    return digest_of(Path(__file__).parents[2])


def digest_of(root: Path) -> str:
    """The hash of those packages in the folder `root`. Raises RuntimeError if one of them has no module there, since a
    hash without it would not distinguish campaigns of different code."""
    digest = hashlib.sha256()
    for package in _PACKAGES:
        files = sorted((root / package).rglob("*.py"))
        if not files:
            raise RuntimeError(
                f"{root / package}: expected the modules of raft_chaos.{package}, got none; install it again"
            )
        for file in files:
            content = file.read_bytes()
            digest.update(f"{file.relative_to(root)} {len(content)}\n".encode() + content)
    return digest.hexdigest()[:12]
