"""The configuration of `raft-chaos run`: a file that has options as keys.

Without --config it is `raft-chaos.toml` in the working directory, or else `[tool.raft-chaos]` in its `pyproject.toml`.
--config names another file, one that comes with raft-chaos (`configurations/`), or `none`. Each option has a key, which
is its name without the dashes. A value means what it means on the command line; so paths are relative to the working
directory. An option of the command line wins over its key, and over the keys that it excludes.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from raft_chaos.chaos.cli import common
from raft_chaos.chaos.cli.common import close_to, fail
from raft_chaos.chaos.cli.lazy import Command
from raft_chaos.invariants.regular_file import read_regular

CONFIG = "config"
NONE = "none"
OWN_FILE, PYPROJECT, SECTION = "raft-chaos.toml", "pyproject.toml", "tool.raft-chaos"
SHIPPED = {file.stem: file for file in sorted((Path(__file__).parent / "configurations").glob("*.toml"))}
LARGEST_BYTES = 1 << 20

RIVALS = (("seed", "seeds", "schedule"), ("mutant", "target", "target_command"))
"""Options that exclude each other: one on the command line also wins over the others' keys."""
LISTS = ("faults", "seeds")
"""Options whose value is a list with commas; in a file it may also be an array."""


@dataclass(frozen=True)
class Configuration:
    """What a file sets: the values by the names of the parameters, and where each stands ("pyproject.toml, line 7")."""

    name: str
    values: dict[str, Any] = field(default_factory=dict)
    places: dict[str, str] = field(default_factory=dict)


class ConfigurationError(Exception):
    """A file that cannot be used. The message names it, the line, and what was expected."""


class Configured(Command):
    """A command whose options may stand in a file."""

    def prepare(self, ctx: Any, args: list[str]) -> None:
        given, _, _ = self.make_parser(ctx).parse_args(list(args))
        try:
            found = read(given.get(CONFIG), self.params)
        except ConfigurationError as error:
            fail(str(error))
        if found is None:
            return
        lost = {name for rivals in RIVALS if not given.keys().isdisjoint(rivals) for name in rivals}
        ctx.default_map = {name: value for name, value in found.values.items() if name not in lost}
        ctx.meta[CONFIG] = found
        common.come_from({_option(one): found.places[one.name] for one in self.params if one.name in found.places})


def read(choice: str | None, params: Collection[Any]) -> Configuration | None:
    """The configuration that --config names, or the one that is there; None if there is none."""
    if choice == NONE:
        return None
    if choice is not None:
        file = SHIPPED.get(choice, Path(choice))
        return _parsed(_text(file, choice), choice, file.name == PYPROJECT, params)
    if Path(OWN_FILE).is_file():
        return _parsed(_text(Path(OWN_FILE), OWN_FILE), OWN_FILE, False, params)
    if Path(PYPROJECT).is_file() and SECTION in (text := _text(Path(PYPROJECT), PYPROJECT)):
        return _parsed(text, PYPROJECT, True, params)
    return None


def _text(file: Path, name: str) -> str:
    try:
        return read_regular(file, LARGEST_BYTES).decode()
    except OSError as error:
        near = close_to(name, SHIPPED)
        hint = f"did you mean {near!r}?" if near else f"expected a file, or one of {', '.join([*SHIPPED, NONE])}"
        raise ConfigurationError(f"--config: {name} cannot be read ({error.strerror}); {hint}") from None
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{name}: expected UTF-8, got {error.object[error.start]:#x}") from None


def _parsed(text: str, name: str, in_section: bool, params: Collection[Any]) -> Configuration | None:
    """The configuration in a text. Raises ConfigurationError."""
    import tomllib  # most folders have no such file

    try:
        table: Any = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigurationError(f"{name}: no valid TOML: {error}") from None
    for part in SECTION.split(".") if in_section else ():
        table = table.get(part, {}) if isinstance(table, Mapping) else {}
    if not isinstance(table, Mapping):
        raise ConfigurationError(f"{name}: {SECTION}: expected a table of options")
    options = {_option(one).removeprefix("--"): one for one in params if one.name != CONFIG}
    found = Configuration(name)
    for key, value in table.items():
        place = f"{name}, line {_line_of(key, text, in_section)}"
        if key not in options:
            near = close_to(key, options)
            hint = f"did you mean {near!r}?" if near else "its keys are the options of raft-chaos run, without dashes"
            raise ConfigurationError(f"{place}: there is no {key!r}; {hint}")
        one = options[key]
        found.values[one.name] = _value(f"{place}: {key}", value, one)
        found.places[one.name] = place
    return found


def _value(place: str, value: Any, param: Any) -> Any:
    """As the command line would have it, which checks it further."""
    if param.is_flag:
        if not isinstance(value, bool):
            raise ConfigurationError(f"{place}: expected true or false, got {value!r}")
        return value
    if isinstance(value, list) and param.name in LISTS and all(isinstance(one, str | int) for one in value):
        return ",".join(map(str, value))
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        shown = str(value).lower() if isinstance(value, bool) else repr(value)
        raise ConfigurationError(f"{place}: expected {param.metavar}, got {shown}")
    return str(value)


_HEADER = re.compile(r"\[([^][]+)]\s*(?:#.*)?$")


def _line_of(key: str, text: str, in_section: bool) -> int:
    """The line where the key stands; the file is valid, so there is one, unless it is written in an odd way."""
    inside = not in_section
    for number, line in enumerate(text.splitlines(), 1):
        words = line.strip()
        if in_section and (header := _HEADER.match(words)):
            inside = header[1].replace('"', "").replace(" ", "") == SECTION
        name = words.partition("=")[0].strip(" \"'[]")
        if inside and (name == key or name.startswith(f"{key}.")):
            return number
    return 1


def _option(param: Any) -> str:
    return str(max(param.opts, key=len))


# ---- what differs from the defaults ------------------------------------------------------------------------------

UNSAID = (CONFIG, "seed", "seeds", "out", "quiet", "verbose", "as_json", "dry_run")
"""Options that the head of a run says anyway, or that do not decide what it does."""


def differing(ctx: Any) -> list[str]:
    """A line with the options that are not at their defaults, by where they come from; no line if all are."""
    given: list[str] = []
    from_file: list[str] = []
    for param in ctx.command.params:
        source, value = ctx.get_parameter_source(param.name), ctx.params.get(param.name)
        if source is None or source.name == "DEFAULT" or param.name in UNSAID or value == param.default:
            continue
        (from_file if source.name == "DEFAULT_MAP" else given).extend(words(param, value))
    found: Configuration | None = ctx.meta.get(CONFIG)
    parts = [" ".join(given)] if given else []
    if found is not None and from_file:
        parts.append(f"from {found.name}: {' '.join(from_file)}")
    return [f"options: {'; '.join(parts)}"] if parts else []


def words(param: Any, value: Any) -> list[str]:
    """An option with its value, as words of a command line."""
    if isinstance(value, bool):
        return [str(param.opts[0] if value else param.secondary_opts[0])]
    return [str(param.opts[0]), repr(value).removesuffix(".0") if isinstance(value, float) else str(value)]
