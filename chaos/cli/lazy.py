"""Commands that are imported when they are called, and the shape of their help.

The console command needs a tenth of a second of CPU to start if it imports little; aiohttp alone costs as much. So a
`LazyGroup` knows its commands from a table, and imports one when it is called, or when its own help is asked for.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from importlib import import_module
from typing import Any, ClassVar

import typer
from typer.core import CompletionItem, TyperCommand, TyperGroup  # type: ignore[attr-defined]

from raft_chaos.chaos.cli import values
from raft_chaos.chaos.cli.commands import Listed
from raft_chaos.chaos.cli.common import close_to, fail
from raft_chaos.chaos.cli.start import importing
from raft_chaos.chaos.processes import interrupts

WITHOUT_A_TERMINAL, NARROWEST, WIDEST = 80, 40, 200
WIDEST_PROSE = 100

OPTIONS = "Options"


def settings() -> dict[str, Any]:
    """For the context of the command line as a whole; its commands inherit them."""
    columns = shutil.get_terminal_size((WITHOUT_A_TERMINAL, 24)).columns
    width = min(max(columns, NARROWEST), WIDEST)
    return {"help_option_names": ["-h", "--help"], "terminal_width": width, "max_content_width": width}


class Command(TyperCommand):
    """A command whose help has its options in sections, and which refuses what it does not take in plain words."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        values.take_over(self.params)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        ctx.allow_extra_args = True
        try:
            if not ctx.resilient_parsing:
                self.prepare(ctx, args)
            rest = super().parse_args(ctx, args)
        except typer.TyperException as error:
            error.ctx = ctx  # type: ignore[attr-defined]  # typer leaves it out of some
            raise
        if rest and not ctx.resilient_parsing:
            places = " ".join(_place(one, ctx) for one in _arguments(self))
            takes = f"it takes {places}" if places else "it takes options only"
            fail(f"{ctx.command_path}: {rest[0]!r} is one argument too many; {takes}; see {ctx.command_path} --help")
        return rest

    def prepare(self, ctx: Any, args: list[str]) -> None:
        """Before the command line is read."""

    def get_help_option(self, ctx: Any) -> Any:
        return _as_flag(super().get_help_option(ctx))

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Typer writes {RUN} for an argument that must be given; everybody else writes RUN."""
        return [piece.strip("{}") for piece in super().collect_usage_pieces(ctx)]

    def format_help_text(self, ctx: Any, formatter: Any) -> None:
        _write_prose(super().format_help_text, ctx, formatter)

    def format_options(self, ctx: Any, formatter: Any) -> None:
        _write_options(self, ctx, formatter)


class Group(TyperGroup):
    """A command with commands of its own. Called alone it prints its help, which is no error."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        alone = not args and not self.invoke_without_command and not ctx.resilient_parsing
        return super().parse_args(ctx, ["--help"] if alone else args)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        name, known = args[0], self.list_commands(ctx)
        if name not in known and not name.startswith("-") and not ctx.resilient_parsing:
            near = close_to(name, known)
            hint = f"did you mean {near!r}? " if near else ""
            fail(f"there is no command {name!r}; {hint}{ctx.command_path} --help lists all")
        return super().resolve_command(ctx, args)

    def get_help_option(self, ctx: Any) -> Any:
        return _as_flag(super().get_help_option(ctx))

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Typer writes {RUN} for an argument that must be given; everybody else writes RUN."""
        return [piece.strip("{}") for piece in super().collect_usage_pieces(ctx)]

    def format_help_text(self, ctx: Any, formatter: Any) -> None:
        _write_prose(super().format_help_text, ctx, formatter)

    def format_options(self, ctx: Any, formatter: Any) -> None:
        self.format_commands(ctx, formatter)
        _write_options(self, ctx, formatter)


class LazyGroup(Group):
    """A group that imports a command of its table `listed` when it is called."""

    listed: ClassVar[Sequence[Listed]] = ()

    def list_commands(self, ctx: Any) -> list[str]:
        return [one.name for one in self.listed]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """None if there is none."""
        if cmd_name not in self.commands:
            one = next((one for one in self.listed if one.name == cmd_name), None)
            if one is None:
                return None
            self.commands[cmd_name] = load(one)
        return self.commands[cmd_name]

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        for section in dict.fromkeys(one.section for one in self.listed):
            with formatter.section(section):
                named = [(one.name, one.summary) for one in self.listed if one.section == section]
                formatter.write_dl(named, _names_width(formatter))

    def shell_complete(self, ctx: Any, incomplete: str) -> Any:
        named = [CompletionItem(one.name, help=one.summary) for one in self.listed if one.name.startswith(incomplete)]
        return [*named, *super(TyperGroup, self).shell_complete(ctx, incomplete)]


def load(one: Listed) -> Any:
    """Imports a command. A signal meanwhile interrupts when it is there."""
    with importing():
        there = _at(one.place)
        shape = _at(one.shape) if one.shape else Command
    interrupts.raise_if_received()
    if isinstance(there, typer.Typer):
        return typer.main.get_group(there)
    alone = typer.Typer(add_completion=False, rich_markup_mode=None)
    alone.command(one.name, cls=shape)(there)
    return typer.main.get_command(alone)


def _at(place: str) -> Any:
    module, _, name = place.partition(":")
    return getattr(import_module(f"raft_chaos.chaos.cli.{module}"), name)


def _as_flag(option: Any) -> Any:
    """`--help` with a default: typer imports pydantic for an option that has none, which takes a tenth of a second."""
    if option is not None:
        option.default = False
    return option


def _arguments(command: Any) -> list[Any]:
    return [param for param in command.params if param.param_type_name == "argument"]


def _place(argument: Any, ctx: Any) -> str:
    return " ".join(piece.strip("{}") for piece in argument.get_usage_pieces(ctx))


# ---- help --------------------------------------------------------------------------------------------------------


def _write_prose(write: Any, ctx: Any, formatter: Any) -> None:
    """Lines of prose that are longer than `WIDEST_PROSE` are hard to read."""
    width, formatter.width = formatter.width, min(formatter.width, WIDEST_PROSE)
    write(ctx, formatter)
    formatter.width = width


def sections(command: Any, ctx: Any) -> dict[str, list[tuple[str, str]]]:
    """The arguments, then the options by section, in the order in which the command names the sections. Each has how it
    is written and what it means."""
    arguments = [(_place(one, ctx), _plain(one.get_help_record(ctx)[1])) for one in _arguments(command)]
    found: dict[str, list[tuple[str, str]]] = {"Arguments": arguments}
    for param in command.get_params(ctx):
        record = param.get_help_record(ctx)
        if record is not None and param.param_type_name == "option":
            section = getattr(param, "rich_help_panel", None) or OPTIONS
            shape = re.sub(r"<(.*?)>", r"\1", record[0])  # the angle brackets of typer's own names of types
            found.setdefault(section, []).append((shape, _plain(record[1])))
    return {section: records for section, records in found.items() if records}


def _write_options(command: Any, ctx: Any, formatter: Any) -> None:
    for section, records in sections(command, ctx).items():
        with formatter.section(section):
            formatter.write_dl(records, _names_width(formatter))


def _names_width(formatter: Any) -> int:
    """How wide the column of names may become; what is longer stands on a line of its own."""
    return int(min(30, max(8, formatter.width // 3)))


_WORDS = (
    (re.compile(r"default: \((.*)\)(?=[];])"), r"default: \1"),
    (re.compile(r"\b(-?[\d.]+)<=x<=(-?[\d.]+)"), r"\1 to \2"),
    (re.compile(r"\bx>=(-?[\d.]+)"), r"at least \1"),
    (re.compile(r"\bx<=(-?[\d.]+)"), r"at most \1"),
    (re.compile(r"((?:: |to |least |most )\d+)\.0(?=[];])"), r"\1"),
)


def _plain(text: str) -> str:
    """The bracket that ends an option's line, in plain words."""
    words, bracket, extra = text.rpartition("  [")
    if not bracket:
        return text
    for pattern, plain in _WORDS:
        extra = pattern.sub(plain, extra)
    return f"{words}  [{extra}"
