"""Characters that were cut are replaced, and nothing else is."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from llmops_cli.core.cut_characters import with_whole_characters

SURROGATES = st.characters(categories=("Cs",))
ANY = st.text(st.characters() | SURROGATES | st.sampled_from('\\"u😀'))


@given(ANY)
def test_halves_of_pairs_become_the_replacement_character(text: str) -> None:
    raw = json.dumps(text).encode()
    heard = json.loads(raw)  # two halves that met are a character
    expected = ["\ufffd" if "\ud800" <= char <= "\udfff" else char for char in heard]
    assert json.loads(with_whole_characters(raw)) == "".join(expected)


@given(ANY)
def test_whole_texts_stay(text: str) -> None:
    whole = text.encode(errors="ignore").decode()
    raw = json.dumps(whole).encode()
    assert with_whole_characters(raw) == raw.decode()
