"""Whether somebody's data may be in a request: what is read says so, or what nobody here can read.

Everything that leaves counts, whoever wrote it and in which field.
"""

from __future__ import annotations

import base64
import binascii
import html
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

import msgspec

from llmops_cli.core.wrong_json import UNREADABLE
from llmops_cli.serve.context import Asked

_PERCENT = re.compile("%[0-9A-Fa-f]{2}")
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{12,}={0,2}")
_URL_SAFE = str.maketrans("-_", "+/")
NOBODYS = ("ip", "mac")
"""Kinds of a guard's policy that are no person's."""
APART = "\n\n\n\n"
"""Between strings that are looked at together: nothing that is looked for reaches over it."""
JSON_MARKS = ("{", "[", '"')
SHORTEST = 5
"""Characters of the shortest personal data: a@b.c."""
RANDOM = ("seed",)
"""Fields of numbers that mean nothing: one in seventy looks like a card's."""
UNREAD_FIELDS = frozenset(
    (
        "audio",
        "file",
        "image",
        "images",
        "mask",
        "multi_modal_data",
        "prompt_embeds",
        "prompt_token_ids",
        "video",
    )
)
"""Fields of a body that hold a prompt, but no text."""
PROMPTS = (
    "messages",
    "prompt",
    "input",
    "query",
    "queries",
    "documents",
    "suffix",
    "system",
    "text",
    "text_1",
    "text_2",
    "tokens",
)
"""Fields whose parts may be no text."""
TEXT_PARTS = frozenset(
    (
        "",
        "custom_tool_call",
        "custom_tool_call_output",
        "function",
        "function_call",
        "function_call_output",
        "input_text",
        "message",
        "output_text",
        "reasoning",
        "reasoning_text",
        "refusal",
        "summary_text",
        "text",
        "thinking",
        "tool_result",
        "tool_use",
    )
)
"""Types of parts that are all text. Whatever a new one is, it cannot be read."""
UNREAD_KEYS = UNREAD_FIELDS | {
    "audio_url",
    "encrypted_content",
    "file_data",
    "file_id",
    "file_url",
    "image_url",
    "input_audio",
    "video_url",
}
"""Of a message or part, that hold or name something that is no text."""


def may_be_personal(asked: Asked) -> bool:
    if not asked.fields:
        return True  # a body of another kind than JSON
    try:
        return holds_unread(asked) or is_personal(APART.join(_strings_of(asked)))
    except UNREADABLE:
        return True  # JSON that an upstream may read, and we cannot


def is_personal(text: str) -> bool:
    """As it stands, or as a reader means it. An address of a network is nobody's."""
    from llmops_cli.guard.personal import find

    for reading in _readings_of(text):
        if any(entity.kind not in NOBODYS for entity in find(reading)):
            return True
    return False


def _readings_of(text: str) -> Iterator[str]:
    """Also without what nobody sees, and out of the encodings in which text is passed around."""
    from llmops_cli.guard.normalise import normalise

    yield text
    plain = normalise(text).text
    if plain != text:
        yield plain
    if "&" in plain and ";" in plain:
        yield html.unescape(plain)
    if _PERCENT.search(plain):
        yield unquote(plain)
    decoded = list(filter(None, map(_decoded, _BASE64.findall(plain))))
    if decoded:
        yield APART.join(decoded)


def _decoded(run: str) -> str:
    """Of base64, if it is text."""
    padded = run.translate(_URL_SAFE).rstrip("=")
    padded += "=" * (-len(padded) % 4)
    try:
        text = base64.b64decode(padded, validate=True).decode()
    except (binascii.Error, ValueError):
        return ""
    return text if text.isprintable() or text.isascii() else ""


def _unescaped(text: str) -> Iterator[str]:
    """A call's arguments are JSON in a string, where an escape may stand for a character."""
    try:
        value = msgspec.json.decode(text)
    except UNREADABLE:
        return
    yield from _strings_in(value)


def holds_unread(asked: Asked) -> bool:
    """Whether a part of the prompt is no text: token ids, images, audio, files."""
    reading = asked.reading()
    if reading.media or not reading.is_readable or not UNREAD_FIELDS.isdisjoint(asked.fields):
        return True
    for name in PROMPTS:
        raw = asked.fields.get(name)
        if raw is not None and _is_unread(msgspec.json.decode(raw)):
            return True
    return False


def _is_unread(value: object) -> bool:
    if isinstance(value, str):
        return value.startswith("data:") and ";base64," in value[:256]
    if isinstance(value, list):
        return any(isinstance(item, int | float) or _is_unread(item) for item in value)
    if not isinstance(value, dict):
        return False
    if str(value.get("type") or "") not in TEXT_PARTS:
        return True
    if any(value.get(name) for name in UNREAD_KEYS):
        return True
    return any(map(_is_unread, value.values()))


def _strings_of(asked: Asked) -> Iterator[str]:
    """Every string that an upstream gets."""
    for name, raw in asked.fields.items():
        if name in RANDOM:
            continue
        for text in _strings_in(msgspec.json.decode(raw)):
            if len(text) >= SHORTEST:
                yield text


def _strings_in(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
        if "\\" in value and value.lstrip().startswith(JSON_MARKS):
            yield from _unescaped(value)
    elif isinstance(value, int | float):
        yield str(value)
    elif isinstance(value, list):
        yield from _joined(value)
        for item in value:
            yield from _strings_in(item)
    elif isinstance(value, dict):
        for name, item in value.items():
            yield name
            yield from _strings_in(item)


def _joined(parts: list[Any]) -> Iterator[str]:  # Any: JSON
    """Texts of parts one after the other: some templates write nothing between them."""
    texts = [part["text"] for part in parts if isinstance(part, dict) and "text" in part]
    if len(texts) > 1 and all(isinstance(text, str) for text in texts):
        yield "".join(texts)
