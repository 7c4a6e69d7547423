"""Every field and block that Anthropic's own client can send has a rule, and the rule holds."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import pytest
from anthropic.types import (
    ContentBlockParam,
    MessageParam,
    MetadataParam,
    OutputConfigParam,
    ToolParam,
    message_count_tokens_params,
    message_create_params,
)
from anthropic.types import beta as beta_types
from anthropic.types.beta import BetaContentBlockParam, BetaOutputConfigParam, BetaToolParam
from anthropic.types.beta import message_create_params as beta_create_params
from anthropic.types.document_block_param import Source as DocumentSource
from anthropic.types.image_block_param import Source as ImageSource
from anthropic.types.json_output_format_param import JSONOutputFormatParam
from anthropic.types.thinking_config_param import ThinkingConfigParam
from anthropic.types.tool_choice_param import ToolChoiceParam
from anthropic.types.tool_result_block_param import Content as ToolResultContent

from llmops_cli.serve.answers.dialects.messages_request import MessagesRequest, translate
from llmops_cli.serve.answers.dialects.messages_rules import (
    BLOCKS,
    DOCUMENT_SOURCE,
    IMAGE_SOURCE,
    MESSAGE,
    METADATA,
    OUTPUT_CONFIG,
    OUTPUT_FORMAT,
    REQUEST,
    THINKING,
    TOOL,
    TOOL_CHOICE,
    How,
    Rules,
)
from llmops_cli.serve.answers.dialects.messages_table import table
from llmops_cli.serve.refusal import Refusal


def typed_dicts(kind: object) -> Iterator[Any]:
    """The TypedDicts of a union."""
    if get_origin(kind) is None:
        if isinstance(kind, type) and hasattr(kind, "__total__"):
            yield kind
        return
    for inner in get_args(kind):
        yield from typed_dicts(inner)


def fields_of(*kinds: object) -> set[str]:
    return {name for kind in kinds for each in typed_dicts(kind) for name in get_type_hints(each)}


REQUESTS = (
    message_create_params.MessageCreateParamsNonStreaming,
    message_create_params.MessageCreateParamsStreaming,
    message_count_tokens_params.MessageCountTokensParams,
    beta_create_params.MessageCreateParamsNonStreaming,
    beta_create_params.MessageCreateParamsStreaming,
)
OBJECTS: list[tuple[str, Rules, set[str]]] = [
    ("request", REQUEST, fields_of(*REQUESTS)),
    ("message", MESSAGE, fields_of(MessageParam, beta_types.BetaMessageParam)),
    ("metadata", METADATA, fields_of(MetadataParam)),
    ("thinking", THINKING, fields_of(ThinkingConfigParam)),
    ("output_config", OUTPUT_CONFIG, fields_of(OutputConfigParam, BetaOutputConfigParam)),
    ("output_format", OUTPUT_FORMAT, fields_of(JSONOutputFormatParam)),
    ("tool", TOOL, fields_of(ToolParam, BetaToolParam)),
    ("tool_choice", TOOL_CHOICE, fields_of(ToolChoiceParam)),
    ("image source", IMAGE_SOURCE, fields_of(ImageSource)),
    ("document source", DOCUMENT_SOURCE, fields_of(DocumentSource)),
]


@pytest.mark.parametrize(("rules", "fields"), [each[1:] for each in OBJECTS], ids=lambda _: "")
def test_every_field_has_a_rule(rules: Rules, fields: set[str]) -> None:
    assert fields
    assert fields <= set(rules)


BLOCK_TYPES = {
    get_args(get_type_hints(each)["type"])[0]: each
    for union in (ContentBlockParam, ToolResultContent, BetaContentBlockParam)
    for each in typed_dicts(union)
}


@pytest.mark.parametrize("kind", BLOCK_TYPES)
def test_every_block_and_each_of_its_fields_has_a_rule(kind: str) -> None:
    assert fields_of(BLOCK_TYPES[kind]) - {"type"} <= set(BLOCKS[kind].fields)


def asked(**fields: object) -> MessagesRequest:
    body = {
        "model": "m",
        "max_tokens": 3,
        "messages": [{"role": "user", "content": "x"}],
        **fields,
    }
    return translate(json.dumps(body).encode())


def named(how: How) -> list[str]:
    return [name for name, rule in REQUEST.items() if rule.how is how]


@pytest.mark.parametrize("name", named(How.TOLD))
def test_what_is_told_is_named_and_not_sent(name: str) -> None:
    request = asked(**{name: {"some": "value"}})
    assert request.unsent == name.encode()
    assert request.chat == asked().chat


@pytest.mark.parametrize("name", named(How.REFUSED))
def test_what_is_refused_is_named(name: str) -> None:
    with pytest.raises(Refusal, match=name) as refused:
        asked(**{name: {"some": "value"}})
    assert refused.value.status == 400
    assert asked(**{name: None}).chat == asked().chat


SENT = {
    "model": "other",
    "max_tokens": 4,
    "messages": [{"role": "user", "content": "y"}],
    "system": "be kind",
    "stop_sequences": ["x"],
    "stream": True,
    "temperature": 0.5,
    "top_p": 0.5,
    "top_k": 5,
    "tools": [{"name": "f", "input_schema": {}}],
    "tool_choice": {"type": "none"},
    "metadata": {"user_id": "u"},
    "thinking": {"type": "enabled", "budget_tokens": 1024},
    "output_config": {"effort": "low"},
    "output_format": {"type": "json_schema", "schema": {}},
}


@pytest.mark.parametrize("name", named(How.SENT))
def test_what_is_sent_changes_the_chat_and_is_not_told(name: str) -> None:
    fields = {name: SENT[name]}
    if name == "tool_choice":
        fields["tools"] = SENT["tools"]
    request = asked(**fields)
    assert request.unsent == b""
    assert request.chat != asked().chat


@pytest.mark.parametrize("kind", [kind for kind, rule in BLOCKS.items() if rule.how is How.REFUSED])
@pytest.mark.parametrize("role", ["user", "assistant"])
def test_blocks_of_anthropics_own_tools_are_refused_by_name(kind: str, role: str) -> None:
    with pytest.raises(Refusal, match=kind) as refused:
        asked(messages=[{"role": role, "content": [{"type": kind}]}])
    assert refused.value.status == 400


SOURCE = {"type": "text", "media_type": "text/plain", "data": "words"}
SHOWN_BLOCKS: dict[str, dict[str, Any]] = {
    "text": {"text": "x"},
    "image": {"source": {"type": "url", "url": "https://example.org/a.png"}},
    "document": {"source": SOURCE, "title": "A title", "context": "Of a book"},
    "search_result": {
        "content": [{"type": "text", "text": "found"}],
        "source": "https://example.org",
        "title": "A page",
    },
    "tool_result": {"tool_use_id": "c", "content": "4", "is_error": True},
    "thinking": {"thinking": "hm", "signature": "llmops:reasoning"},
    "tool_use": {"id": "c", "name": "f", "input": {"a": 1}},
    "redacted_thinking": {"data": "x"},
    "fallback": {"from": {}, "to": {}},
}


def block_asked(kind: str, **fields: object) -> MessagesRequest:
    role = "assistant" if kind in ("thinking", "tool_use", "redacted_thinking") else "user"
    role = "assistant" if kind == "fallback" else role
    block = {"type": kind, **SHOWN_BLOCKS[kind], **fields}
    text = {"type": "text", "text": "x"}
    message = {"role": role, "content": [block, text]}
    return asked(messages=[message, {"role": "user", "content": "go on"}])


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (kind, name)
        for kind, rule in BLOCKS.items()
        if rule.how is How.SENT
        for name, field in rule.fields.items()
        if field.how is How.TOLD
    ],
)
def test_fields_of_blocks_that_are_told_are_named(kind: str, name: str) -> None:
    request = block_asked(kind, **{name: {"some": "value"}})
    assert request.unsent == f"{kind}.{name}".encode()
    assert request.chat == block_asked(kind).chat


@pytest.mark.parametrize("kind", [kind for kind, rule in BLOCKS.items() if rule.how is How.SENT])
def test_each_text_of_a_block_reaches_the_chat(kind: str) -> None:
    request = block_asked(kind)
    assert request.unsent == b""
    for value in words_in(SHOWN_BLOCKS[kind]):
        assert value in request.chat.decode(), value


def words_in(value: Any) -> Iterator[str]:
    """What a model should see of a block: not the words of its form."""
    if isinstance(value, str):
        if value not in ("text", "url", "text/plain", "llmops:reasoning"):
            yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from words_in(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from words_in(inner)


@pytest.mark.parametrize("kind", ["redacted_thinking", "fallback"])
def test_blocks_that_say_nothing_to_a_model_are_told(kind: str) -> None:
    assert block_asked(kind).unsent == kind.encode()


def test_a_field_that_nobody_knows_is_told_and_its_name_cannot_leave_the_header() -> None:
    request = asked(**{"new\r\nx-evil: 1": 1})
    assert request.unsent == b"newx-evil1"


def test_the_page_shows_the_rules_as_they_are() -> None:
    """After a change: python -m llmops_cli.serve.answers.dialects.messages_table"""
    page = (Path(__file__).parents[5] / "docs" / "CLIENTS.md").read_text()
    shown = page.partition("messages_table -->\n")[2].partition("<!-- end of rules")[0]
    assert shown.strip() == table().strip()
