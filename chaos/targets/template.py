"""Texts with fields to fill in, and values taken out of answers: what a target's file says in place of code.

A field is a name in braces, with filters: "{node}", "{port.client}", "{key|base64}". Other braces are left alone, so
JSON needs no escapes. A path leads into an answer: "kvs.0.value|unbase64" is `value` of the first of `kvs`, decoded.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from difflib import get_close_matches
from typing import Any, TypeAlias
from urllib.parse import quote

Filter: TypeAlias = Callable[[Any], Any]

FIELD = re.compile(r"\{([a-z_][a-z0-9_.-]*)((?:\|[a-z0-9_]+)*)\}", re.IGNORECASE)


class TemplateError(ValueError):
    """A text names a field or a filter that does not exist. The message says which, and what there is."""


def _text(value: Any) -> str:
    return value if isinstance(value, str) else "" if value is None else json.dumps(value)


def _unbase64(value: Any) -> str:
    return base64.b64decode(_text(value), validate=True).decode()


FILTERS: dict[str, Filter] = {
    "base64": lambda value: base64.b64encode(_text(value).encode()).decode(),
    "unbase64": _unbase64,
    "json": json.dumps,
    "unjson": lambda value: json.loads(_text(value)),
    "url": lambda value: quote(_text(value), safe=""),
    "text": _text,
    "int": lambda value: int(value),
}
"""What may stand behind a field or a path, each after the one before it."""

UNREADABLE = (ValueError, TypeError, LookupError, binascii.Error)
"""What a filter raises for a value that it cannot take."""


def fields_of(template: str) -> Iterator[str]:
    """The names of the fields of a text."""
    for match in FIELD.finditer(template):
        yield match[1]


def check(template: str, fields: Iterable[str]) -> None:
    """Raises TemplateError if the text names a field or a filter that does not exist."""
    known = list(fields)
    for match in FIELD.finditer(template):
        if match[1] not in known:
            raise TemplateError(f"{{{match[1]}}}: {nearest(match[1], known)}")
        filters(match[2])


def fill(template: str, values: Mapping[str, Any]) -> str:
    """The text with its fields filled in. A field that `check` did not know stays as it is."""

    def value_of(match: re.Match[str]) -> str:
        if match[1] not in values:
            return match[0]
        value = values[match[1]]
        for one in filters(match[2]):
            value = one(value)
        return _text(value)

    return FIELD.sub(value_of, template)


def fill_all(structure: Any, values: Mapping[str, Any]) -> Any:
    """The same structure of tables and lists, with the fields of all its texts filled in.

    A text that is one field and nothing else becomes its value: a number stays one, and None is null.
    """
    if isinstance(structure, str):
        alone = FIELD.fullmatch(structure)
        return values[alone[1]] if alone and not alone[2] and alone[1] in values else fill(structure, values)
    if isinstance(structure, Mapping):
        return {key: fill_all(value, values) for key, value in structure.items()}
    if isinstance(structure, list):
        return [fill_all(value, values) for value in structure]
    return structure


def texts_of(structure: Any) -> Iterator[str]:
    """All texts in a structure of tables and lists."""
    if isinstance(structure, str):
        yield structure
    elif isinstance(structure, Mapping):
        for value in structure.values():
            yield from texts_of(value)
    elif isinstance(structure, list):
        for value in structure:
            yield from texts_of(value)


def filters(names: str) -> list[Filter]:
    """The filters of "|a|b". Raises TemplateError for one that does not exist."""
    chosen = [name for name in names.split("|") if name]
    for name in chosen:
        if name not in FILTERS:
            raise TemplateError(f"filter {name!r}: {nearest(name, FILTERS)}")
    return [FILTERS[name] for name in chosen]


MISSING = object()
"""What a path leads to if the answer has nothing there."""


class Path:
    """A path into an answer, such as "kvs.0.value|unbase64"; "." is the whole answer. Raises TemplateError."""

    def __init__(self, text: str) -> None:
        steps, _, names = text.replace(" ", "").partition("|")
        self._steps = [] if steps == "." else steps.split(".")
        self._filters = filters(names)
        self.text = text

    @property
    def has_steps(self) -> bool:
        """Whether it leads into an answer, and is not the whole of it."""
        return bool(self._steps)

    def of(self, answer: Any) -> Any:
        """The value there; MISSING if there is none. Raises one of UNREADABLE if a filter cannot take it."""
        value = answer
        for step in self._steps:
            if isinstance(value, Mapping) and step in value:
                value = value[step]
            elif isinstance(value, list) and step.isdigit() and int(step) < len(value):
                value = value[int(step)]
            else:
                return MISSING
        for one in self._filters:
            value = one(value)
        return value


def nearest(name: str, known: Iterable[str]) -> str:
    """What there is instead of a name that does not exist."""
    names = list(known)
    close = get_close_matches(name, names, 1)
    return (f"did you mean {close[0]!r}? " if close else "") + f"there are {', '.join(names) or 'none'}"
