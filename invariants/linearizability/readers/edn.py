"""A parser for the part of EDN that histories use: the top-level values of a text, or those of one vector around them.

    nil true false      None, True, False            [1 2] (1 2)     tuples
    12 -3N              int                          {:a 1}          a dict
    1.5 2/3 \\a sym ##NaN  Other, by its text          #{1}            a Tagged tuple, tag "{"
    "text"              str                          #inst "..."     Tagged; #_ leaves the next value out
    :type               the one Keyword of that name ; to the end    nothing, and so are commas

A string ends on its line, as Clojure writes it. Nothing is evaluated.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from raft_chaos.invariants.linearizability.readers.history_file import HistoryError, shortened


class Keyword:
    """A keyword. `keyword` makes one object for each name, so keywords are compared by identity."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f":{self.name}"

    def __reduce__(self) -> tuple[Any, ...]:
        return keyword, (self.name,)


class Tagged(NamedTuple):
    """A value with a tag: `#name value`."""

    tag: str
    value: Any


class Other(NamedTuple):
    """An atom that no model uses: a symbol, a character, or a number that is not a plain integer."""

    text: str

    def __repr__(self) -> str:
        return self.text


class _Tag(NamedTuple):
    """A tag whose value follows."""

    name: str


DEEPEST = 200
"""How deeply values may be nested: Python compares and prints nested ones by recursion."""

_keywords: dict[str, Keyword] = {}


def keyword(name: str) -> Keyword:
    """The keyword of that name (without its colon)."""
    return _keywords.setdefault(name, Keyword(name))


def shown(value: Any) -> str:
    """A value in an error message, short enough for a line."""
    return shortened(_written(value))


def _written(value: Any) -> str:
    match value:
        case None:
            return "nil"
        case Tagged(tag="{", value=items):
            return f"#{{{' '.join(map(_written, items))}}}"
        case Tagged(tag=tag, value=inner):
            return f"#{tag} {_written(inner)}"
        case Other(text=text):
            return text
        case dict():
            return f"{{{', '.join(f'{_written(key)} {_written(each)}' for key, each in value.items())}}}"
        case tuple():
            return f"[{' '.join(map(_written, value))}]"
        case bool() | str():
            return json.dumps(value, ensure_ascii=False)
        case _:
            return repr(value)


_BREAK = r"""\s,;"{}()\[\]"""
_tokens = re.compile(
    rf"""[\s,]*+(?:;.*|(
        [{{}}()\[\]]
      | "[^"\\]*+(?:\\.[^"\\]*+)*+"
      | \#(?:\{{|_|[^{_BREAK}\\]+)
      | \\(?:[A-Za-z0-9]+|\S)
      | [^{_BREAK}\\\#^`~@'][^{_BREAK}\\^`~@]*
      | \S
    ))""",
    re.VERBOSE,
).findall
_INTEGER = re.compile(r"[+-]?(?:0|[1-9]\d{0,999})N?", re.ASCII)
_KEYWORD = re.compile(r":[^:/](?:.*[^:/])?")
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|.)")
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", '"': '"', "\\": "\\"}
_CLOSES = {"{": "}", "#{": "}", "[": "]", "(": ")"}
_CONSTANTS = {"nil": None, "true": True, "false": False}


def forms(file: str, text: str) -> Iterator[tuple[int, Any]]:
    """The values of a text, each with the line on which it begins, from 1. Raises HistoryError for invalid EDN."""
    known: dict[str, Any] = dict(_CONSTANTS)  # atoms that are repeated often
    top: list[Any] = []
    items = top
    stack: list[tuple[str, int, list[Any]]] = []  # open collections: bracket, line, and the items of the outer one
    around: tuple[str, int] | None = None  # the vector around all, and its line
    begun, ended = False, False
    for number, line in enumerate(text.split("\n"), 1):
        for token in _tokens(line.rstrip()):
            if ended and token:
                raise HistoryError(
                    file, number, f"expected nothing after the end of the vector, got {shortened(token)}"
                )
            if token in known:
                items.append(known[token])
            elif token in _CLOSES:
                if not begun and token in "[(":
                    around = (token, number)
                elif len(stack) < DEEPEST:
                    stack.append((token, number, items))
                    items = []
                else:
                    raise HistoryError(file, number, f"nested too deeply; expected at most {DEEPEST} levels")
                begun = True
            elif token and token in "}])":
                if not stack and around is not None and token == _CLOSES[around[0]]:
                    ended = True
                    continue
                opened, since, outer = stack.pop() if stack else ("", number, top)
                if _CLOSES.get(opened) != token:
                    raise HistoryError(file, number, f"{token} closes nothing; {_still_open(opened, since, around)}")
                outer.append(_collection(file, number, opened, items))
                items = outer
                if not stack:
                    yield from [(since, value) for value in _untagged(file, number, top)]
                    top.clear()
            elif token:
                items.append(_atom(file, number, token, known))
                begun = True
        if top and not stack and type(top[-1]) is not _Tag:
            yield from [(number, value) for value in _untagged(file, number, top)]
            top.clear()
    if stack or (around and not ended):
        opened, since = stack[-1][:2] if stack else around or ("", 0)
        raise HistoryError(file, since, f"the {opened} in this line is never closed; the file may have been cut")
    _untagged(file, text.count("\n") + 1, top)


def _still_open(opened: str, since: int, around: tuple[str, int] | None) -> str:
    opened, since = (opened, since) if opened else around or ("", 0)
    return f"expected {_CLOSES[opened]} for the {opened} of line {since}" if opened else "nothing is open"


def _collection(file: str, line: int, opened: str, items: list[Any]) -> Any:
    items = _untagged(file, line, items)
    if opened != "{":
        return Tagged("{", tuple(items)) if opened == "#{" else tuple(items)
    if len(items) % 2:
        raise HistoryError(file, line, f"a map with a key that has no value: {shown(items[-1])}")
    try:
        made = dict(zip(items[::2], items[1::2], strict=True))
    except TypeError:  # a map as a key
        return Tagged("map", tuple(items))
    if 2 * len(made) < len(items):
        raise HistoryError(file, line, "a map that has a key twice")
    return made


def _untagged(file: str, line: int, items: list[Any]) -> list[Any]:
    """The items with each tag joined to the value after it; `#_` removes that value."""
    if _Tag not in map(type, items):
        return items
    joined: list[Any] = []
    for item in reversed(items):
        if type(item) is not _Tag:
            joined.append(item)
        elif not joined:
            raise HistoryError(file, line, f"#{item.name} without a value after it")
        else:
            value = joined.pop()
            if item.name != "_":
                joined.append(Tagged(item.name, value))
    return joined[::-1]


def _atom(file: str, line: int, token: str, known: dict[str, Any]) -> Any:
    """The value of one token. Adds keywords to `known`."""
    if _INTEGER.fullmatch(token):
        return int(token.rstrip("N"))
    first = token[0]
    if first == ":" and _KEYWORD.fullmatch(token):
        known[token] = keyword(token[1:])
        return known[token]
    if first == '"' and len(token) > 1:
        return _string(file, line, token[1:-1])
    if first == '"':
        raise HistoryError(file, line, "a string that does not end on its line; the file may have been cut")
    if first == "#" and len(token) > 1 and token[1] != "#":
        return _Tag(token[1:])
    if first not in ":^`~@'" and token not in ("#", "\\"):
        return Other(token)
    raise HistoryError(file, line, f"no EDN: {shortened(token)}")


def _string(file: str, line: int, inner: str) -> str:
    if "\\" not in inner:
        return inner

    def unescaped(found: re.Match[str]) -> str:
        code = found[1]
        if len(code) == 5:
            return chr(int(code[1:], 16))
        if code not in _ESCAPED:
            raise HistoryError(file, line, f"unknown escape \\{code} in a string")
        return _ESCAPED[code]

    text = _ESCAPE.sub(unescaped, inner)
    try:
        return text.encode("utf-16", "surrogatepass").decode("utf-16")  # two escapes may make one character
    except UnicodeDecodeError:
        raise HistoryError(file, line, f"half a character in a string: {shortened(inner)}") from None
