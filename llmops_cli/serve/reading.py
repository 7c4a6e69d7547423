"""What of a body reaches the model: every string in the fields that carry text, and how much else.

The guard, rules on private data, the count of tokens and what an upstream must be able to do are
all decided by this one reading.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from llmops_cli.core.wrong_json import UNREADABLE
from llmops_cli.serve.api_words import API_WORDS, KINDS, ROLES, STRUCTURE
from llmops_cli.serve.fields import CHOICES, FURTHER, READ, Carries, Field, FieldTable
from llmops_cli.serve.media import MEDIA, MediaData, Medium, texts_of_data, texts_of_media
from llmops_cli.serve.token_estimate import estimated_tokens

Json = dict[str, Any]  # Any: OpenAI's content parts, tools and schemas
Text = tuple[str, str]
"""(role, text)."""

ITEM_TOKENS = 4
"""Of a message's role and marks."""

TOOL_CALL = "tool_call"
"""The role of what a model asked of a tool, as a client tells it."""
CALLS = ("tool_calls", "function_call")
ANSWERS_OF_TOOLS = ("_output", "_result", "_response")
WORD = re.compile(r"[\w./:+-]{0,16}")
"""As servers name what they can do; too short to say anything."""
PROMPTS = (str, list)
"""Items of a list that are a prompt each."""
NOTHING = Carries.NOTHING
MESSAGES = Carries.MESSAGES
REFERENCES = ("file_id", "item_reference")
NEAR_CHARS = 1000
NO_MEDIA: Mapping[str, Medium] = {}
"""Of tools, forms, documents and calls, which a template writes as they stand."""


class Reading(msgspec.Struct):
    """`token_ids`: of prompts that are given as numbers. `prompts`: how many are answered.

    `joined`: texts once more, of parts that were cut within a word: some templates write nothing
    between parts. `refers`: to text that somebody else keeps. `has_files`: those of a form are
    among the media.
    `counted`: tokens of the texts, once somebody has asked.
    """

    texts: list[Text] = []
    joined: list[Text] = []
    token_ids: int = 0
    prompts: int = 1
    items: int = 0
    media: list[MediaData] = []
    refers: bool = False
    has_files: bool = False
    counted: int | None = None

    @property
    def images(self) -> int:
        return sum(each.medium is Medium.IMAGE for each in self.media)

    @property
    def is_readable(self) -> bool:
        """Whether all text that reaches the model stands here."""
        return not self.token_ids and not self.refers

    def text_tokens(self) -> int:
        """About how many all texts have. Counted once."""
        if self.counted is None:
            self.counted = estimated_tokens("\n".join([text for _, text in self.texts]))
        return self.counted


def read(
    fields: FieldTable,
    values: Json,
    *,
    prompt: str,
    further: Iterable[str] = (),
) -> Reading:
    """`prompt`: the field that is answered. `further`: those that the file allows."""
    found = Reading()
    for name, value in values.items():
        known = fields.get(name)
        if known is None and name in further:
            known = FURTHER
        if known is None or known.carries is NOTHING:
            continue
        if known.carries in READ:
            _read_field(found, value, known)
        elif known.carries is Carries.CONTEXT and value:
            found.refers = True
            _read_field(found, value, known)
        elif known.carries in CHOICES:
            _read_words(found, value)
    found.prompts = max(1, _prompts_in(values.get(prompt)))
    return found


def _prompts_in(value: object) -> int:
    """Strings and lists of tokens are a prompt each; tokens alone, or messages, are one."""
    if not isinstance(value, list):
        return 1
    apart = 0
    for each in value:
        if isinstance(each, PROMPTS):
            apart += 1
    return apart + (apart < len(value))


def _read_words(found: Reading, value: object) -> None:
    """What is no word of a server's own is a text that a template may write."""
    pieces: list[str] = []
    _gather(found, value, pieces, NO_MEDIA)
    odd = [piece for piece in pieces if not WORD.fullmatch(piece)]
    if odd:
        found.texts.append(("user", "\n".join(odd)))


def _read_field(found: Reading, value: object, known: Field) -> None:
    role = known.role
    if isinstance(value, str):
        found.items += 1
        found.texts.append((role, value))
    elif isinstance(value, dict):
        _read_item(found, value, role, media=known.has_media)
    elif isinstance(value, list) and _is_tokens(value):
        found.token_ids += len(value)
    elif isinstance(value, list):
        for item in value:
            _read_of_list(found, item, known)


def _read_of_list(found: Reading, item: object, known: Field) -> None:
    role = known.role
    if isinstance(item, str):
        found.items += 1
        found.texts.append((role, item))
    elif isinstance(item, dict):
        if known.carries is MESSAGES:
            role = role_of(item, role)
            if len(item) == 2 and item.get("role") == role and isinstance(item.get("content"), str):
                found.items += 1  # as nearly all messages are
                found.texts.append((role, item["content"]))
                return
        _read_item(found, item, role, media=known.has_media and role != TOOL_CALL)
    elif isinstance(item, list) and _is_tokens(item):
        found.token_ids += len(item)
    elif isinstance(item, list):
        _read_item(found, item, role, media=known.has_media)
    elif isinstance(item, int):
        found.token_ids += 1


def _is_tokens(value: list[Any]) -> bool:  # Any: JSON
    return set(map(type, value)) == {int}


def role_of(item: Json, otherwise: str) -> str:
    """Whose text a message is, or another item of a conversation."""
    role = item.get("role")
    if isinstance(role, str) and role in ROLES:
        return role
    kind = item.get("type")
    if not isinstance(kind, str):
        return otherwise
    if kind.endswith(ANSWERS_OF_TOOLS):
        return "tool"
    if kind.endswith("_call"):
        return TOOL_CALL
    return "assistant" if kind == "reasoning" else otherwise


def _read_item(
    found: Reading,
    item: object,
    role: str,
    *,
    media: bool,
) -> None:
    """One text of all the strings in it, as a template puts them one after the other.

    Calls of tools are texts of their own.
    """
    calls: list[object] = []
    if isinstance(item, dict):
        for name in CALLS:
            if isinstance(item.get(name), dict | list):
                calls.append(item[name])
                item = {key: value for key, value in item.items() if key != name}
    found.items += 1
    _read_strings(found, item, role, media=media)
    for call in calls:
        _read_strings(found, call, TOOL_CALL, media=False)


def _read_strings(
    found: Reading,
    item: object,
    role: str,
    *,
    media: bool,
) -> None:
    pieces: list[str] = []
    _gather(found, item, pieces, MEDIA if media else NO_MEDIA)
    if pieces:
        found.texts.append((role, pieces[0] if len(pieces) == 1 else "\n".join(pieces)))
    whole = words_over_cuts(pieces) if media else ""
    if whole:
        found.joined.append((role, whole))


def words_over_cuts(pieces: Sequence[str]) -> str:
    """Parts as a template writes them that puts nothing between; empty if no word is cut."""
    if not _is_cut(pieces):
        return ""
    return "".join(map(_ends_of, pieces))


def _ends_of(piece: str) -> str:
    """What of a long text stands near its neighbours; its middle is judged already."""
    if len(piece) <= 2 * NEAR_CHARS:
        return piece
    return f"{piece[:NEAR_CHARS]}\n{piece[-NEAR_CHARS:]}"


def _is_cut(pieces: Sequence[str]) -> bool:
    """Whether a word may go on from one piece to the next."""
    return any(
        before[-1:].isalnum() and after[:1].isalnum()
        for before, after in itertools.pairwise(pieces)
    )


def _gather(
    found: Reading,
    item: object,
    pieces: list[str],
    media: Mapping[str, Medium],
) -> None:
    """A stack of its own: a body may be nested deeper than Python's calls."""
    waiting: list[object] = [item]
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            pieces.append(value)
        elif isinstance(value, list):
            waiting.extend(reversed(value))
        elif isinstance(value, dict):
            for key in reversed(value):
                _wait_for(found, key, value[key], waiting, media)


def _wait_for(
    found: Reading,
    key: str,
    value: object,
    waiting: list[object],
    media: Mapping[str, Medium],
) -> None:
    """What of one entry is still to be read. `media`: keys below which data is no text."""
    if isinstance(value, str):
        if key in KINDS and value in API_WORDS:
            return
        if key in REFERENCES or value in REFERENCES:
            found.refers = True
        if key in media:
            waiting.extend(texts_of_data(media[key], value, found.media, key=key))
            return
        if key == "arguments" and "\\" in value:
            waiting.append(_decoded(value))
        waiting.append(value)
    elif isinstance(value, dict | list):
        if key in media:
            below = texts_of_media(media[key], value, found.media)
            found.refers = found.refers or below.refers
            waiting.extend(reversed(below.texts))
        else:
            waiting.append(value)
    if key not in STRUCTURE and key not in media:
        waiting.append(key)


def _decoded(arguments: str) -> object:
    """A template may write a call's arguments without the escapes in which they are sent."""
    try:
        return msgspec.json.decode(arguments)
    except UNREADABLE:
        return None


def utf8_bytes(text: str) -> int:
    if text.isascii():
        return len(text)
    return len(text.encode("utf-8", "surrogatepass"))
