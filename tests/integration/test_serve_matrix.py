"""Official clients and the five tools' requests, in each dialect, streamed and not.

The upstream checks what it receives by OpenAI's own types and answers with text, tools, reasoning
or an image; what the gateway says is read by the dialect's own package. `pytest -s` prints the
matrix that stands in docs/CLIENTS.md.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from anthropic.lib.streaming._messages import accumulate_event
from anthropic.types import Message, RawMessageStreamEvent
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from tests.chat_upstream import CALLS, IMAGE, MODELS, TEXT, THOUGHT, ChatUpstream
from tests.gateway import Gateway, Starter

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]
FOLDER = Path(__file__).parents[1] / "data" / "clients"
PAGE = Path(__file__).parents[2] / "docs" / "CLIENTS.md"
DIALECTS = ("chat", "responses", "messages")
COLUMNS = [(dialect, streams) for dialect in DIALECTS for streams in (False, True)]
_MESSAGE_EVENT: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)
_RESPONSE_EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
Matrix = dict[str, dict[tuple[str, bool], str]]
Told = list[dict[str, Any]]


@pytest.fixture(scope="module")
def matrix() -> Iterator[Matrix]:
    """What each test has seen, printed at the end."""
    found: Matrix = {}
    yield found
    print("\n" + shown(found))


@pytest.fixture
def chats() -> Iterator[ChatUpstream]:
    found = ChatUpstream()
    yield found
    found.close()


@pytest.fixture
def gateway(chats: ChatUpstream, start: Starter) -> Gateway:
    return start(chats.url)


def shown(matrix: Matrix) -> str:
    head = [f"{dialect}{', streamed' if streams else ''}" for dialect, streams in COLUMNS]
    rows = ["| client | " + " | ".join(head) + " |", "|---" * (len(COLUMNS) + 1) + "|"]
    for client in sorted(matrix):
        cells = [matrix[client].get(column, "") for column in COLUMNS]
        rows.append(f"| {client} | " + " | ".join(cells) + " |")
    return "\n".join(rows)


# -- what was said, as the dialect's own package reads it: (text, thought, calls, has an image)


Said = tuple[str, str, dict[str, Any], bool]


def of_chat(raw: bytes, *, streams: bool) -> Said:
    if not streams:
        whole = ChatCompletion.model_validate_json(raw)
        return _of_chat_message(whole.choices[0].message.model_dump())
    message: dict[str, Any] = {"content": "", "reasoning_content": "", "images": []}
    calls: dict[int, dict[str, Any]] = {}
    for event in _data(raw):
        chunk = ChatCompletionChunk.model_validate(event)
        for choice in chunk.choices:
            delta = choice.delta.model_dump()
            for name in ("content", "reasoning_content"):
                message[name] += delta.get(name) or ""
            message["images"] += delta.get("images") or []
            for call in delta.get("tool_calls") or ():
                whole_call = calls.setdefault(call["index"], {"function": {"arguments": ""}})
                whole_call["id"] = whole_call.get("id") or call["id"]
                function = whole_call["function"]
                function["name"] = function.get("name") or call["function"]["name"]
                function["arguments"] += call["function"]["arguments"] or ""
    message["tool_calls"] = list(calls.values())
    return _of_chat_message(message)


def _of_chat_message(message: dict[str, Any]) -> Said:
    calls = {
        call["id"]: (call["function"]["name"], json.loads(call["function"]["arguments"]))
        for call in message.get("tool_calls") or ()
    }
    thought = (message.get("reasoning_content") or "").strip()
    return message["content"] or "", thought, calls, bool(message.get("images"))


def of_responses(raw: bytes, *, streams: bool) -> Said:
    if streams:
        events = [_RESPONSE_EVENT.validate_python(event) for event in _data(raw)]
        deltas = [e.delta for e in events if e.type == "response.output_text.delta"]
        response = events[-1].response
        assert "".join(deltas) == response.output_text
    else:
        response = Response.model_validate_json(raw)
    calls = {}
    thought = ""
    for item in response.output:
        if item.type == "function_call":
            calls[item.call_id] = (item.name, json.loads(item.arguments))
        if item.type == "reasoning":
            thought = item.summary[0].text
    has_image = any(item.type == "image_generation_call" for item in response.output)
    return response.output_text, thought, calls, has_image


def of_messages(raw: bytes, *, streams: bool) -> Said:
    if streams:
        found = None
        buffers: dict[int, bytes] = {}
        for event in _data(raw):
            parsed = _MESSAGE_EVENT.validate_python(event)
            found = accumulate_event(event=parsed, current_snapshot=found, json_bufs=buffers)
        assert found is not None
        message = Message.model_validate(found.to_dict())
    else:
        message = Message.model_validate_json(raw)
    assert message.usage.input_tokens + (message.usage.cache_read_input_tokens or 0) == 50
    texts = [block.text for block in message.content if block.type == "text"]
    thoughts = [block.thinking for block in message.content if block.type == "thinking"]
    calls = {b.id: (b.name, b.input) for b in message.content if b.type == "tool_use"}
    text = "".join(texts)
    picture = f"![image]({IMAGE})"
    return text.replace(picture, ""), "".join(thoughts).strip(), calls, picture in text


READERS: dict[str, Callable[..., Said]] = {
    "chat": of_chat,
    "responses": of_responses,
    "messages": of_messages,
}


def _data(raw: bytes) -> Told:
    lines = [line[6:] for line in raw.splitlines() if line.startswith(b"data: ")]
    return [json.loads(line) for line in lines if line != b"[DONE]"]


def check(said: Said, model: str) -> None:
    text, thought, calls, has_image = said
    assert text == ("" if model == "tools" else TEXT)
    assert thought == (THOUGHT if model == "reasoning" else "")
    assert calls == (CALLS if model == "tools" else {})
    assert has_image == (model == "images")


# -- the tools' requests


def fixtures() -> list[dict[str, Any]]:
    return [json.loads(file.read_text()) for file in sorted(FOLDER.glob("*.json"))]


def _name_of(tool: dict[str, Any]) -> str:
    version = tool["version"].partition(",")[0].partition(" (")[0]
    return f"{tool['tool']} {version}"


@pytest.mark.parametrize("tool", fixtures(), ids=lambda tool: str(tool["tool"]))
def test_requests_of_the_tools(
    tool: dict[str, Any], chats: ChatUpstream, gateway: Gateway, matrix: Matrix
) -> None:
    assert tool["version"]
    assert tool["source"]
    row = matrix.setdefault(_name_of(tool), {})
    for request in tool["requests"]:
        for streams in (False, True):
            for model in MODELS:
                body = {**request["body"], "model": model, "stream": streams}
                if not streams:
                    body.pop("stream_options", None)
                headers = {
                    name: gateway.key if value == "KEY" else value
                    for name, value in request["headers"].items()
                }
                status, _, raw = gateway.ask(body, path=request["path"], headers=headers)
                assert status == 200, (request["name"], raw)
                check(READERS[request["dialect"]](raw, streams=streams), model)
            row[request["dialect"], streams] = "ok"
    assert not chats.faults, chats.faults[0]


def test_the_page_names_each_tool_and_its_version() -> None:
    page = PAGE.read_text()
    for tool in fixtures():
        assert f"| {_name_of(tool)} |" in page


def test_what_a_tool_says_reaches_the_model(chats: ChatUpstream, gateway: Gateway) -> None:
    """Words, pictures and results of tools: nothing of a request is lost on the way."""
    for tool in fixtures():
        for request in tool["requests"]:
            body = {**request["body"], "model": "text", "stream": False}
            body.pop("stream_options", None)
            gateway.ask(body, path=request["path"])
            sent = json.dumps(chats.seen[-1])
            for said in _words_of(body):
                assert json.dumps(said)[1:-1] in sent, (request["name"], said)


SPOKEN = ("text", "data", "content", "instructions", "output", "image_url")
UNTOLD = ("thinking", "redacted_thinking", "reasoning")
"""Of another model: told as unsent."""


def _words_of(value: Any) -> Iterator[str]:
    if isinstance(value, list):
        for item in value:
            yield from _words_of(item)
    elif isinstance(value, dict) and value.get("type") not in UNTOLD:
        for name, inner in value.items():
            if isinstance(inner, str) and name in SPOKEN:
                yield inner
            else:
                yield from _words_of(inner)


# -- official clients


def test_openais_client(gateway: Gateway, matrix: Matrix) -> None:
    import openai

    row = matrix.setdefault(f"openai {openai.__version__}", {})
    hi: Any = [{"role": "user", "content": "Hi"}]
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.key, max_retries=0) as client:
        for model in MODELS:
            whole = client.chat.completions.create(model=model, messages=hi)
            check(of_chat(whole.model_dump_json().encode(), streams=False), model)
            chunks = client.chat.completions.create(model=model, messages=hi, stream=True)
            check(of_chat(_events(chunks), streams=True), model)
            response = client.responses.create(model=model, input="Hi")
            check(of_responses(response.model_dump_json().encode(), streams=False), model)
            events = client.responses.create(model=model, input="Hi", stream=True)
            check(of_responses(_events(events), streams=True), model)
    row |= {("chat", streams): "ok" for streams in (False, True)}
    row |= {("responses", streams): "ok" for streams in (False, True)}


def _events(stream: Any) -> bytes:
    """What a client has parsed, as events again."""
    return b"".join(b"data: " + event.model_dump_json().encode() + b"\n\n" for event in stream)


def test_anthropics_client(gateway: Gateway, matrix: Matrix) -> None:
    import anthropic

    row = matrix.setdefault(f"anthropic {anthropic.__version__}", {})
    asked: Any = {"max_tokens": 50, "messages": [{"role": "user", "content": "Hi"}]}
    with anthropic.Anthropic(base_url=gateway.url, api_key=gateway.key, max_retries=0) as client:
        for model in MODELS:
            whole = client.messages.create(model=model, **asked)
            check(of_messages(whole.model_dump_json().encode(), streams=False), model)
            with client.messages.stream(model=model, **asked) as stream:
                final = stream.get_final_message()
            check(of_messages(final.model_dump_json().encode(), streams=False), model)
    row |= {("messages", streams): "ok" for streams in (False, True)}


LANGCHAIN = """
from importlib.metadata import version
from langchain_openai import ChatOpenAI
TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
for responses in (False, True):
    for model in MODELS:
        llm = ChatOpenAI(model=model, base_url=url + "/v1", api_key=key, max_retries=0,
                         use_responses_api=responses)
        llm = llm.bind_tools([TOOL])
        whole = llm.invoke("Hi")
        pieces = None
        for piece in llm.stream("Hi"):
            pieces = piece if pieces is None else pieces + piece
        for streams, found in ((False, whole), (True, pieces)):
            calls = {call["id"]: [call["name"], call["args"]] for call in found.tool_calls}
            tell("responses" if responses else "chat", streams, model, found.text, calls)
print(json.dumps(["version", version("langchain-openai")]))
"""
LITELLM = """
from importlib.metadata import version
import litellm
asked = {"api_key": key, "messages": [{"role": "user", "content": "Hi"}]}
ways = {"chat": ("openai", url + "/v1"), "messages": ("anthropic", url)}
for dialect, (provider, base) in ways.items():
    for model in MODELS:
        for streams in (False, True):
            answer = litellm.completion(model=f"{provider}/{model}", api_base=base,
                                        max_tokens=50, stream=streams, **asked)
            if streams:
                answer = litellm.stream_chunk_builder(list(answer))
            message = answer.choices[0].message
            calls = {call.id: [call.function.name, json.loads(call.function.arguments)]
                     for call in message.tool_calls or ()}
            tell(dialect, streams, model, message.content or "", calls)
print(json.dumps(["version", version("litellm")]))
"""
HEAD = """
import json, os
url, key = os.environ["URL"], os.environ["KEY"]
MODELS = json.loads(os.environ["MODELS"])
def tell(*said):
    print(json.dumps(["said", *said]))
"""


@pytest.mark.parametrize(("name", "code"), [("langchain-openai", LANGCHAIN), ("litellm", LITELLM)])
def test_clients_that_wrap_others(name: str, code: str, gateway: Gateway, matrix: Matrix) -> None:
    """In a process of its own: what it warns of is not ours."""
    env = {
        **os.environ,
        "URL": gateway.url,
        "KEY": gateway.key,
        "MODELS": json.dumps(MODELS),
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "LANGSMITH_TRACING": "false",
    }
    argv = [sys.executable, "-W", "ignore", "-c", HEAD + code]
    done = subprocess.run(argv, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    row: dict[tuple[str, bool], str] = {}
    version = ""
    for line in done.stdout.splitlines():
        if not line.startswith('["'):
            continue
        kind, *said = json.loads(line)
        if kind == "version":
            version = said[0]
            continue
        dialect, streams, model, text, calls = said
        assert text.replace(f"![image]({IMAGE})", "") == ("" if model == "tools" else TEXT)
        wanted = {call: list(called) for call, called in CALLS.items()}
        assert calls == (wanted if model == "tools" else {})
        row[dialect, streams] = "ok"
    assert len(row) == 4
    matrix[f"{name} {version}"] = row
