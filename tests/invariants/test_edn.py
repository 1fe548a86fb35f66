"""Reading EDN as Clojure writes it, and errors for invalid EDN."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from raft_chaos.invariants.linearizability.readers.edn import Other, Tagged, forms, keyword
from raft_chaos.invariants.linearizability.readers.history_file import HistoryError


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{}", {}),
        ("{:a 1,, :b [1 -2 +3N] ; no\n\n :c (nil true false)}", {"a": 1, "b": (1, -2, 3), "c": (None, True, False)}),
        ('{:a "", :b "\\"\\\\ \\n\\t\\u00e4 \\ud83d\\ude00;{"}', {"a": "", "b": '"\\ \n\tä 😀;{'}),
        ("{:a #{1 2} :b #inst \"2020\" :c #_ 1 2}", {"a": Tagged("{", (1, 2)), "b": Tagged("inst", "2020"), "c": 2}),
        ("{:a 1 #_ #_ :b 2 #_{:c}}", None),
        ("{:a #x #y [1] #_ :b}", {"a": Tagged("x", Tagged("y", (1,)))}),
        ("{:a 1.5e3M :b 2/3 :c ##NaN :d \\a :e \\newline :f a.b/c- :g x'}",
         {"a": Other("1.5e3M"), "b": Other("2/3"), "c": Other("##NaN"), "d": Other("\\a"), "e": Other("\\newline"),
          "f": Other("a.b/c-"), "g": Other("x'")}),
        ("{:a 007 :b 1_000 :c 0x1f}", {"a": Other("007"), "b": Other("1_000"), "c": Other("0x1f")}),
        ("{:a " + "1" * 5000 + "}", {"a": Other("1" * 5000)}),
        ("{:a {{1 2} 3} }", {"a": Tagged("map", ({1: 2}, 3))}),
        ("#a.b/c{:d 1}", Tagged("a.b/c", {keyword("d"): 1})),
    ],
)  # fmt: skip
def test_edn_is_read(text: str, value: Any) -> None:
    if value is None:
        with pytest.raises(HistoryError, match=r"^h:1: a map with a key that has no value: :c$"):
            list(forms("h", text))
        return
    ((began, found),) = forms("h", f"\n , {text}\n")
    assert began == 2
    assert found == ({keyword(name): each for name, each in value.items()} if type(value) is dict else value)


def test_values_have_the_line_on_which_they_begin() -> None:
    text = "{:a\n1}{:b 2} #t\n{:c\n\n3} 4\n#_{:d 5}\n; {\n[6]"
    assert [(number, repr(form)) for number, form in forms("h", text)] == [
        (1, "{:a: 1}"),
        (2, "{:b: 2}"),
        (3, "Tagged(tag='t', value={:c: 3})"),
        (5, "4"),
        (8, "(6,)"),
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{:a 1\n", "h:1: the { in this line is never closed; the file may have been cut"),
        ("{:a 1}\n{:b [1\n", "h:2: the [ in this line is never closed; the file may have been cut"),
        ("[{:a 1}\n", "h:1: the [ in this line is never closed; the file may have been cut"),
        ("{:a 1}}\n", "h:1: } closes nothing; nothing is open"),
        ("\n{:a\n1]\n", "h:3: ] closes nothing; expected } for the { of line 2"),
        ("[{:a 1}\n)", "h:2: ) closes nothing; expected ] for the [ of line 1"),
        ("[]\n1", "h:2: expected nothing after the end of the vector, got 1"),
        ("[" * 202 + "]" * 202, "h:1: nested too deeply; expected at most 200 levels"),
        ("{:a}", "h:1: a map with a key that has no value: :a"),
        ("{:a 1\n:a 2}", "h:2: a map that has a key twice"),
        ('{:a "b\n"}', "h:1: a string that does not end on its line; the file may have been cut"),
        ('{:a "\\q"}', "h:1: unknown escape \\q in a string"),
        ('[[nil true "a"] #{:b 1.5} #t {:c ()}] #_', "h:1: expected nothing after the end of the vector, got #_"),
        ('{:a "\\ud83d"}', "h:1: half a character in a string: \\ud83d"),
        ("{: 1}", "h:1: no EDN: :"),
        ("{:a: 1}", "h:1: no EDN: :a:"),
        ("{:a ^b c}", "h:1: no EDN: ^"),
        ("{:a #}", "h:1: no EDN: #"),
        ("{:a \\", "h:1: no EDN: \\"),
        ("{:a #inst}", "h:1: #inst without a value after it"),
        ("{:a 1}\n#_\n", "h:3: #_ without a value after it"),
        ("{:a: " + "a" * 2000 + ":}", "h:1: no EDN: :a:"),
    ],
)
def test_invalid_edn_is_an_error_with_its_line(text: str, said: str) -> None:
    with pytest.raises(HistoryError) as caught:
        list(forms("h", text))
    assert str(caught.value) == said


def test_a_keyword_is_one_object_wherever_it_comes_from() -> None:
    ((_, made),) = forms("h", "{:a/b :a/b}")
    ((first, second),) = made.items()
    assert first is second is pickle.loads(pickle.dumps(first))
    assert first != ":a/b"
