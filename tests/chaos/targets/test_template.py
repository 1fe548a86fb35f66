"""Texts with fields, and paths into answers."""

from __future__ import annotations

from typing import Any

import pytest

from raft_chaos.chaos.targets.template import MISSING, UNREADABLE, Path, TemplateError, check, fill, fill_all


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("{node} at {port.client}", "n1 at 4001"),
        ('{"key": "{node}"}', '{"key": "n1"}'),
        ("{node|base64}", "bjE="),
        ("/kv/{path|url}", "/kv/a%2Fb"),
        ("{list|json}", '["a", "b"]'),
        ("{nothing}", ""),
        ("{unknown} {}", "{unknown} {}"),
    ],
)
def test_fields_are_filled_in_and_other_braces_left_alone(text: str, filled: str) -> None:
    values = {"node": "n1", "port.client": 4001, "path": "a/b", "list": ["a", "b"], "nothing": None}
    assert fill(text, values) == filled


def test_all_texts_of_a_body_are_filled_in() -> None:
    body = {"op": "put", "args": ["{key}", {"value": "{value|base64}", "lease": 0}]}
    filled = {"op": "put", "args": ["k", {"value": "dg==", "lease": 0}]}
    assert fill_all(body, {"key": "k", "value": "v"}) == filled


def test_a_field_alone_keeps_its_type() -> None:
    values = {"expected": None, "serial": 7, "value": ["a"]}
    body = {"expected": "{expected}", "serial": "{serial}", "text": "no {serial}{expected}", "value": "{value}"}
    assert fill_all(body, values) == {"expected": None, "serial": 7, "text": "no 7", "value": ["a"]}


@pytest.mark.parametrize(
    ("text", "said"),
    [("{nod}", "did you mean 'node'"), ("{node|bas64}", "did you mean 'base64'"), ("{x}", "there are")],
)
def test_an_unknown_field_or_filter_is_refused_with_the_nearest_name(text: str, said: str) -> None:
    with pytest.raises(TemplateError, match=said):
        check(text, ["node", "port.client"])


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("kvs.0.value|unbase64", "v"),
        ("kvs.0.rev | int", 7),
        ("kvs.1.value", MISSING),
        ("kvs.first", MISSING),
        ("header", MISSING),
        (".", {"kvs": [{"value": "dg==", "rev": "7"}]}),
    ],
)
def test_a_path_leads_into_an_answer(path: str, found: Any) -> None:
    assert Path(path).of({"kvs": [{"value": "dg==", "rev": "7"}]}) == found


def test_what_a_filter_cannot_take_is_an_unreadable_answer() -> None:
    for path, answer in (
        ("a|unbase64", {"a": "!"}),
        ("a|int", {"a": "x"}),
        ("a|unjson", {"a": "{"}),
        ("a|int", {"a": {}}),
    ):
        with pytest.raises(UNREADABLE):
            Path(path).of(answer)
