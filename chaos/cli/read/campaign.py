"""`raft-chaos campaign merge`: one campaign from the shards that several machines ran, as in the matrix of a CI job."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from raft_chaos.chaos.campaign.file import CampaignError
from raft_chaos.chaos.campaign.merge import DifferentResultsError, Merged, merged, read_shards, write_merged
from raft_chaos.chaos.cli.common import fail, no_such
from raft_chaos.chaos.cli.read.saved import CAMPAIGNS, summed
from raft_chaos.chaos.cli.result import Result
from raft_chaos.chaos.cli.width import columns
from raft_chaos.invariants.verdict import EXIT_HARNESS
from raft_chaos.reports.campaign.seeds import seeds_document, seeds_text

MERGE = "merge"


def campaign(
    verb: Annotated[str, typer.Argument(metavar=MERGE, help="What to do.")],
    shards: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="The files of the shards, or the folders that they are in.")
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where the file of the whole campaign is made.")] = Path(
        "runs"
    ),
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> Result:
    """Joins the files of a campaign's shards into one.

    All of them must come from the same options, code and Python. The result is the file of a campaign with all of the
    seeds, and its report. If some seeds have no result yet, `raft-chaos run` with all of the seeds and the same --out
    goes on with these. The same seed in two shards must have the same result.

    Exit codes: 0 valid, 1 violated, 2 unknown, 254 bad arguments, 255 the harness failed on a seed, or gave a seed two
    different results.
    """
    if verb != MERGE:
        no_such("campaign", verb, (MERGE,))
    files = [file for path in shards for file in _files(path)]
    try:
        whole = merged(read_shards(files))
        path = write_merged(whole, out)
    except CampaignError as error:
        fail(str(error))
    except DifferentResultsError as error:
        return Result(EXIT_HARNESS, notes=[f"raft-chaos: {error}"])
    except OSError as error:
        fail(f"--out: cannot write a campaign's file in {out} ({error.strerror})")
    return _result(whole, path, files, as_json=as_json)


def _files(path: Path) -> Sequence[Path]:
    """The campaign's file, or the files in this folder: an artifact has those of one shard or of several."""
    if not path.is_dir():
        return [path]
    if not (files := sorted(path.glob(CAMPAIGNS))):
        fail(f"{path}: expected a campaign's file in this folder ({CAMPAIGNS}), found none")
    return files


def _result(whole: Merged, path: Path, files: Sequence[Path], *, as_json: bool) -> Result:
    totals = summed(whole.header, path, whole.results, whole.failed)
    joined = f"{len(files)} shards with {totals.done} of {totals.total} seeds  {path}"
    page = [joined, "", seeds_text(totals, columns()).removesuffix("\n")]
    document = {**seeds_document(totals), "file": str(path), "shards": [str(file) for file in files]}
    return Result(totals.exit_code, page, document, as_json, judged=True)
