"""Requests that no engine may serve as if nothing were wrong, and that may hurt none.

Each is one fault in a request that is right otherwise. `param`: the field that the refusal names.
"""

from __future__ import annotations

from typing import NamedTuple

JsonObject = dict[str, object]

COMPLETIONS = "/v1/completions"
CHAT = "/v1/chat/completions"


class Hostile(NamedTuple):
    """A body for a path. `param` None: it is wrong as a whole."""

    name: str
    path: str
    fields: JsonObject
    param: str | None = None
    status: int = 400


def _completion(name: str, param: str | None = None, /, **fields: object) -> Hostile:
    prompt: JsonObject = {"prompt": "a b c"}
    return Hostile(name, COMPLETIONS, prompt | {"max_tokens": 4} | fields, param)


def _chat(name: str, param: str | None = None, /, **fields: object) -> Hostile:
    messages: JsonObject = {"messages": [{"role": "user", "content": "hi"}]}
    return Hostile(name, CHAT, messages | {"max_tokens": 4} | fields, param)


IMAGE = {"type": "image_url", "image_url": {"url": "data:,"}}

BEYOND: JsonObject = {
    "an_unknown_field": [1],
    "temprature": 0.5,
    "guided_json": {"type": "object"},
    "guided_regex": "a+",
    "guided_choice": ["a", "b"],
    "structured_outputs": {"choice": ["a"]},
    "json_schema": {"type": "object"},
    "stop_token_ids": [5],
    "min_tokens": 3,
    "bad_words": ["x"],
    "allowed_token_ids": [5],
    "use_beam_search": True,
    "truncate_prompt_tokens": 1,
    "prompt_embeds": "AAAA",
    "functions": [{"name": "f"}],
    "function_call": {"name": "f"},
    "n_predict": 3,
    "mirostat": 2,
    "typical_p": 0.1,
    "length_penalty": 2,
    "prompt_logprobs": 2,
    "skip_special_tokens": False,
}
"""Fields that no server of ours has; each asks for another answer."""

BEYOND_CHATS: JsonObject = {
    "prompt": "a",
    "chat_template": "{{ messages }}",
    "continue_final_message": True,
    "add_generation_prompt": False,
    "modalities": ["audio"],
    "web_search_options": {"a": 1},
    "echo": True,
}

CALL = {"name": "f", "arguments": "{}"}
MALFORMED: dict[str, JsonObject] = {
    "an unknown role": {"role": "x", "content": "hi"},
    "an object as content": {"role": "user", "content": {"a": 1}},
    "calls as text": {"role": "assistant", "tool_calls": "x"},
    "a call without function": {"role": "assistant", "tool_calls": [{"id": "a"}]},
    "a call without name": {"role": "assistant", "tool_calls": [{"function": {}}]},
    "arguments that are no JSON": {
        "role": "assistant",
        "tool_calls": [{"function": CALL | {"arguments": "{"}}],
    },
    "a number as arguments": {
        "role": "assistant",
        "tool_calls": [{"function": CALL | {"arguments": 7}}],
    },
}
"""Messages of a form that no chat has."""

HOSTILE = (
    _completion("a token below all", "prompt", prompt=[5, -1, 6]),
    _completion("a token beyond all", "prompt", prompt=[5, 10_000_000]),
    _completion("a token beyond every integer", "prompt", prompt=[5, 1 << 70]),
    _completion("a flag as token", "prompt", prompt=[5, True]),
    _completion("half a token", "prompt", prompt=[5, 1.5]),
    _completion("tokens among texts", "prompt", prompt=["a", 5]),
    _completion("no prompt", "prompt", prompt=""),
    _completion("an empty list", "prompt", prompt=[]),
    _completion("a number as prompt", "prompt", prompt=7),
    _completion("an object as prompt", "prompt", prompt={"a": 1}),
    _completion("300,000 tokens", "prompt", prompt=[5] * 300_000),
    _completion("a megabyte of words", "prompt", prompt="word " * 200_000),
    _completion("three megabytes of a letter", "prompt", prompt="z" * 3_000_000),
    _completion("top_p 5", "top_p", top_p=5),
    _completion("top_p 0 below", "top_p", top_p=-0.1),
    _completion("top_p as text", "top_p", top_p="much"),
    _completion("top_k -5", "top_k", top_k=-5),
    _completion("half a top_k", "top_k", top_k=1.5),
    _completion("temperature -1", "temperature", temperature=-1),
    _completion("temperature as list", "temperature", temperature=[1]),
    _completion("temperature true", "temperature", temperature={"a": 1}),
    _completion("max_tokens below", "max_tokens", max_tokens=-4),
    _completion("max_tokens as text", "max_tokens", max_tokens="many"),
    _completion("a seed as text", "seed", seed="lucky"),
    _completion("a seed of 80 bits", "seed", seed=1 << 80),
    _completion("a stop that is no text", "stop", stop=[1]),
    _completion("99 stops", "stop", stop=["x"] * 99),
    _completion("a penalty of 9", "presence_penalty", presence_penalty=9),
    _completion("a penalty as text", "frequency_penalty", frequency_penalty="x"),
    _completion("a bias of no token", "logit_bias", logit_bias={"-3": 1}),
    _completion("a bias of a word", "logit_bias", logit_bias={"the": 1}),
    _completion("a bias as list", "logit_bias", logit_bias=[1]),
    _completion("stream as text", "stream", stream="perhaps"),
    _completion("stream options as text", "stream_options", stream=True, stream_options="all"),
    _completion("n 0", "n", n=0),
    _completion("n -1", "n", n=-1),
    _completion("a temperature over 2", "temperature", temperature=2.1),
    _completion("no tokens", "max_tokens", max_tokens=0),
    _completion("no tokens by the newer name", "max_completion_tokens", max_completion_tokens=0),
    _completion("a text beside tokens", "prompt", prompt=["a", [5]]),
    _completion("tokens with a point", "prompt", prompt=[1.0, 2.0]),
    _completion("tokens with a point in a list", "prompt", prompt=[[1.0]]),
    _completion("an unknown format", "response_format", response_format={"type": "poem"}),
    *(_completion(name, name, **{name: value}) for name, value in BEYOND.items()),
    *(_chat(f"{name} of a chat", name, **{name: value}) for name, value in BEYOND.items()),
    *(_chat(name, name, **{name: value}) for name, value in BEYOND_CHATS.items()),
    _chat("alternatives of no log-probabilities", "top_logprobs", top_logprobs=3),
    _chat("no messages", "messages", messages=[]),
    _chat("messages as text", "messages", messages="hi"),
    _chat("a message as text", "messages", messages=["hi"]),
    _chat("no role", "messages", messages=[{"content": "hi"}]),
    _chat("an image", "messages", messages=[{"role": "user", "content": [IMAGE]}]),
    _chat("a long message", "messages", messages=[{"role": "user", "content": "z" * 3_000_000}]),
    _chat("a number as content", "messages", messages=[{"role": "user", "content": 7}]),
    _chat("a list in a part", "messages", messages=[{"role": "user", "content": [["hi"]]}]),
    *(_chat(name, "messages", messages=[message]) for name, message in MALFORMED.items()),
    Hostile("another model", COMPLETIONS, {"prompt": "a", "model": "other"}, "model", 404),
)
"""Of every server that computes."""

UNABLE = (
    _completion("n 2", "n", n=2),
    _completion("best_of", "best_of", best_of=3),
    _completion("echo", "echo", echo=True),
    _completion("suffix", "suffix", suffix="end"),
    _completion("logprobs 0", "logprobs", logprobs=0),
    _completion("a grammar", "grammar", grammar='root ::= "a"'),
    _chat("logprobs", "logprobs", logprobs=True),
    _chat("a JSON answer", "response_format", response_format={"type": "json_object"}),
    _chat("tools", "tools", tools=[{"type": "function", "function": {"name": "f"}}]),
)
"""What the workers of other engines cannot do, and must not pass over."""

UNSEEDED = (
    _completion("a seed", "seed", seed=7, temperature=1),
    _completion("presence_penalty", "presence_penalty", presence_penalty=1),
    _completion("frequency_penalty", "frequency_penalty", frequency_penalty=1),
    _completion("repetition_penalty", "repetition_penalty", repetition_penalty=1.2),
    _completion("logit_bias", "logit_bias", logit_bias={"5": 2}),
    _completion("min_p", "min_p", min_p=0.1, temperature=1),
)
"""What an engine cannot do that does not draw each token by our code."""

RAW = (
    b"",
    b"{",
    b"[1, 2]",
    b'"text"',
    b'{"prompt": "a", "temperature": NaN}',
    b'{"prompt": "a", "temperature": 1e999}',
    b'{"prompt": "\\ud800"}',
    b'{"prompt": "\xff\xfe"}',
    b'{"prompt": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
)
"""Bodies that are no JSON, or none of a request."""

HARMLESS = (
    {},
    {"temperature": None, "seed": None, "stop": None, "logit_bias": None},
    {"seed": -1, "top_k": -1, "top_p": 1, "n": 1},
    {"seed": 3, "temperature": 0},
    {"temperature": 1e-300},
    {"temperature": 1, "top_p": 1e-300},
    {"temperature": 1, "top_p": 1e-46},
    {"temperature": 2, "top_k": 1_000_000, "top_p": 1e-9},
    {"presence_penalty": 0.0, "frequency_penalty": 0, "logit_bias": {}},
    {"response_format": {"type": "text"}, "user": "me", "metadata": {"a": "b"}},
    {"store": True, "service_tier": "auto", "safety_identifier": "x", "prompt_cache_key": "y"},
    {"guided_json": None, "stop_token_ids": [], "mirostat": 0, "use_beam_search": False},
    {"an_unknown_field": None, "another": False, "third": []},
    {"stop": []},
)
"""Fields that are served like none."""
