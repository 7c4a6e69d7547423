"""A request in Anthropic's form: what it means in ours, and what is refused."""

from __future__ import annotations

import json
import timeit
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from llmops_cli.serve.answers.dialects.messages_request import translate
from llmops_cli.serve.answers.dialects.messages_rules import BLOCKS, REQUEST
from llmops_cli.serve.refusal import Refusal


def request(content: object, **more: object) -> bytes:
    message = {"role": "user", "content": content}
    body = {
        "model": "m",
        "max_tokens": 3,
        "messages": [message],
        **more,
    }
    return json.dumps(body).encode()


def translated(raw: bytes) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(translate(raw).chat)
    return found


def test_a_conversation() -> None:
    chat = translated(
        request(
            [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}],
            system="be kind",
            stop_sequences=["x"],
            tools=[{"name": "f", "input_schema": {"type": "object"}}],
            tool_choice={"type": "any", "disable_parallel_tool_use": True},
            metadata={"user_id": "u"},
        )
    )
    assert chat == {
        "model": "m",
        "messages": [
            {"role": "system", "content": "be kind"},
            {
                "role": "user",
                "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}],
            },
        ],
        "max_tokens": 3,
        "stop": ["x"],
        "user": "u",
        "tools": [
            {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}},
        ],
        "tool_choice": "required",
        "parallel_tool_calls": False,
    }


def test_results_of_tools_stand_by_themselves() -> None:
    result = {
        "type": "tool_result",
        "tool_use_id": "c1",
        "content": [{"type": "text", "text": "4"}],
    }
    chat = translated(request([result, {"type": "text", "text": "so?"}]))
    assert chat["messages"] == [
        {
            "role": "tool",
            "tool_call_id": "c1",
            "content": "4",
        },
        {"role": "user", "content": "so?"},
    ]


def test_an_image_is_an_address() -> None:
    source = {
        "type": "base64",
        "media_type": "image/png",
        "data": "AAAA",
    }
    chat = translated(request([{"type": "image", "source": source}]))
    (part,) = chat["messages"][0]["content"]
    assert part["image_url"]["url"] == "data:image/png;base64,AAAA"


@pytest.mark.parametrize(
    "content",
    [
        None,
        3,
        [3],
        [{"type": "document"}],
        [{"type": "image"}],
        [{"type": "image", "source": 3}],
        [{"type": "image", "source": {"type": "base64"}}],
        [{"type": "tool_result", "content": 3}],
        [{"type": "tool_result", "content": "x"}],
        [{"type": "tool_use", "id": "c", "name": "f", "input": {}}],
        [{"type": "thinking", "thinking": "x"}],
        [{"type": "text"}],
        [{"type": "text", "text": None}],
        [{"text": "x"}],
        [],
        "",
    ],
)
def test_what_has_no_counterpart_is_refused(content: object) -> None:
    with pytest.raises(Refusal) as refused:
        translate(request(content))
    assert refused.value.status == 400


@pytest.mark.parametrize("role", ["root", "", None])
def test_roles_that_there_are_not_are_refused(role: object) -> None:
    body = {
        "model": "m",
        "max_tokens": 3,
        "messages": [{"role": role, "content": "x"}],
    }
    with pytest.raises(Refusal):
        translate(json.dumps(body).encode())


@settings(max_examples=200)
@given(raw=st.binary(max_size=300))
@example(raw=b"[]")
@example(raw=b'{"model": "m", "max_tokens": 3}')
@example(raw=b'{"model": "m", "max_tokens": "3", "messages": []}')
@example(raw=b'{"model": "m", "max_tokens": 3, "messages": [{"role": "user"}]}')
def test_garbage_is_refused_and_never_translated(raw: bytes) -> None:
    with pytest.raises((msgspec.DecodeError, UnicodeDecodeError, Refusal)):
        translate(raw)


IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}


def test_images_of_a_tools_result_follow_it() -> None:
    content = [{"type": "text", "text": "the screen"}, IMAGE]
    results = [
        {"type": "tool_result", "tool_use_id": "c1", "content": content},
        {"type": "tool_result", "tool_use_id": "c2", "content": "done"},
        {"type": "text", "text": "so?"},
    ]
    first, second, user = translated(request(results))["messages"]
    assert (first["role"], first["tool_call_id"]) == ("tool", "c1")
    assert first["content"] == "the screen\n(image: shown below)"
    assert second["content"] == "done"
    announced, image, said = user["content"]
    assert "c1" in announced["text"]
    assert image["image_url"]["url"] == "data:image/png;base64,AAAA"
    assert said["text"] == "so?"


def test_an_error_of_a_tool_is_said_in_words() -> None:
    result = {"type": "tool_result", "tool_use_id": "c", "content": "no file", "is_error": True}
    (message,) = translated(request([result]))["messages"]
    assert message["content"] == "Error: no file"
    (message,) = translated(request([{**result, "is_error": False}]))["messages"]
    assert message["content"] == "no file"


def test_a_pdf_is_a_file() -> None:
    source = {"type": "base64", "media_type": "application/pdf", "data": "JVBE"}
    chat = translated(request([{"type": "document", "source": source, "title": "a.pdf"}]))
    title, part = chat["messages"][0]["content"]
    assert title["text"] == "a.pdf"
    assert part["file"] == {
        "filename": "a.pdf",
        "file_data": "data:application/pdf;base64,JVBE",
    }


@pytest.mark.parametrize(("budget", "effort"), [(1024, "low"), (4096, "medium"), (16384.0, "high")])
def test_a_budget_for_thinking_is_an_effort(budget: float, effort: str) -> None:
    raw = request("x", thinking={"type": "enabled", "budget_tokens": budget})
    assert translated(raw)["reasoning_effort"] == effort


def test_no_thinking_is_no_effort() -> None:
    raw = request("x", thinking={"type": "disabled"})
    assert translated(raw)["reasoning_effort"] == "none"
    assert "reasoning_effort" not in translated(request("x", thinking={"type": "adaptive"}))


def test_effort_counts_more_than_a_budget() -> None:
    thinking = {"type": "enabled", "budget_tokens": 1024}
    raw = request("x", thinking=thinking, output_config={"effort": "max"})
    assert translated(raw)["reasoning_effort"] == "high"


def test_a_schema_is_a_response_format() -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}}
    form = {"type": "json_schema", "schema": schema}
    for raw in (request("x", output_config={"format": form}), request("x", output_format=form)):
        assert translated(raw)["response_format"] == {
            "type": "json_schema",
            "json_schema": {"name": "answer", "schema": schema, "strict": True},
        }


def test_thoughts_go_back_only_where_they_came_from() -> None:
    def sent(signature: str) -> tuple[dict[str, Any], bytes]:
        thought = {"type": "thinking", "thinking": "hm", "signature": signature}
        call = {"type": "tool_use", "id": "c", "name": "f", "input": {}}
        body = json.loads(request("go on"))
        body["messages"].insert(0, {"role": "assistant", "content": [thought, call]})
        done = translate(json.dumps(body).encode())
        return json.loads(done.chat)["messages"][0], done.unsent

    turn, unsent = sent("llmops:reasoning_content")
    assert (turn["reasoning_content"], unsent) == ("hm", b"")
    turn, unsent = sent("EqQBCgIYAhIM")
    assert "reasoning_content" not in turn
    assert unsent == b"thinking"


def test_a_message_of_the_system_may_stand_between_others() -> None:
    body = json.loads(request("x"))
    body["messages"].append({"role": "system", "content": [{"type": "text", "text": "now"}]})
    chat = translated(json.dumps(body).encode())
    assert chat["messages"][1] == {"role": "system", "content": "now"}


def test_a_message_of_the_system_may_pass_with_the_users_next() -> None:
    note = {"role": "system", "content": "now", "clear_at": "next_user_message"}
    body = json.loads(request("x"))
    body["messages"].append(note)
    assert len(translated(json.dumps(body).encode())["messages"]) == 2
    body["messages"] += [{"role": "assistant", "content": "y"}, {"role": "user", "content": "z"}]
    roles = [each["role"] for each in translated(json.dumps(body).encode())["messages"]]
    assert roles == ["user", "assistant", "user"]


def test_turns_of_one_role_are_one() -> None:
    thought = {"type": "thinking", "thinking": "hm", "signature": "llmops:reasoning"}
    call = {"type": "tool_use", "id": "c", "name": "f", "input": {}}
    result = {"type": "tool_result", "tool_use_id": "c", "content": "4"}
    body = json.loads(request("a"))
    body["messages"] += [
        {"role": "user", "content": [{"type": "text", "text": "b"}]},
        {"role": "assistant", "content": [thought]},
        {"role": "assistant", "content": "so"},
        {"role": "assistant", "content": [call]},
        {"role": "user", "content": [result]},
        {"role": "user", "content": "go on"},
    ]
    user, assistant, tool, last = translated(json.dumps(body).encode())["messages"]
    assert [part["text"] for part in user["content"]] == ["a", "b"]
    assert (assistant["reasoning"], assistant["content"]) == ("hm", "so")
    assert [each["id"] for each in assistant["tool_calls"]] == ["c"]
    assert (tool["content"], last["content"]) == ("4", "go on")


@pytest.mark.quiet
@pytest.mark.parametrize("role", ["user", "assistant", "system"])
def test_many_turns_take_time_in_proportion(role: str) -> None:
    note = {"role": role, "content": "x" * 100}
    if role == "system":
        note["clear_at"] = "next_user_message"

    def seconds(count: int) -> float:
        body = json.loads(request("x"))
        body["messages"] += [note, {"role": "user", "content": "y"}][
            : 1 + (role == "system")
        ] * count
        raw = json.dumps(body).encode()
        return min(timeit.repeat(lambda: translate(raw), number=1, repeat=3))

    assert seconds(8000) < 40 * seconds(800)


def test_an_answer_that_was_begun_is_sent_and_told() -> None:
    body = json.loads(request("x"))
    body["messages"].append({"role": "assistant", "content": "The answer is ("})
    done = translate(json.dumps(body).encode())
    assert json.loads(done.chat)["messages"][1]["content"] == "The answer is ("
    assert done.unsent == b"prefill"


def test_no_tokens_only_warm_a_cache() -> None:
    done = translate(request("x", max_tokens=0))
    assert (json.loads(done.chat)["max_tokens"], done.only_warms) == (1, True)


def test_numbers_keep_all_their_digits() -> None:
    call = {"type": "tool_use", "id": "c", "name": "f", "input": {"n": 10**30}}
    body = json.loads(request("x"))
    body["messages"].insert(0, {"role": "assistant", "content": [call]})
    turn = translated(json.dumps(body).encode())["messages"][0]
    assert json.loads(turn["tool_calls"][0]["function"]["arguments"]) == {"n": 10**30}


@pytest.mark.parametrize(
    "fields",
    [
        {"tool_choice": {"type": "auto"}},
        {"tool_choice": {"type": "tool", "name": "g"}, "tools": [{"name": "f"}]},
        {"tool_choice": {"type": "tool"}, "tools": [{"name": "f"}]},
        {"tool_choice": {"type": "some"}, "tools": [{"name": "f"}]},
        {"tool_choice": "auto", "tools": [{"name": "f"}]},
        {"tools": [{"type": "web_search_20250305", "name": "web_search"}]},
        {"tools": [{"type": "bash_20250124", "name": "bash"}]},
        {"tools": [{"name": ""}]},
        {"tools": [{"name": "f", "input_schema": "x"}]},
        {"tools": "f"},
        {"mcp_servers": [{"url": "https://example.org"}]},
        {"container": "c"},
        {"inference_geo": "eu"},
        {"max_tokens": 3.5},
        {"max_tokens": "3"},
        {"max_tokens": True},
        {"max_tokens": None},
        {"model": None},
        {"model": 3},
        {"messages": []},
        {"messages": None},
        {"messages": [None]},
        {"messages": [{"role": "user", "content": "x", "extra": 1}, 3]},
        {"temperature": "hot"},
        {"top_k": 1.5},
        {"stream": "yes"},
        {"stop_sequences": "x"},
        {"stop_sequences": [3]},
        {"system": 3},
        {"system": [{"type": "image"}]},
        {"thinking": {"type": "enabled"}},
        {"thinking": {"type": "sometimes"}},
        {"output_config": {"effort": "some"}},
        {"output_config": {"format": {"type": "text"}}},
        {"metadata": {"user_id": 3}},
    ],
    ids=str,
)
def test_odd_fields_are_refused(fields: dict[str, object]) -> None:
    with pytest.raises(Refusal) as refused:
        translate(request("x", **fields))
    assert refused.value.status == 400


FIELDS = ("text", "source", "id", "name", "input", "tool_use_id", "content")
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=4,
)
blocks = st.fixed_dictionaries(
    {"type": st.sampled_from([*BLOCKS])},
    optional=dict.fromkeys(FIELDS, json_values),
)


@settings(max_examples=200)
@given(content=st.lists(blocks | json_values, max_size=3), system=json_values)
def test_odd_blocks_are_refused_or_make_messages_that_servers_take(
    content: list[Any], system: Any
) -> None:
    try:
        chat = translated(request(content, system=system))
    except (msgspec.DecodeError, Refusal):
        return
    for message in chat["messages"]:
        assert message["role"] in ("system", "user", "tool")
        assert message["content"] is None or isinstance(message["content"], str | list)


@settings(max_examples=100)
@given(
    fields=st.dictionaries(
        st.sampled_from([*REQUEST]),
        json_values | st.lists(blocks, max_size=2),
        max_size=3,
    )
)
def test_odd_requests_are_refused_or_translated(fields: dict[str, Any]) -> None:
    body = json.loads(request("x")) | fields
    try:
        done = translate(json.dumps(body).encode())
    except (msgspec.DecodeError, Refusal):
        return
    chat = json.loads(done.chat)
    assert chat["messages"]
    assert done.unsent.isascii()
