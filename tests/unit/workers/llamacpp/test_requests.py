"""Request bodies: what they may hold, what they mean, and how they are refused."""

from __future__ import annotations

import json
import re

import pytest

pytest.importorskip("llama_cpp", reason="llama-cpp-python is not installed")

from llamacpp.server.errors import BadRequest
from llamacpp.server.requests import (
    ChatRequest,
    CompletionRequest,
    TokenizeRequest,
    decode,
    flatten,
    prompts_of,
    sampling_of,
    stops_of,
)


def completion(**fields: object) -> CompletionRequest:
    return decode(json.dumps(fields).encode(), CompletionRequest)


def chat(**fields: object) -> ChatRequest:
    return decode(json.dumps({"messages": [], **fields}).encode(), ChatRequest)


@pytest.mark.parametrize(
    ("given", "prompts"),
    [
        ("a", ["a"]),
        (["a", "b"], ["a", "b"]),
        ([1, 2], [[1, 2]]),
        ([[1], [2, 3]], [[1], [2, 3]]),
        ([], [""]),
    ],
)
def test_a_prompt_has_four_forms(given: object, prompts: list[object]) -> None:
    assert prompts_of(completion(prompt=given)) == prompts


def test_token_ids_and_texts_do_not_mix() -> None:
    with pytest.raises(BadRequest, match="not mixed"):
        prompts_of(completion(prompt=["a", 3]))


@pytest.mark.parametrize(("given", "stops"), [(None, []), ("x", ["x"]), (["x", "y"], ["x", "y"])])
def test_a_stop_is_one_string_or_many(given: object, stops: list[str]) -> None:
    assert stops_of(completion(stop=given)) == stops


def test_too_many_stops_are_refused() -> None:
    with pytest.raises(BadRequest, match="at most 16"):
        stops_of(completion(stop=["x"] * 17))


def test_what_is_not_given_is_the_samplers_own_default() -> None:
    params = sampling_of(completion(top_k=5, seed=0), top_logprobs=-1, vocabulary_size=50)
    assert params.top_k == 5
    assert params.seed == 0
    assert params.temperature == 1.0
    assert not params.wants_logprobs


def test_a_biased_token_must_exist() -> None:
    with pytest.raises(BadRequest, match="token 50 is not in the vocabulary \\(0 to 49\\)"):
        sampling_of(completion(logit_bias={"50": 1}), top_logprobs=-1, vocabulary_size=50)


@pytest.mark.parametrize(
    ("fields", "limit"),
    [({}, None), ({"max_tokens": 3}, 3), ({"max_tokens": 3, "max_completion_tokens": 0}, 0)],
)
def test_the_newer_limit_of_a_chat_wins(fields: dict[str, int], limit: int | None) -> None:
    assert chat(**fields).token_limit == limit


def test_completions_end_after_openais_default() -> None:
    assert completion().answer_limit == 16


def test_both_names_of_the_limit_are_those_of_completions_too() -> None:
    """Load generators send both to both endpoints."""
    assert completion(max_tokens=3, max_completion_tokens=3).answer_limit == 3
    assert completion(max_completion_tokens=5).answer_limit == 5


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        ({}, -1),
        ({"top_logprobs": 3}, -1),
        ({"logprobs": True}, 0),
        ({"logprobs": True, "top_logprobs": 3}, 3),
    ],
)
def test_a_chat_asks_for_log_probabilities_with_a_word(
    fields: dict[str, object], wanted: int
) -> None:
    assert chat(**fields).wanted_logprobs == wanted


def test_text_parts_become_one_text() -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    assert flatten({"role": "user", "content": parts}) == {"role": "user", "content": "ab"}
    assert flatten({"role": "user"}) == {"role": "user", "content": ""}


@pytest.mark.parametrize(
    "message", [{"content": "a"}, {"role": "user", "content": [{"type": "image_url"}]}]
)
def test_a_message_without_role_or_with_pictures_is_refused(message: dict[str, object]) -> None:
    with pytest.raises(BadRequest):
        flatten(message)


def test_both_names_of_the_text_to_tokenize_are_known() -> None:
    assert decode(b'{"content": "a", "prompt": "b"}', TokenizeRequest).text == "a"
    assert decode(b'{"prompt": "b"}', TokenizeRequest).text == "b"


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"n": 0}', b'{"temperature": -1}'])
def test_a_body_that_makes_no_sense_is_the_clients_error(body: bytes) -> None:
    with pytest.raises(BadRequest) as refused:
        decode(body, CompletionRequest)
    assert refused.value.status == 400
    assert "`" not in refused.value.message


@pytest.mark.parametrize(
    ("fields", "param", "word"),
    [
        ({"temprature": 0.5}, "temprature", "did you mean temperature?"),
        ({"guided_json": {"type": "object"}}, "guided_json", "did you mean response_format?"),
        ({"n_predict": 5}, "n_predict", "did you mean max_tokens?"),
        ({"mirostat": 2}, "mirostat", "cannot do this"),
        ({"prompt_embeds": "AA"}, "prompt_embeds", "cannot do this"),
        ({"zzzzzz": 1}, "zzzzzz", "no such field; leave it out"),
        ({"messages": [1]}, "messages", "no such field"),
    ],
    ids=str,
)
def test_a_field_that_asks_for_what_is_not_done_is_refused(
    fields: dict[str, object], param: str, word: str
) -> None:
    with pytest.raises(BadRequest, match=re.escape(word)) as refused:
        completion(**fields)
    assert refused.value.param == param


@pytest.mark.parametrize(
    "fields",
    [
        {"user": "me", "metadata": {"a": 1}, "service_tier": "flex", "store": True},
        {"guided_json": None, "min_tokens": 0, "stop_token_ids": [], "mirostat": 0.0},
        {"skip_special_tokens": True, "use_beam_search": False, "zzzzzz": False, "yyyyyy": {}},
    ],
    ids=["without effect", "neutral", "empty"],
)
def test_a_field_that_asks_for_nothing_is_taken(fields: dict[str, object]) -> None:
    assert completion(**fields) == completion()


@pytest.mark.parametrize(
    ("body", "param", "said"),
    [
        (b"[]", None, "the body must be an object, not a list"),
        (b'{"n": 0}', "n", "n must be a whole number from 1 to 128, not 0"),
        (
            b'{"max_tokens": "many"}',
            "max_tokens",
            "max_tokens must be a whole number of at least 0",
        ),
        (b'{"temperature": 3}', "temperature", "temperature must be a number from 0 to 2, not 3"),
        (b'{"stop": 5}', "stop", "stop must be text or a list, each text, not 5"),
        (b'{"stream": {}}', "stream", "stream must be true or false, not an object"),
        (b'{"messages": "hi"}', "messages", "messages must be a list, each an object, not text"),
        (b'{"n": 1' + b"0" * 400 + b"}", "n", "from 1 to 128, not a number"),
        (b'{"n": "a", "user": "\xff"}', "n", "n must be a whole number from 1 to 128, not text"),
        (b'{"n": "\xff"}', "n", "not what is no JSON"),
        (b'{"seed": []}', "seed", "seed must be a whole number, not a list"),
    ],
)
def test_a_wrong_field_is_told_in_the_clients_words(
    body: bytes, param: str | None, said: str
) -> None:
    with pytest.raises(BadRequest) as refused:
        decode(body, ChatRequest)
    assert refused.value.param == param
    assert said in str(refused.value)
