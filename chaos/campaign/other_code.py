"""The file of the same campaign by other code, which `raft-chaos run` names so that its results are not missed.

The code is part of a campaign's key (`file`), so a campaign whose code changed begins again, in another file.
"""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import msgspec

from raft_chaos.chaos.campaign.file import CampaignHeader
from raft_chaos.invariants.events import MALFORMED

MOST_BYTES = 1 << 20
"""The longest first line that is read."""

_decode = msgspec.json.Decoder(CampaignHeader).decode


def by_other_code(out: Path, header: CampaignHeader) -> tuple[Path, CampaignHeader] | None:
    """The latest file in `out` with the same seeds and settings, but of other code or another Python; None if there is
    none."""
    found = [
        (file.stat().st_mtime_ns, file, other)
        for file in sorted(out.glob("campaign-*.jsonl"))
        if (other := _header_of(file)) is not None
        and (other.source, other.python) != (header.source, header.python)
        and (other.world, other.seeds, other.compared) == (header.world, header.seeds, header.compared)
        and _agree(_decisive(other), _decisive(header))
    ]
    return max(found, key=lambda one: one[0])[1:] if found else None


def _header_of(file: Path) -> CampaignHeader | None:
    try:
        if not stat.S_ISREG(file.stat().st_mode):
            return None
        with file.open("rb") as opened:
            return _decode(opened.readline(MOST_BYTES))
    except (OSError, *MALFORMED):
        return None  # it is no campaign's file


def _decisive(header: CampaignHeader) -> dict[str, Any]:
    """The settings as a file has them, without the words of the command line that repeat them."""
    settings: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(header.settings))
    settings.pop("options", None)
    return settings


def _agree(one: Any, other: Any) -> bool:
    """Whether two settings are the same, as far as both versions have them."""
    if isinstance(one, dict) and isinstance(other, dict):
        return all(_agree(one[name], other[name]) for name in one.keys() & other.keys())
    return bool(one == other)
