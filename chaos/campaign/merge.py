"""One campaign from its shards: campaigns of the same settings, code and Python, each with seeds of its own.

    read_shards    the files, if they belong together
    merged         the campaign that has the seeds of all, each once
    write_merged   its file, which `raft-chaos run` would have written for all of the seeds, and continues if some
                   have no result yet

A seed decides its run, so where two shards have a result of one seed, the results are the same. If they are not, the
code is not deterministic, and no result of it proves anything: `DifferentResultsError`.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from raft_chaos.chaos.campaign.file import (
    CampaignEnd,
    CampaignError,
    CampaignHeader,
    SeedFailed,
    campaign_key,
    read_campaign,
    seed_ranges,
    seeds_of,
)
from raft_chaos.chaos.campaign.seed_result import SeedResult

_encode = msgspec.json.Encoder().encode

SAME = ("world", "settings", "source", "python", "compared", "schema")
"""What decides the result of a seed, and is the same in all shards."""

REAL_TIME = "wall_s"
"""The statistic that a seed does not decide."""


class DifferentResultsError(Exception):
    """Two shards have different results of one seed. The message names the seed, and both."""


class Shard(NamedTuple):
    """The file of a campaign, as `read_campaign` gives it."""

    file: Path
    header: CampaignHeader
    results: list[SeedResult]
    failed: list[SeedFailed]


class Merged(NamedTuple):
    """The campaign of all seeds. Results, and failures of seeds without one, are in the order of their seeds."""

    header: CampaignHeader
    results: list[SeedResult]
    failed: list[SeedFailed]

    @property
    def total(self) -> int:
        """How many seeds it has, with a result or without."""
        return sum(last - first + 1 for first, last in seeds_of(self.header))


def read_shards(files: Sequence[Path]) -> list[Shard]:
    """The shards in these files. Raises CampaignError if one cannot be read, or does not belong to the first one."""
    shards = [Shard(file, *read_campaign(file)) for file in files]
    for shard in shards:
        if not seeds_of(shard.header):
            raise CampaignError(
                f'{shard.file}: expected seeds such as "1..200" in its header, got {shard.header.seeds!r}'
            )
    first = shards[0]
    for shard in shards[1:]:
        for name in SAME:
            one, other = _decisive(first.header, name), _decisive(shard.header, name)
            if one != other:
                raise CampaignError(
                    f"{shard.file}: not of the same campaign as {first.file}: {_difference(name, one, other)}; merge "
                    "only shards that ran with the same options and the same code"
                )
    return shards


def merged(shards: Sequence[Shard]) -> Merged:
    """The campaign of all their seeds. Raises DifferentResultsError."""
    results: dict[int, tuple[SeedResult, Path]] = {}
    for shard in shards:
        for result in shard.results:
            seed = result.seed
            if seed not in results:
                results[seed] = replace(result, run=_found(result.run, shard.file)), shard.file
            elif differs := _differs(results[seed][0], result):
                raise DifferentResultsError(
                    f"seed {seed}: {results[seed][1]} and {shard.file} have different results, and a seed has one: "
                    f"{differs}. `raft-chaos selfcheck --seeds {seed}` with the same options shows where they part"
                )
    failed = {one.seed: one for shard in shards for one in shard.failed if one.seed not in results}
    header = shards[0].header
    seeds = seed_ranges(sorted({seed for shard in shards for seed in _every(shard.header)}))
    key = campaign_key(header.settings, seeds, header.source, header.python, compared=header.compared)
    return Merged(
        replace(header, key=key, seeds=seeds),
        [results[seed][0] for seed in sorted(results)],
        [failed[seed] for seed in sorted(failed)],
    )


def write_merged(campaign: Merged, out: Path) -> Path:
    """Writes its file into the folder, and returns it: whole, or not at all. Raises CampaignError if it is there
    already, OSError if it cannot be written."""
    out.mkdir(parents=True, exist_ok=True)
    path = out / f"campaign-{campaign.header.key}.jsonl"
    is_complete = len(campaign.results) == campaign.total
    end = [CampaignEnd(seeds=campaign.total)] if is_complete else []
    part = path.with_suffix(f".{os.getpid()}.part")
    try:
        with part.open("xb") as file:
            for line in (campaign.header, *campaign.results, *campaign.failed, *end):
                file.write(_encode(line) + b"\n")
        os.link(part, path)  # unlike a renaming, it never takes the place of another file
    except FileExistsError:
        raise CampaignError(f"{path}: is there already; remove it, or choose another folder with --out") from None
    finally:
        part.unlink(missing_ok=True)
    return path


def _decisive(header: CampaignHeader, name: str) -> object:
    value = getattr(header, name)
    # The options repeat the settings, as words for the command that repeats a run.
    return {key: one for key, one in value.items() if key != "options"} if isinstance(value, dict) else value


def _difference(name: str, one: object, other: object) -> str:
    """Where the two differ, in words."""
    if isinstance(one, dict) and isinstance(other, dict):
        key = next(key for key in sorted({*one, *other}) if one.get(key) != other.get(key))
        return _difference(f"{name}.{key}", one.get(key), other.get(key))
    return f"{name} is {other!r} and not {one!r}"


def _differs(one: SeedResult, other: SeedResult) -> str:
    """The first part of a result in which these differ, and both values; "" if there is none."""
    parts, others = _parts(one), _parts(other)
    name = next((name for name in {**parts, **others} if parts.get(name) != others.get(name)), "")
    return name and f"{name} is {parts.get(name)!r} and {others.get(name)!r}"


def _parts(result: SeedResult) -> dict[str, object]:
    """What a seed decides, by name. Where its run was saved, how it is repeated there, and how long it took, it does
    not."""
    kept = {name: getattr(result, name) for name in result.__struct_fields__ if name not in ("run", "repro", "stats")}
    return kept | {name: value for name, value in result.stats.items() if name != REAL_TIME}


def _found(run: str | None, file: Path) -> str | None:
    """Where the run directory is now: beside its campaign's file, if that was taken to another place."""
    if run is None or Path(run).exists():
        return run
    beside = file.parent / Path(run).name
    return str(beside) if beside.exists() else run


def _every(header: CampaignHeader) -> list[int]:
    return [seed for first, last in seeds_of(header) for seed in range(first, last + 1)]
