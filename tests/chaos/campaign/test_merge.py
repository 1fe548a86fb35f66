"""Shards of a campaign become one, which is the campaign that one machine would have run."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from builders.campaigns import ALWAYS_CONVICTED, lines_of, settings
from raft_chaos.chaos.campaign.campaign import Campaign
from raft_chaos.chaos.campaign.file import (
    CampaignEnd,
    CampaignError,
    CampaignFile,
    SeedFailed,
    describe_campaign,
    read_campaign,
)
from raft_chaos.chaos.campaign.merge import DifferentResultsError, merged, read_shards, write_merged
from raft_chaos.chaos.campaign.seed import run_seed
from raft_chaos.chaos.campaign.seed_result import SeedResult

THREADS = partial(ThreadPoolExecutor, 2)


def result(seed: int, **parts: object) -> SeedResult:
    plain = SeedResult(
        seed=seed,
        verdict="valid",
        violated=[],
        unknown=[],
        vacuous=[],
        trace_sha256=f"{seed:064x}",
        stats={"elections": 3, "wall_s": 0.1},
        run=None,
        repro=f"raft-chaos run --seed {seed}",
    )
    return replace(plain, **parts)


def shard(
    folder: Path, seeds: Sequence[int], results: Sequence[SeedResult | SeedFailed], *, duration_s: float | None = None
) -> Path:
    """The file of a campaign of these seeds, with these lines."""
    of = settings()
    if duration_s is not None:
        of = replace(of, schedule=replace(of.schedule, duration_s=duration_s))
    with CampaignFile(folder, describe_campaign(of, seeds)) as file:
        for line in results:
            file.append(line)
        return file.path


def ran(folder: Path, seeds: Sequence[int]) -> Path:
    """The file of a campaign that has really run these seeds."""
    with Campaign(settings(ALWAYS_CONVICTED), seeds, folder) as campaign:
        list(campaign.run(THREADS, 4))
        return campaign.path


def test_shards_are_the_campaign_of_all_their_seeds(tmp_path: Path) -> None:
    whole = ran(tmp_path / "whole", [1, 2, 3, 4, 5])
    shards = [ran(tmp_path / "b", [4, 5]), ran(tmp_path / "a", [1, 2, 3])]
    path = write_merged(merged(read_shards(shards)), tmp_path / "merged")
    assert path.name == whole.name, "the same key"

    def comparable(line: object) -> object:
        if isinstance(line, SeedResult):
            return replace(line, run=None, repro="", stats=line.stats | {"wall_s": 0})
        return line

    assert [comparable(line) for line in lines_of(path)] == sorted(
        (comparable(line) for line in lines_of(whole)),
        key=lambda line: getattr(line, "seed", 99 * (type(line) is CampaignEnd)),
    )
    for line in lines_of(path):
        assert not isinstance(line, SeedResult) or (line.run and Path(line.run).is_dir())


def test_a_campaign_with_seeds_that_have_no_result_goes_on(tmp_path: Path) -> None:
    of = settings()
    shards = [
        shard(tmp_path / "a", [1, 2], [run_seed(of, 1, None)]),
        shard(tmp_path / "b", [3], [run_seed(of, 3, None)]),
    ]
    whole = merged(read_shards(shards))
    assert whole.total == 3 and [one.seed for one in whole.results] == [1, 3]
    path = write_merged(whole, tmp_path / "merged")
    with Campaign(of, [1, 2, 3], tmp_path / "merged") as campaign:
        assert campaign.path == path and campaign.resumed == 2
        assert [end.seed for end in campaign.run(THREADS, 4)] == [2]


def test_a_seed_may_be_in_two_shards_if_its_results_are_the_same(tmp_path: Path) -> None:
    again = result(2, stats={"elections": 3, "wall_s": 0.7}, run="elsewhere/2", repro="another way")
    shards = [shard(tmp_path / "a", [1, 2], [result(1), result(2)]), shard(tmp_path / "b", [2, 3], [again, result(3)])]
    assert merged(read_shards(shards)).results == [result(1), result(2), result(3)]


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({"trace_sha256": "f" * 64}, "trace_sha256 is '0000"),
        ({"verdict": "violated"}, "verdict is 'valid' and 'violated'"),
        ({"stats": {"elections": 4, "wall_s": 0.1}}, "elections is 3 and 4"),
        ({"stats": {"elections": 3, "wall_s": 0.1, "restarts": 1}}, "restarts is None and 1"),
    ],
)
def test_two_results_of_one_seed_are_no_campaign(parts: dict[str, object], said: str, tmp_path: Path) -> None:
    shards = [shard(tmp_path / "a", [1, 2], [result(2)]), shard(tmp_path / "b", [2, 3], [result(2, **parts)])]
    with pytest.raises(DifferentResultsError) as refused:
        merged(read_shards(shards))
    assert str(refused.value).startswith("seed 2: ") and said in str(refused.value)
    assert all(str(file) in str(refused.value) for file in shards)


def test_a_result_outranks_a_failure_of_the_harness(tmp_path: Path) -> None:
    failed = [SeedFailed(seed=seed, error="e", traceback="t", repro="r") for seed in (1, 2)]
    shards = [shard(tmp_path / "a", [1, 2], failed), shard(tmp_path / "b", [2], [result(2)])]
    whole = merged(read_shards(shards))
    assert [one.seed for one in whole.failed] == [1] and [one.seed for one in whole.results] == [2]
    _, results, still = read_campaign(write_merged(whole, tmp_path / "merged"))
    assert (results, still) == (whole.results, whole.failed)


def test_shards_of_other_options_are_refused(tmp_path: Path) -> None:
    shards = [shard(tmp_path / "a", [1], []), shard(tmp_path / "b", [2], [], duration_s=9.0)]
    with pytest.raises(CampaignError, match=r"b/campaign-.*settings\.schedule\.duration_s is 9\.0 and not"):
        read_shards(shards)


def test_shards_of_other_code_are_refused(tmp_path: Path) -> None:
    shards = [shard(tmp_path / "a", [1], []), shard(tmp_path / "b", [2], [])]
    header, _, _ = read_campaign(shards[1])
    shards[1].write_bytes(msgspec.json.encode(replace(header, source="other")) + b"\n")
    with pytest.raises(CampaignError, match="source is 'other' and not"):
        read_shards(shards)


@pytest.mark.parametrize("seeds", ["", "one", "1..2..x"])
def test_a_header_without_seeds_is_refused(seeds: str, tmp_path: Path) -> None:
    file = shard(tmp_path, [1], [])
    header, _, _ = read_campaign(file)
    file.write_bytes(msgspec.json.encode(replace(header, seeds=seeds)) + b"\n")
    with pytest.raises(CampaignError, match="expected seeds such as"):
        read_shards([file])


def test_a_run_directory_is_found_beside_its_file(tmp_path: Path) -> None:
    (tmp_path / "taken" / "2-run").mkdir(parents=True)
    file = shard(tmp_path / "taken", [2], [result(2, verdict="unknown", run="runs/2-run")])
    (found,) = merged(read_shards([file])).results
    assert found.run == str(tmp_path / "taken" / "2-run")


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    file = shard(tmp_path, [1], [result(1)])
    before = file.read_bytes()
    with pytest.raises(CampaignError, match="is there already"):
        write_merged(merged(read_shards([file])), tmp_path)
    assert file.read_bytes() == before and list(tmp_path.iterdir()) == [file]
