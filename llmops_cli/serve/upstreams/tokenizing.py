"""How many tokens a chat has, counted by the upstream that would answer it.

vLLM's /tokenize applies the model's template itself; llama.cpp's takes a text, which its
/apply-template makes of a chat. Anthropic's dialect has a count of its own.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from llmops_cli.serve.context import Fields
from llmops_cli.serve.endpoints import COUNT_TOKENS
from llmops_cli.serve.upstreams.candidate import RoutingCandidate
from llmops_cli.serve.upstreams.errors import UpstreamError
from llmops_cli.serve.upstreams.opening import RoutedRequest, opened_beside

Json = dict[str, Any]  # Any: an engine's answer
WITHIN_S = 5.0
TOKENIZE = "/tokenize"
APPLY_TEMPLATE = "/apply-template"
READ = ("messages", "tools", "chat_template_kwargs")
"""Fields of a chat that its template reads."""
READ_IN_MESSAGES = ("messages", "system", "tools", "tool_choice", "thinking")
TRUE = msgspec.Raw(b"true")


class PromptCount(NamedTuple):
    """`has_media`: images and files are counted too."""

    tokens: int
    has_media: bool = False


async def counted(
    candidates: list[RoutingCandidate],
    request: RoutedRequest,
) -> PromptCount | None:
    """None if no tokenizer can be asked. What fails here says nothing of an upstream."""
    for candidate in candidates:
        if candidate.upstream.usable():
            is_anthropic = candidate.upstream.config.is_anthropic
            count = _counted_in_messages if is_anthropic else _counted_at
            tokens = await count(candidate, request)
            return None if tokens is None else PromptCount(tokens, has_media=is_anthropic)
    return None


async def _counted_at(candidate: RoutingCandidate, request: RoutedRequest) -> int | None:
    chat = {name: request.fields[name] for name in READ if name in request.fields}
    chat["model"] = _raw(candidate.model)
    chat["add_generation_prompt"] = TRUE
    found = await _ask(candidate, request, TOKENIZE, chat)
    if found is None:
        return None
    if "count" in found:
        return _count(found["count"])
    templated = await _ask(candidate, request, APPLY_TEMPLATE, chat)
    if templated is None or not isinstance(templated.get("prompt"), str):
        return None
    text = {"content": _raw(templated["prompt"]), "add_special": TRUE, "parse_special": TRUE}
    found = await _ask(candidate, request, TOKENIZE, text)
    tokens = None if found is None else found.get("tokens")
    return len(tokens) if isinstance(tokens, list) and tokens else None


async def _counted_in_messages(
    candidate: RoutingCandidate,
    request: RoutedRequest,
) -> int | None:
    said = (await request.in_messages()).fields
    fields = {name: said[name] for name in READ_IN_MESSAGES if name in said}
    fields["model"] = _raw(candidate.model)
    found = await _ask(candidate, request, COUNT_TOKENS.path, fields)
    return None if found is None else _count(found.get("input_tokens"))


async def _ask(
    candidate: RoutingCandidate,
    request: RoutedRequest,
    path: str,
    fields: Fields,
) -> Json | None:
    """The answer, if it is a JSON object."""
    left_s = request.context.asked.left_s()
    within_s = WITHIN_S if left_s is None else min(WITHIN_S, left_s)
    origin = candidate.upstream.origin
    try:
        reply = await opened_beside(candidate, request, path, fields, within_s=within_s)
        try:
            raw = await reply.read()
        finally:
            origin.release(reply)
        found = msgspec.json.decode(raw)
    except (UpstreamError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if reply.status != 200 or not isinstance(found, dict):
        return None
    return found


def _count(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        return None
    return value


def _raw(value: str) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))
