"""`raft-chaos runs`: lists saved runs. `raft-chaos runs prune`: removes those that nobody needs any more."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from raft_chaos.chaos.cli.common import fail
from raft_chaos.chaos.cli.lazy import Command, Group
from raft_chaos.chaos.cli.read.run_names import Ongoing, SavedRun, is_run, runs_folder, saved_runs, size_bytes
from raft_chaos.chaos.cli.result import Result
from raft_chaos.chaos.cli.width import columns
from raft_chaos.invariants.verdict import EXIT_UNKNOWN, EXIT_VALID
from raft_chaos.reports.commands.runs import RunRow, State, pruned_page, runs_page

app = typer.Typer(name="runs", cls=Group, invoke_without_command=True, rich_markup_mode=None)

Folder = Annotated[
    Path | None,
    typer.Option(
        "--in", metavar="DIR", help="The folder with the runs.", show_default="out of the configuration, or runs"
    ),
]
Json = Annotated[bool, typer.Option("--json", help="One JSON list on stdout.")]
LIMIT = 30
AGES = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
EVIDENCE_OF_A_RUN = ("run.json", "schedule.jsonl")


@app.callback()
def runs(
    context: typer.Context,
    folder: Folder = None,
    limit: Annotated[int, typer.Option(min=0, metavar="N", help="Only the newest; 0: all.")] = LIMIT,
    as_json: Json = False,
) -> Result | None:
    """Lists saved runs, newest first. Each command that reads a run takes the beginning of its name, or latest."""
    if context.invoked_subcommand is not None:
        return None
    there = folder or runs_folder()
    rows = _rows(_runs_in(there))
    return Result(page=runs_page(rows, str(there), limit, columns()), document=rows, as_json=as_json)


@app.command("prune", cls=Command)
def prune(
    keep: Annotated[int | None, typer.Option(min=0, metavar="N", help="Keep the N newest runs.")] = None,
    keep_failed: Annotated[
        bool, typer.Option("--keep-failed", help="Keep the runs that are not valid: violated, unknown, interrupted.")
    ] = False,
    older_than: Annotated[
        str | None, typer.Option(metavar="AGE", help="Keep the runs that are younger, such as 12h, 7d or 2w.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Remove them. Without it they are only listed.")] = False,
    folder: Folder = None,
    as_json: Json = False,
) -> Result:
    """Removes saved runs, except those that an option keeps. Only lists them without --yes.

    It removes run directories only, never a run that goes on, and follows no links. Campaign files stay.

    Exit codes: 0 done, 2 some could not be removed, 254 bad arguments.
    """
    if keep is None and older_than is None and not keep_failed:
        fail("prune: it needs to know what to keep; give --keep N, --keep-failed or --older-than AGE")
    born_before = None if older_than is None else datetime.now(UTC) - _age(older_than)
    there = folder or runs_folder()
    all_runs, ongoing = _runs_in(there), Ongoing()
    chosen = [
        run
        for number, run in enumerate(all_runs)
        if (keep is None or number >= keep)
        and not (keep_failed and _is_no_success(run))
        and (born_before is None or _born(run) < born_before)
        and run not in ongoing
    ]
    rows = _rows(chosen)
    command, failed = "", []
    if yes:
        failed = [trouble for run in chosen if (trouble := _remove(run.path))]
        rows = [row for row in rows if not Path(row.path).exists()]
    else:
        command = shlex.join(["raft-chaos", "runs", "prune", *_words(keep, keep_failed, older_than, folder), "--yes"])
    page = pruned_page(rows, len(all_runs) - len(rows), failed, command, columns())
    document = {"removed" if yes else "would_remove": rows, "kept": len(all_runs) - len(rows), "failed": failed}
    return Result(EXIT_UNKNOWN if failed else EXIT_VALID, page, document, as_json)


def _runs_in(folder: Path) -> list[SavedRun]:
    try:
        return saved_runs(folder)
    except FileNotFoundError:
        return []
    except OSError as error:
        fail(f"--in: {folder} cannot be read ({error.strerror})")


def _words(keep: int | None, keep_failed: bool, older_than: str | None, folder: Path | None) -> list[str]:
    words = [] if keep is None else ["--keep", str(keep)]
    words += ["--keep-failed"] if keep_failed else []
    words += [] if older_than is None else ["--older-than", older_than]
    return [*words, *([] if folder is None else ["--in", str(folder)])]


def _age(text: str) -> timedelta:
    match = re.fullmatch(r"(\d{1,6})([mhdw])", text.strip())
    if match is None:
        fail(f"--older-than: expected an age such as 12h, 7d or 2w, got {text!r}")
    return timedelta(**{AGES[match[2]]: int(match[1])})


def _born(run: SavedRun) -> datetime:
    """When it began; when its directory last changed, if run.json does not say it."""
    try:
        return datetime.fromisoformat(run.info.started_at if run.info is not None else "").astimezone(UTC)
    except ValueError:
        return datetime.fromtimestamp(run.changed_s, UTC)


def _is_no_success(run: SavedRun) -> bool:
    return run.info is None or run.info.verdict != "valid"


def _remove(path: Path) -> str:
    """Removes a run directory; says what went wrong. What makes it a run goes last: half removed it is still one."""
    failed: list[str] = []

    def note(function: Callable[..., object], name: str, error: BaseException) -> None:
        failed.append(f"{name}: {getattr(error, 'strerror', None) or error}")

    if path.is_symlink() or not is_run(path):
        return f"{path}: it is no run any more"
    for child in path.iterdir():
        if child.name in EVIDENCE_OF_A_RUN:
            continue
        if child.is_dir() and not child.is_symlink():
            shutil.rmtree(child, onerror=lambda function, name, info: note(function, name, info[1]))
        else:
            try:
                child.unlink()
            except OSError as error:
                note(child.unlink, str(child), error)
    if not failed:
        shutil.rmtree(path, onerror=lambda function, name, info: note(function, name, info[1]))
    return f"not removed: {'; '.join(failed[:3])}" if failed else ""


# ---- rows --------------------------------------------------------------------------------------------------------


def _rows(runs: Sequence[SavedRun]) -> list[RunRow]:
    ongoing = Ongoing()
    return [_row(run, ongoing) for run in runs]


def _row(run: SavedRun, ongoing: Ongoing) -> RunRow:
    info = run.info
    wall_s = info.stats.get("wall_s") if info is not None else None
    return RunRow(
        run=run.path.name,
        path=str(run.path),
        started_at=info.started_at if info is not None else "",
        seed=info.seed if info is not None else None,
        world=info.world if info is not None else "",
        target=info.target if info is not None else "",
        mutant=info.mutant if info is not None else None,
        state=state_of(run, ongoing),
        violated=[one.invariant for one in info.invariants if one.outcome == "violated"] if info is not None else [],
        seconds=float(wall_s) if wall_s is not None else None,
        size_bytes=size_bytes(run.path),
    )


def state_of(run: SavedRun, ongoing: Ongoing) -> State:
    """A verdict, or why there is none."""
    if run.info is None:
        return "damaged"
    if run.info.state == "failed":
        return "failed"
    if run.info.state == "running" or run.info.verdict is None:
        return "running" if run in ongoing else "interrupted"
    return run.info.verdict
