"""Every field and block of Anthropic's Messages, and what becomes of it here.

A request is read through `opened` and nothing else, so that what no rule names is told as unsent
and never lost in silence. docs/CLIENTS.md shows the rules as a table.
Source: Anthropic's Messages API (version 2023-06-01 and after) and its beta, as of the SDK's 2.12.
"""

from __future__ import annotations

from enum import StrEnum
from functools import cache
from typing import Any, NamedTuple, TypeVar

import msgspec

from llmops_cli.core.misfit import misfit_of
from llmops_cli.core.wrong_json import UNREADABLE
from llmops_cli.serve.answers.dialects.unsent import Unsent
from llmops_cli.serve.refusal import Refusal

RawFields = dict[str, msgspec.Raw]
T = TypeVar("T")


class How(StrEnum):
    """TOLD: it is not sent on, and the answer's `x-llmops-unsent` names it."""

    SENT = "translated"
    TOLD = "told"
    REFUSED = "refused"


class FieldRule(NamedTuple):
    how: How
    says: str = ""


class BlockRule(NamedTuple):
    """A content block. `fields`: beside its type."""

    how: How
    says: str
    fields: dict[str, FieldRule]


Rules = dict[str, FieldRule]


def _sent(says: str = "as it is") -> FieldRule:
    return FieldRule(How.SENT, says)


def _told(says: str = "") -> FieldRule:
    return FieldRule(How.TOLD, says)


def _refused(says: str) -> FieldRule:
    return FieldRule(How.REFUSED, says)


_CACHE = _told("engines keep prefixes by themselves")
_CITATIONS = _told("answers hold no citations")
_AT_ANTHROPIC = "is Anthropic's own; there is none here"

REQUEST: Rules = {
    "model": _sent(),
    "max_tokens": _sent("0, which only warms a cache, is one token that is not shown"),
    "messages": _sent(
        "messages; those of one role that follow each other are one, results of tools stand by"
        " themselves, before what follows them"
    ),
    "system": _sent("the first message"),
    "stop_sequences": _sent("stop"),
    "stream": _sent(),
    "temperature": _sent(),
    "top_p": _sent(),
    "top_k": _sent("as vLLM, SGLang and llama.cpp know it"),
    "tools": _sent("functions"),
    "tool_choice": _sent("any is required"),
    "metadata": _sent("user_id is user"),
    "thinking": _sent("reasoning_effort"),
    "output_config": _sent("response_format and reasoning_effort"),
    "output_format": _sent("the older name of output_config.format"),
    "cache_control": _CACHE,
    "service_tier": _told("an upstream has its own tiers"),
    "speed": _told("an upstream has one speed"),
    "context_management": _told("all of the conversation is sent"),
    "diagnostics": _told(),
    "fallbacks": _told("`fallback` of the gateway's file says who stands in"),
    "fallback_credit_token": _told(),
    "billing_policy": _told(),
    "user_profile_id": _told(),
    "workspace_id": _told(),
    "betas": _told(),
    "inference_geo": _refused("names a region, which nobody can promise here"),
    "compaction": _refused("asks for a summary in a form that " + _AT_ANTHROPIC),
    "container": _refused(_AT_ANTHROPIC),
    "mcp_servers": _refused("are called by Anthropic; there is nobody here who calls them"),
    "thread": _refused("is a conversation that Anthropic keeps; send its messages"),
}
MESSAGE: Rules = {
    "role": _sent("user, assistant, system"),
    "content": _sent(),
    "clear_at": _sent("a system message that is cleared by the next user's is left out after it"),
    "output_config": _told("the request's own counts"),
}
METADATA: Rules = {"user_id": _sent("user")}
THINKING: Rules = {
    "type": _sent("enabled; disabled is reasoning_effort none; adaptive is the model's own way"),
    "budget_tokens": _sent("reasoning_effort: below 4,096 low, below 16,384 medium, else high"),
    "display": _sent("omitted leaves the words out of thinking blocks"),
}
OUTPUT_CONFIG: Rules = {
    "effort": _sent("reasoning_effort; xhigh and max are high"),
    "format": _sent("response_format"),
    "task_budget": _told(),
}
OUTPUT_FORMAT: Rules = {
    "type": _sent("json_schema"),
    "schema": _sent("strict"),
}
TOOL: Rules = {
    "type": _sent("custom; tools of Anthropic's own are refused by name"),
    "name": _sent(),
    "description": _sent(),
    "input_schema": _sent("parameters"),
    "strict": _sent(),
    "cache_control": _CACHE,
    "allowed_callers": _told(),
    "defer_loading": _told("all tools are sent"),
    "eager_input_streaming": _told("inputs are streamed as they come"),
    "input_examples": _told(),
}
TOOL_CHOICE: Rules = {
    "type": _sent("auto, any, tool, none"),
    "name": _sent(),
    "disable_parallel_tool_use": _sent("parallel_tool_calls"),
}
IMAGE_SOURCE: Rules = {
    "type": _sent("base64, url; file is refused"),
    "media_type": _sent("of a data: address"),
    "data": _sent(),
    "url": _sent(),
    "file_id": _refused("names a file at Anthropic"),
}
DOCUMENT_SOURCE: Rules = {
    "type": _sent("text, content, base64 (PDF, OpenAI's file part); url and file are refused"),
    "media_type": _sent(),
    "data": _sent(),
    "content": _sent(),
    "url": _refused("would be fetched by Anthropic; send what it holds"),
    "file_id": _refused("names a file at Anthropic"),
}


def _tool_of_anthropics(*names: str) -> BlockRule:
    """What only Anthropic's own tools write."""
    fields = {name: _refused("with its block") for name in (*names, "cache_control")}
    return BlockRule(How.REFUSED, "is of a tool that runs at Anthropic", fields)


BLOCKS: dict[str, BlockRule] = {
    "text": BlockRule(
        How.SENT,
        "text; two stay two parts, or paragraphs where only a string is taken",
        {
            "text": _sent(),
            "citations": _CITATIONS,
            "cache_control": _CACHE,
        },
    ),
    "image": BlockRule(
        How.SENT,
        "image_url; of a tool's result: in the user's message that follows",
        {
            "source": _sent(),
            "transformations": _told(),
            "cache_control": _CACHE,
        },
    ),
    "document": BlockRule(
        How.SENT,
        "its text, or a file part",
        {
            "source": _sent(),
            "title": _sent("before the text"),
            "context": _sent("before the text"),
            "citations": _CITATIONS,
            "cache_control": _CACHE,
        },
    ),
    "search_result": BlockRule(
        How.SENT,
        "its text",
        {
            "content": _sent(),
            "source": _sent("before the text"),
            "title": _sent("before the text"),
            "citations": _CITATIONS,
            "cache_control": _CACHE,
        },
    ),
    "thinking": BlockRule(
        How.SENT,
        "reasoning of an upstream goes back to the field that it came from; else it is told",
        {
            "thinking": _sent(),
            "signature": _sent("ours names the field"),
        },
    ),
    "redacted_thinking": BlockRule(
        How.TOLD,
        "only Anthropic can read it",
        {"data": _told()},
    ),
    "tool_use": BlockRule(
        How.SENT,
        "a tool call",
        {
            "id": _sent(),
            "name": _sent(),
            "input": _sent("arguments"),
            "caller": _told(),
            "toolset_name": _told(),
            "cache_control": _CACHE,
        },
    ),
    "tool_result": BlockRule(
        How.SENT,
        "a tool's message",
        {
            "tool_use_id": _sent(),
            "content": _sent("text, images, documents, search results"),
            "is_error": _sent("in words, before the text"),
            "toolset_name": _told(),
            "cache_control": _CACHE,
        },
    ),
    "fallback": BlockRule(
        How.TOLD,
        "it says nothing to a model",
        {
            "from": _told(),
            "to": _told(),
            "trigger": _told(),
        },
    ),
    "server_tool_use": _tool_of_anthropics("caller", "id", "input", "name"),
    "web_search_tool_result": _tool_of_anthropics("caller", "content", "tool_use_id"),
    "web_fetch_tool_result": _tool_of_anthropics("caller", "content", "tool_use_id"),
    "code_execution_tool_result": _tool_of_anthropics("content", "tool_use_id"),
    "bash_code_execution_tool_result": _tool_of_anthropics("content", "tool_use_id"),
    "text_editor_code_execution_tool_result": _tool_of_anthropics("content", "tool_use_id"),
    "tool_search_tool_result": _tool_of_anthropics("content", "tool_use_id"),
    "advisor_tool_result": _tool_of_anthropics("content", "tool_use_id"),
    "tool_reference": _tool_of_anthropics("tool_name"),
    "browser_state": _tool_of_anthropics("tabs", "state_changes"),
    "mcp_tool_use": _tool_of_anthropics("id", "input", "name", "server_name"),
    "mcp_tool_result": _tool_of_anthropics("content", "is_error", "tool_use_id"),
    "mcp_tool_listing": _tool_of_anthropics("mcp_server_name", "tools"),
    "container_upload": _tool_of_anthropics("file_id"),
    "tool_addition": _tool_of_anthropics("tool"),
    "tool_removal": _tool_of_anthropics("tool"),
    "compaction": _tool_of_anthropics("content", "encrypted_content", "signature", "tool_changes"),
}

NULL = b"null"
NOTHING = (b"[]", b"{}", b"false")


def opened(
    raw: msgspec.Raw,
    rules: Rules,
    *,
    where: str,
    label: str = "",
    unsent: Unsent,
) -> RawFields:
    """An object's fields that are sent on. Raises: Refusal for what is refused, or no object."""
    return kept(typed(raw, RawFields, where), rules, label=label, unsent=unsent)


def kept(
    fields: RawFields,
    rules: Rules,
    *,
    label: str = "",
    unsent: Unsent,
) -> RawFields:
    """Those that are sent on. `label`: what they are fields of. Raises: Refusal."""
    found: RawFields = {}
    for name, value in fields.items():
        rule = rules.get(name)
        if _is_one_of(value, (NULL,)):
            continue
        if rule is not None and rule.how is How.SENT:
            found[name] = value
        elif _is_one_of(value, NOTHING):
            continue
        elif rule is not None and rule.how is How.REFUSED:
            raise unsupported(f"{label}{name} {rule.says}")
        else:
            unsent.add(f"{label}{name}")
    return found


def _is_one_of(value: msgspec.Raw, few: tuple[bytes, ...]) -> bool:
    """Without a copy of what is long."""
    view = memoryview(value)
    return view.nbytes <= 5 and view.tobytes() in few


def typed(raw: msgspec.Raw, kind: type[T], where: str) -> T:
    """A value of that type. Raises: Refusal, which says where it stands."""
    try:
        return _decoder(kind).decode(raw)  # type: ignore[no-any-return,arg-type]
    except UNREADABLE:
        said = _unlike(raw, kind)
        raise Refusal(400, f"{where}: {said}", code="invalid_body") from None


def _unlike(raw: msgspec.Raw, kind: Any) -> str:  # Any: whatever type is asked for
    """In the client's words, without its values."""
    try:
        value = msgspec.json.decode(raw)
    except UNREADABLE:
        return "it is not JSON"
    found = misfit_of(value, kind, shows_values=False)
    return "it is not what belongs here" if found is None else found.told


@cache
def _decoder(kind: Any) -> msgspec.json.Decoder[Any]:  # Any: whatever type is asked for
    return msgspec.json.Decoder(kind)


def missing(where: str) -> Refusal:
    return Refusal(400, f"{where}: Field required", code="invalid_body")


def invalid(message: str) -> Refusal:
    return Refusal(400, message, code="invalid_body")


def unsupported(message: str) -> Refusal:
    return Refusal(400, message, code="unsupported")
