"""Text comes in whole characters and never shows a part of a stop string."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from _openai.decoder import IncrementalDecoder

TEXT = st.text(alphabet="abé🙂 \n", max_size=40)
STOPS = st.lists(st.text(alphabet="abé ", min_size=1, max_size=4), max_size=3)


def decode(tokens: list[int]) -> str:
    """A token is a byte."""
    return bytes(tokens).decode(errors="replace")


def before_first_stop(text: str, stops: list[str]) -> str:
    places = [text.find(stop) for stop in stops if stop in text]
    return text[: min(places)] if places else text


@given(TEXT, STOPS)
def test_pieces_add_up_to_the_text_before_a_stop(text: str, stops: list[str]) -> None:
    decoder = IncrementalDecoder(decode, stops)
    given_out = ""
    tokens = list(text.encode())
    for place, token in enumerate(tokens):
        piece = decoder.add([token], last=place == len(tokens) - 1)
        assert "\ufffd" not in piece
        given_out += piece
        if decoder.stopped:
            break
    assert text.startswith(given_out)
    assert not any(stop in given_out for stop in stops)
    if not decoder.stopped:
        assert given_out == text


@given(TEXT, STOPS)
def test_of_several_stops_in_one_token_the_first_in_the_text_counts(
    text: str, stops: list[str]
) -> None:
    decoder = IncrementalDecoder(decode, stops)
    assert decoder.add(list(text.encode()), last=True) == before_first_stop(text, stops)


def test_a_stop_string_is_held_back_until_it_is_certain() -> None:
    decoder = IncrementalDecoder(decode, ["END"])
    assert decoder.add(list(b"one E")) == "one "
    assert decoder.add(list(b"N")) == ""
    assert decoder.add(list(b"X")) == "ENX"
    assert decoder.add(list(b" END two")) == " "
    assert decoder.stopped


def test_what_is_left_of_a_cut_character_comes_with_the_last_token() -> None:
    decoder = IncrementalDecoder(decode, [])
    assert decoder.add(list("é".encode())[:1]) == ""
    assert decoder.add([], last=True) == "\ufffd"
