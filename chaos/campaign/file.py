"""The file of a campaign, `campaign-<key>.jsonl`: a line for each seed as it ends, so a killed campaign can continue.

    {"kind":"campaign",...}   the first line: the key, and the data of which it is a hash
    {"kind":"seed",...}       a SeedResult; the lines are in the order in which the seeds ended
    {"kind":"failed",...}     the harness failed on this seed: there is no result, and the next call runs it again
    {"kind":"end",...}        the last line, once every seed has a result

The key is a hash of everything that decides the results: the settings, the seeds, the source code, and whether each
seed is compared with our Raft without the mistake. The commit is information only, since an edited tree has the same
commit. Opening the same campaign again finds the same file and continues there. The file of a complete campaign is kept
under another name, and the campaign starts again.
"""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

from raft_chaos.chaos.campaign.line_file import LineFile, whole_lines
from raft_chaos.chaos.campaign.seed_result import SeedResult
from raft_chaos.chaos.campaign.source import source_digest
from raft_chaos.invariants.events import MALFORMED

if TYPE_CHECKING:
    from raft_chaos.chaos.run.settings import Settings

SCHEMA = 1


class CampaignError(Exception):
    """A campaign's file cannot be used. The message says which file, what is wrong, and what to do."""


class CampaignHeader(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="campaign"):
    """The first line. `source` is the hash of the code that judges and is judged, `seeds` as in "1..200,300".

    `compared` says whether each seed has the numbers without the mistake as well (`seed.run_seed_compared`).
    """

    schema: int = SCHEMA
    key: str
    world: str
    seeds: str
    source: str
    commit: str | None
    python: str
    settings: dict[str, Any]
    compared: bool = False


class SeedFailed(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="failed"):
    """A seed on which the harness itself failed: the error, its place in the code, and the command that repeats it."""

    seed: int
    error: str
    traceback: str
    repro: str


class CampaignEnd(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="end"):
    """Every seed has a result. `seeds` is their number."""

    seeds: int


CampaignLine: TypeAlias = CampaignHeader | SeedResult | SeedFailed | CampaignEnd

_decode = decode_line = msgspec.json.Decoder(CampaignLine).decode
_encode = msgspec.json.Encoder().encode


def describe_campaign(settings: Settings, seeds: Sequence[int], *, compared: bool = False) -> CampaignHeader:
    """The header of this campaign, with its key."""
    from raft_chaos.chaos.run.settings import commit  # it brings the schedules, and who reads a campaign makes none

    words = msgspec.to_builtins(settings)
    ranges, source, python = seed_ranges(seeds), source_digest(), platform.python_version()
    return CampaignHeader(
        key=campaign_key(words, ranges, source, python, compared=compared),
        world=settings.world,
        seeds=ranges,
        source=source,
        commit=commit(),
        python=python,
        settings=words,
        compared=compared,
    )


def campaign_key(settings: dict[str, Any], seeds: str, source: str, python: str, *, compared: bool) -> str:
    """The key of a campaign, of the fields of its header."""
    # The options repeat the settings, as words for the command that repeats a run.
    decides = settings | {"options": []}
    return hashlib.sha256(_encode([SCHEMA, decides, seeds, source, python, compared])).hexdigest()[:12]


def seed_ranges(seeds: Sequence[int]) -> str:
    """The seeds as text in their order, consecutive ones as a range: "1..200,300"."""
    ranges: list[list[int]] = []
    for seed in seeds:
        if ranges and seed == ranges[-1][1] + 1:
            ranges[-1][1] = seed
        else:
            ranges.append([seed, seed])
    return ",".join(f"{first}..{last}" if first < last else str(first) for first, last in ranges)


def seeds_of(header: CampaignHeader) -> list[tuple[int, int]]:
    """The first and the last of each range of its seeds, "1..200,300"; none if they cannot be read."""
    try:
        ends = [[int(end) for end in part.split("..")] for part in header.seeds.split(",")]
    except ValueError:
        return []
    return [(end[0], end[-1]) for end in ends]


def read_campaign(path: Path) -> tuple[CampaignHeader, list[SeedResult], list[SeedFailed]]:
    """A campaign's file as it is now, maybe of a campaign that still goes on: the last result of each seed, and the
    failures of seeds that have none. A torn last line is left out. Raises CampaignError if it cannot be read."""
    try:
        lines = whole_lines(path, _decode)
    except (OSError, *MALFORMED) as error:
        raise CampaignError(f"{path}: cannot be read as a campaign ({error})") from None
    if not lines or not isinstance(lines[0], CampaignHeader):
        raise CampaignError(f"{path}: expected the header of a campaign in its first line")
    results = {line.seed: line for line in lines if isinstance(line, SeedResult)}
    failed = {line.seed: line for line in lines if isinstance(line, SeedFailed) and line.seed not in results}
    return lines[0], list(results.values()), list(failed.values())


class CampaignFile:
    """The file, open and locked. Use as a context manager.

    `done` are the seeds that had a result when it was opened, `violated` how many of them were violated. `kept` is the
    new place of the file of a complete campaign, None if there was none.
    """

    def __init__(self, out: Path, header: CampaignHeader) -> None:
        """Raises CampaignError if it is damaged or another process has it open, OSError if it cannot be made."""
        self.path = out / f"campaign-{header.key}.jsonl"
        self.done: set[int] = set()
        self.violated = 0
        self.kept: Path | None = None
        self._complete = False
        out.mkdir(parents=True, exist_ok=True)
        self._lines = self._opened()
        try:
            if self._complete:
                self._begin_anew()
            if self._lines.is_new:
                self.append(header)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> CampaignFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._lines.close()

    def append(self, line: CampaignLine) -> None:
        self._lines.append(line)

    def earlier(self) -> Iterator[SeedResult]:
        """The results that the file had when it was opened, in order, one at a time: there may be millions."""
        return (line for line in self._lines.earlier() if isinstance(line, SeedResult))

    def _opened(self) -> LineFile[CampaignLine]:
        return LineFile(self.path, _decode, "campaign", CampaignError, self._observe)

    def _observe(self, number: int, line: CampaignLine) -> None:
        if (number == 1) != isinstance(line, CampaignHeader):
            raise CampaignError(
                f"{self.path}:{number}: expected {'the header' if number == 1 else 'a result'} here, got "
                f"{_encode(line)[:40]!r}; remove the file to begin anew"
            )
        if isinstance(line, SeedResult):
            self.done.add(line.seed)
            self.violated += line.verdict == "violated"
        self._complete = isinstance(line, CampaignEnd)

    def _begin_anew(self) -> None:
        number = 1
        while (self.path.with_stem(f"{self.path.stem}-{number}")).exists():
            number += 1
        self.kept = self.path.rename(self.path.with_stem(f"{self.path.stem}-{number}"))
        complete, self.done, self.violated = self._lines, set(), 0
        self._lines = self._opened()
        complete.close()
