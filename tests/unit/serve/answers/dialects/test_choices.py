"""An answer has two forms, whole and streamed, and means the same in both."""

from __future__ import annotations

from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from llmops_cli.serve.answers.dialects.chat import ChatChoices
from llmops_cli.serve.answers.dialects.choice_texts import places_of
from llmops_cli.serve.answers.dialects.choices import assembled, spelt
from llmops_cli.serve.answers.dialects.completions import TextChoices
from tests.unit.serve.streams import stream_of, text_in

texts = st.text(max_size=40)
functions = st.fixed_dictionaries({"name": st.text(min_size=1, max_size=5), "arguments": texts})
calls = st.lists(
    st.fixed_dictionaries(
        {
            "id": st.text(min_size=1, max_size=5),
            "type": st.just("function"),
            "function": functions,
        }
    ),
    min_size=1,
    max_size=3,
)


@given(
    content=texts,
    tools=st.none() | calls,
    count=st.integers(1, 3),
    reason=st.sampled_from(["stop", "length"]),
)
def test_a_chat_is_the_same_after_being_spelt(
    content: str,
    tools: Any,
    count: int,
    reason: str,
) -> None:
    message: dict[str, Any] = {"role": "assistant", "content": content}
    if tools:
        message["content"] = content or None
        message["tool_calls"] = tools
    whole = {
        "id": "x",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [
            {
                "index": index,
                "message": message,
                "finish_reason": reason,
            }
            for index in range(count)
        ],
        "usage": {"prompt_tokens": 1, "completion_tokens": 2},
    }
    form = ChatChoices()
    assert assembled(b"".join(spelt(whole, form, usage=True)), form) == whole


@given(text=texts, count=st.integers(1, 3))
@example(text=" \n", count=1)
def test_a_completion_is_the_same_after_being_spelt(text: str, count: int) -> None:
    whole = {
        "id": "x",
        "object": "text_completion",
        "choices": [
            {
                "index": index,
                "text": text,
                "finish_reason": "stop",
            }
            for index in range(count)
        ],
    }
    form = TextChoices()
    assert assembled(b"".join(spelt(whole, form, usage=False)), form) == whole


def test_a_server_that_does_not_name_its_objects_is_understood() -> None:
    """Some leave `object` out: what was said must not get lost with it."""
    message = {"role": "assistant", "content": " a b"}
    chat = {
        "choices": [
            {
                "index": 0,
                "message": message,
                "finish_reason": "length",
            }
        ]
    }
    assert text_in(b"".join(spelt(chat, ChatChoices(), usage=False))) == " a b"
    text = {
        "choices": [
            {
                "index": 0,
                "text": " a b",
                "finish_reason": "length",
            }
        ]
    }
    events = b"".join(spelt(text, TextChoices(), usage=False))
    assert events.count(b'"text":" ') == 2


def test_what_is_not_whole_is_not_assembled() -> None:
    form = ChatChoices()
    raw = stream_of(["a", "b"])
    unfinished = raw.replace(b'"finish_reason": "stop"', b'"finish_reason": null')
    assert assembled(raw, form) is not None
    assert assembled(raw.replace(b"data: [DONE]\n\n", b""), form) is None
    assert assembled(unfinished, form) is None
    assert assembled(b'data: {"error": {"message": "x"}}\n\ndata: [DONE]\n\n', form) is None
    assert assembled(b"data: nonsense\n\ndata: [DONE]\n\n", form) is None


def test_every_field_in_which_a_model_speaks_is_found() -> None:
    call = {"index": 1, "function": {"name": "f", "arguments": "{}"}}
    delta = {
        "content": "a",
        "reasoning_content": "b",
        "reasoning": "c",
        "refusal": "d",
        "tool_calls": [call],
    }
    found = {place.name: place.text for place in places_of({"delta": delta})}
    assert found == {
        "content": "a",
        "reasoning_content": "b",
        "reasoning": "c",
        "refusal": "d",
        "tool 1": "{}",
    }
