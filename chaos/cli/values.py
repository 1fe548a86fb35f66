"""The values of options and arguments: what a command line, a file or a default gives, as the type that is declared.

Typer leaves this to pydantic, which takes as long to import and to set up as a small command takes as a whole. Our
options have few types, so a few lines do the same, and say in plain words what was expected.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import typer

LONGEST_INT = 4300
"""Python reads no number of more digits."""
_ENDS_IN_ZEROS = re.compile(r"(?<=\d)\.0+\s*$")


class NotPossibleError(ValueError):
    """A value that cannot be used. The message says what was expected, and what it got."""


def take_over(params: list[Any]) -> None:
    """From now on these parameters of a command get their values from here. Raises TypeError for one of a type that is
    not known here."""
    for param in params:
        param.process_value = partial(_processed, param, _converter(param))


def _processed(param: Any, converted: Callable[[Any], Any], ctx: Any, value: Any) -> Any:
    """What typer's parameter does with a value, but for the conversion. Raises typer's errors."""
    try:
        value = converted(value)
    except NotPossibleError as error:
        raise typer.BadParameter(str(error), ctx=ctx, param=param) from None
    if param.required and param.value_is_missing(value):
        return type(param).process_value(param, ctx, value)  # typer's own, which says so
    return value if param.callback is None else param.callback(ctx, param, value)


def _converter(param: Any) -> Callable[[Any], Any]:
    """What makes the parameter's value of a text, or leaves it as it is if it has the type already. None: there is no
    value."""
    annotation = param.type_descriptor.annotation
    if get_origin(annotation) is list:
        of_one = _of_type(get_args(annotation)[0], param)
        return lambda values: [of_one(value) for value in values] if values is not None else ()
    converted = _of_type(annotation, param)
    return lambda value: converted(value) if value is not None else None


def _of_type(annotation: Any, param: Any) -> Callable[[Any], Any]:
    if get_origin(annotation) is Literal:
        return partial(_choice, get_args(annotation))
    if annotation is int or annotation is float:
        info = param.type_descriptor.parameter_info
        return partial(_number, annotation, info.min, info.max)
    plain: dict[Any, Callable[[Any], Any]] = {bool: bool, str: str, Path: _path}
    if annotation not in plain:
        raise TypeError(f"{param.name}: there are no values of the type {annotation}")
    return plain[annotation]


def _choice(choices: tuple[str, ...], value: Any) -> str:
    if value not in choices:
        raise NotPossibleError(f"expected one of {', '.join(choices)}, got {value!r}")
    return str(value)


def _number(kind: type[int] | type[float], least: float | None, most: float | None, given: Any) -> int | float:
    try:
        value = _read(kind, given) if isinstance(given, str) else kind(given)
    except ValueError:
        expected = "a number" if kind is float else "a whole number"
        if kind is int and given.strip().isdigit() and len(given) > LONGEST_INT:
            expected += " of fewer digits"
        raise NotPossibleError(f"expected {expected}, got {given!r}") from None
    # Not `value < least`: the number may be nan.
    if least is not None and not value >= least:
        raise NotPossibleError(f"expected at least {least:g}, got {given!r}")
    if most is not None and not value <= most:
        raise NotPossibleError(f"expected at most {most:g}, got {given!r}")
    return value


def _read(kind: type[int] | type[float], text: str) -> int | float:
    """A whole number may be written as 5.0, too. Raises ValueError."""
    if not text.isascii():
        raise ValueError("the digits of other scripts are more likely a mistake")
    return float(text) if kind is float else int(_ENDS_IN_ZEROS.sub("", text))


def _path(given: Any) -> Path:
    if "\0" in str(given):
        raise NotPossibleError(f"expected the name of a file or folder, got {given!r}")
    path = Path(given)
    try:
        path.stat()
    except OSError:
        return path  # whoever uses it says what is wrong
    if not os.access(path, os.R_OK):
        raise NotPossibleError(f"path {str(given)!r} is not readable")
    return path
