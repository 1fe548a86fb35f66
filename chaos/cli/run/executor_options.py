"""The options --executor and --scheduler, for each command that has them, in a section of its help or in none."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import typer

ExecutorName: TypeAlias = Literal["processes", "dask"]


def executor_option(section: str | None = None) -> Any:
    return typer.Option(
        rich_help_panel=section, help="Where runs are made: processes of this machine, or the workers of Dask."
    )


def scheduler_option(section: str | None = None) -> Any:
    return typer.Option(
        metavar="ADDRESS",
        rich_help_panel=section,
        help="With --executor dask: that of a scheduler, tcp://HOST:PORT.",
        show_default="a cluster of its own",
    )
