"""Secrets directly behind escapes, and what an escape within a text does to places."""

from __future__ import annotations

import html
import json
import string
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from types import FrameType
from urllib.parse import quote, unquote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmops_cli.guard.escapes import unescaped
from llmops_cli.guard.keys import keys_in
from llmops_cli.guard.personal import find, redact
from llmops_cli.guard.stream import Redactor
from llmops_cli.serve.judging.key_search import search_keys
from llmops_cli.serve.seen_texts import SeenTexts
from tests.unit.guard.test_keys import KEYS

KEY = KEYS["openai"]
KINDS = {"secret", "password", "email", "card", "jwt", "private_key"}
SEPARATORS = st.sampled_from([*"\n\r\t\"'/=: ;,()<>&", "\u5bc6", "\u00a0", "\ufeff", "\u2028"])
CODES = st.sampled_from(["json", "json twice", "\\x", "\\u", "%", "%25", "&#", "&#x", "name"])


def escaped(char: str, code: str) -> str:
    """As it is written within JSON, a URL or HTML."""
    point = ord(char)
    if code == "json" or (point > 0xFF and code in ("\\x", "%", "%25")):
        return json.dumps(char)[1:-1]
    if code == "json twice":
        return json.dumps(json.dumps(char)[1:-1])[1:-1]
    names = {"\n": "&nbsp;", "'": "&apos;"}
    forms = {
        "\\x": f"\\x{point:02x}",
        "\\u": f"\\u{point:04X}",
        "%": f"%{point:02X}",
        "%25": f"%25{point:02x}",
        "&#": f"&#{point};",
        "&#x": f"&#x{point:x};",
        "name": names.get(char, html.escape(char)),
    }
    return forms[code]


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(KEYS)), SEPARATORS, CODES, st.sampled_from(["", "KEY", "a key:"]))
def test_a_key_directly_behind_an_escape_is_found_by_guard_and_gateway(
    form: str, char: str, code: str, before: str
) -> None:
    """In both the same key, and in the text no more and no less than it."""
    head = f"{before}{escaped(char, code)}"
    text = f"{head}{KEYS[form]}{escaped(char, code)} and on"
    (found,) = keys_in(text)
    assert (found.form, found.key) == (form, KEYS[form])
    assert text[slice(*found.span)] == KEYS[form]
    assert [each.form for each in search_keys(SeenTexts(asked=[text]))] == [form]
    secrets = [entity for entity in find(text) if entity.kind == "secret"]
    assert KEYS[form] not in redact(text, secrets)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"KEY:\\n{KEY}", "KEY:\\n[SECRET]"),
        (f"KEY\\\\n{KEY}", "KEY\\\\n[SECRET]"),
        (f"key%3D{KEY}", "key%3D[SECRET]"),
        (f"k\\u003d{KEY}\\u0026on", "k\\u003d[SECRET]\\u0026on"),
        (f"&quot;{KEY}&quot;", "&quot;[SECRET]&quot;"),
        ('{\\"password\\": \\"Tr0ub4dor&3\\"}', '{\\"password\\": \\"[PASSWORD]\\"}'),
        ("password%3DTr0ub4dor%2B3 on", "password%3D[PASSWORD] on"),
        ("to\\nbob@example.org", "to\\n[EMAIL]"),
        ("to=bob%40example.org", "to=[EMAIL]"),
        ("C:\\new\\table 100%25 of &amp; all", "C:\\new\\table 100%25 of &amp; all"),
        ("password=abc%20Def123 on", "password=[PASSWORD] on"),
        (f"{KEYS['aws-key-id']}\\u0061@example.org", "[SECRET]\\[EMAIL]"),
    ],
)
def test_what_is_taken_out_leaves_the_escapes_around_it_whole(text: str, expected: str) -> None:
    entities = find(text)
    assert redact(text, entities) == expected


@given(st.text(st.sampled_from("ab%25\\nrtu003d&;#xquot4 @.\u00e9\ud83d"), max_size=60))
def test_places_are_those_of_the_source(text: str) -> None:
    meant = unescaped(text)
    if meant is None:
        assert "\\n" not in text
        return
    assert len(meant.text) < len(text)
    places = [meant.in_source(place) for place in range(len(meant.text) + 1)]
    assert places == sorted(set(places))
    assert (places[0], places[-1]) == (0, len(text))
    inside = {place for place in range(len(text)) if meant.is_within(place)}
    assert inside == set(range(len(text))) - set(places)
    plain = [place for place in range(len(meant.text)) if places[place + 1] == places[place] + 1]
    assert all(meant.text[place] == text[places[place]] for place in plain)


@given(st.text(string.printable, max_size=40))
def test_what_libraries_escape_is_meant_again(text: str) -> None:
    for written, read in ((json.dumps(text)[1:-1], text), (quote(text, safe=""), text)):
        meant = unescaped(written)
        assert meant is None or "\\" in text or "%" in text or "&" in text or meant.text == read
    assert unquote(quote(text)) == text


PIECES = ["\\n", "%20", "%3D", "\\u003d", "&quot;", "password", " is ", " ", "4111", "1111", "\n"]
PIECES += [KEY, "bob@example.org", "Tr0ub4dor", "x", ".", "=", "\\", "%", "+49 30", "901820"]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=14), st.data())
def test_a_stream_with_escapes_is_redacted_as_the_whole(
    parts: list[str], data: st.DataObject
) -> None:
    text = "".join(parts)
    cuts = data.draw(st.lists(st.integers(0, len(text)), max_size=8))
    edges = [0, *sorted(cuts), len(text)]
    redactor = Redactor(KINDS)
    said = "".join(redactor.feed(text[a:b]) for a, b in pairwise(edges))
    whole = [each for each in find(text) if each.kind in KINDS]
    assert said + redactor.finish() == redact(text, whole)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("card 4111 1111%201111 1111 ok", "card"),
        ("passport" + " \\u0020" * 11 + " X1234567 ok", "national_id"),
        (f"the key\\n{KEY} ok", "secret"),
        ("password%20is Tr0ub4dor&3 ok", "password"),
    ],
)
def test_a_stream_of_single_characters_waits_and_looks_back_beyond_escapes(
    text: str, kind: str
) -> None:
    (entity,) = find(text)
    assert entity.kind == kind
    redactor = Redactor({kind})
    said = "".join(map(redactor.feed, text)) + redactor.finish()
    assert said == redact(text, [entity])


@contextmanager
def counted_unescaping() -> Iterator[list[int]]:
    """How many characters each call of `unescaped` reads."""
    lengths: list[int] = []

    def note(frame: FrameType, event: str, arg: object) -> None:
        if event == "call" and frame.f_code is unescaped.__code__:
            lengths.append(len(frame.f_locals["text"]))

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        yield lengths
    finally:
        sys.setprofile(before)


@pytest.mark.parametrize("unit", ["&amp;#000065;", "\\u0041", "%41", "%2541", "&quot;"])
def test_a_stream_of_escapes_is_unescaped_a_few_times_however_long_it_is(unit: str) -> None:
    text = unit * (24_000 // len(unit))
    redactor = Redactor(KINDS)
    said = 0
    work = 0
    with counted_unescaping() as lengths:
        for fed in range(4, len(text) + 4, 4):
            said += len(redactor.feed(text[fed - 4 : fed]))
            work += sum(lengths)
            lengths.clear()
            assert work < 32 * fed
            assert fed - said <= 20_000
    assert work > len(text)


def test_a_key_behind_a_long_run_of_escapes_is_found_in_a_stream() -> None:
    text = "&amp;#000065;" * 200 + f"%20{KEY} and on"
    redactor = Redactor(KINDS)
    said = "".join(redactor.feed(text[at : at + 4]) for at in range(0, len(text), 4))
    assert said + redactor.finish() == text.replace(KEY, "[SECRET]")
