"""Keys by their providers' forms, apart from all else that a guard looks for."""

from __future__ import annotations

import random
import re
import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmops_cli.guard.keys import keys_in
from llmops_cli.guard.recognisers import key_forms, key_recognisers

LETTERS = string.ascii_letters + string.digits


def drawn(count: int, letters: str = LETTERS) -> str:
    return "".join(random.Random(count).choices(letters, k=count))


KEYS = {
    "anthropic": f"sk-ant-api03-{drawn(80)}",
    "openai": f"sk-proj-{drawn(60)}",
    "aws-key-id": f"AKIA{drawn(16, string.ascii_uppercase + string.digits)}",
    "github": f"ghp_{drawn(36)}",
    "huggingface": f"hf_{drawn(34)}",
    "stripe": f"rk_live_{drawn(24)}",
    "twilio": f"SK{drawn(32, '0123456789abcdef')}",
    "llmops": f"llmops_{drawn(43)}",
}


@pytest.mark.parametrize("form", KEYS)
@pytest.mark.parametrize(
    "around",
    ["{}", "the key is {}.", 'KEY="{}"\n', "Schlüssel: {} – so", "密钥是{}です", "é{}é"],
)
def test_a_key_is_found_wherever_it_stands(form: str, around: str) -> None:
    text = around.format(KEYS[form])
    (found,) = keys_in(text)
    assert (found.form, found.key) == (form, KEYS[form])
    assert text[slice(*found.span)] == KEYS[form]


@pytest.mark.parametrize(
    "text",
    [
        "AKIAIOSFODNN7EXAMPLE",
        "sk-" + "x" * 48,
        "sk-ant-" + "0" * 30,
        "a-task-" + drawn(40),
        "pk_live_" + drawn(24),  # Stripe's for pages: everybody may read it
        "sk-ant-... is how they begin",
        "llmops_gateway_upstream_requests_total",
        "llmops_requests_under_way_total_9abcdefgh",
        "sk-loading-spinner-component-v2-large",
        "Straße",
        "\ud800 sk-",
        "",
    ],
)
def test_what_only_looks_like_one_is_none(text: str) -> None:
    assert list(keys_in(text)) == []


@settings(max_examples=400, deadline=None)
@given(data=st.data(), form=st.sampled_from(key_forms()))
def test_every_key_has_a_mark(data: st.DataObject, form: str) -> None:
    recognisers = key_recognisers()
    known = {each.rule: each.pattern for each in recognisers.known}
    key = data.draw(st.from_regex(re.compile(known[form].pattern, re.ASCII), fullmatch=True))
    assert recognisers.may_hold(f"({key})")


def test_two_of_one_provider_are_two() -> None:
    one = f"sk-proj-{drawn(50)}"
    other = f"sk-proj-{drawn(51)}"
    assert [each.key for each in keys_in(f"{one} {other}")] == [one, other]
