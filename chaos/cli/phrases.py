"""The phrases of msgspec, which reads our files, in plain words: a file is refused with the field and what it has."""

from __future__ import annotations

import re

_PHRASES = (
    (r"Object missing required field `([^`]+)`", r"the field '\1' is missing"),
    (r"Object contains unknown field `([^`]+)`", r"there is no field '\1'"),
    (r"Expected `([^`]+)`, got `([^`]+)`", r"expected \1, got \2"),
    (r"Expected `([^`]+)` (.+?)(?= - at|$)", r"expected \1 \2"),
    (r"Invalid (?:enum )?value ('[^']*')", r"there is no \1"),
    (r"Input data was truncated", "it ends in the middle of a value"),
    (r" - at `key` in `\$\.?([^`]*)`", r", in a key of \1"),
    (r" - at `\$\.?([^`]+)`", r", at \1"),
)
_IN_PLAIN_WORDS = [(re.compile(phrase), plain) for phrase, plain in _PHRASES]


def plain(message: str) -> str:
    """The message with such phrases replaced."""
    for phrase, words in _IN_PLAIN_WORDS:
        message = phrase.sub(words, message)
    return message
