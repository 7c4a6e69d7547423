"""A chat in OpenAI's words as Anthropic's Messages have it: turns, tools, images, reasons to end.

Whoever speaks to an endpoint of that dialect translates here: the chat client and the gateway.
Source: Anthropic's Messages API, version 2023-06-01.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

Json = dict[str, Any]  # Any: either API's fields
ANSWER_TOKENS = 4096
"""Where nobody says how long an answer may be: the dialect wants a limit."""
STOP_REASONS = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
"""Anthropic's, in OpenAI's words."""
INPUT_COUNTS = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
"""Anthropic counts what its cache took or gave apart."""
SYSTEM = ("system", "developer")
BETWEEN = "\n\n"
"""Of texts that were apart, where only one string is taken."""
EPHEMERAL = {"type": "ephemeral"}
"""The end of a prefix to cache; a longer time than the dialect's default costs twice as much."""
MARK_TTL = "5m"
"""Since its last use, the default."""
SIGNED_THOUGHTS = "thinking_blocks"
"""A message's field for them, as LiteLLM has it."""
THOUGHTS = {"thinking": ("thinking", "signature"), "redacted_thinking": ("data",)}
MARKS_MOST = 4
"""Of one request."""
EMPTY_SCHEMA = {"type": "object"}
CHOICES = {"auto": "auto", "required": "any", "none": "none"}
PDF = "data:application/pdf;base64,"
UNREADABLE = "INVALID_JSON"
"""Anthropic's name for a tool's input that is no JSON object."""
_DATA = re.compile(r"data:([\w.+/-]+)(?:;[\w.+-]+=[\w.+-]*)*;base64,")
_KINDS = {"image/jpg": "image/jpeg"}
"""What browsers take, by the name that the dialect takes."""
_NOT_IN_ID = re.compile(r"[^a-zA-Z0-9_-]")


class NotInMessages(ValueError):
    """A field that Anthropic's dialect has no word for. `why`: what stands in the way."""

    def __init__(self, field: str, why: str) -> None:
        super().__init__(f"{field}: {why}")
        self.field = field
        self.why = why


# The conversation.


def system_of(messages: Iterable[Json]) -> str | list[Json] | None:
    """All that the system says, wherever it stands. Blocks where one of them marks a cache."""
    parts: list[Json] = []
    for each in messages:
        if each.get("role") in SYSTEM:
            parts += _marked_last(_blocks(each.get("content")), each)
    if any(part["type"] != "text" for part in parts):
        raise NotInMessages("messages", "a system's message is text")
    if any("cache_control" in part for part in parts):
        return parts
    return BETWEEN.join(part["text"] for part in parts) or None


def turns_of(messages: Iterable[Json]) -> list[Json]:
    """Without the system's; results of tools are the user's, beside what the user says next.

    Raises: NotInMessages.
    """
    turns: list[Json] = []
    for each in messages:
        role = each.get("role")
        if role in SYSTEM:
            continue
        content = _marked_last(list(_turn(each)), each)
        if not content:
            continue
        theirs = "assistant" if role == "assistant" else "user"
        if turns and turns[-1]["role"] == theirs:
            turns[-1]["content"] += content
        else:
            turns.append({"role": theirs, "content": content})
    return [{**turn, "content": _simplest(turn["content"])} for turn in turns]


def _simplest(blocks: list[Json]) -> str | list[Json]:
    """One text alone is a string, as every server takes it."""
    if len(blocks) == 1 and blocks[0].keys() == {"type", "text"}:
        return str(blocks[0]["text"])
    return blocks


def _turn(each: Json) -> Iterator[Json]:
    role = each.get("role")
    if role == "tool":
        yield _result(each)
    elif role == "assistant":
        if each.get("function_call"):
            raise NotInMessages("function_call", "the dialect has calls of `tools` alone")
        if each.get("tool_calls"):
            yield from _thoughts(each.get(SIGNED_THOUGHTS))
        yield from _blocks(each.get("content"))
        if isinstance(each.get("refusal"), str):
            yield from _blocks(each["refusal"])
        for call in each.get("tool_calls") or ():
            yield use_of(call)
    elif role == "user":
        yield from _blocks(each.get("content"))
    else:
        raise NotInMessages("messages", f"the role {str(role)[:64]!r} is not known")


def _thoughts(given: Any) -> Iterator[Json]:  # Any: as LiteLLM's clients send it back
    """Of a model that went on to call tools: it wants back what it has signed."""
    for block in given if isinstance(given, list) else ():
        signed = signed_thought(block)
        if signed is not None:
            yield signed


def signed_thought(block: Any) -> Json | None:  # Any: Anthropic's form of a thought
    """None for what nobody has signed."""
    if not isinstance(block, dict):
        return None
    fields = THOUGHTS.get(str(block.get("type")), ())
    texts = {name: block.get(name) for name in fields}
    if not fields or not all(isinstance(text, str) for text in texts.values()):
        return None
    return {"type": block["type"], **texts} if texts[fields[-1]] else None


def _result(each: Json) -> Json:
    block: Json = {"type": "tool_result", "tool_use_id": id_of(each.get("tool_call_id"))}
    content = each.get("content")
    if isinstance(content, str):
        block["content"] = content if content.strip() else ""
    elif content:
        block["content"] = _blocks(content)
    return block


def _blocks(content: Any) -> list[Json]:  # Any: a text, a list of parts, or nothing
    """Without texts that are empty, or white space alone, which the dialect refuses."""
    if content is None:
        return []
    if isinstance(content, str):
        content = [content]
    if not isinstance(content, list):
        raise NotInMessages("messages", "a content is a text, or a list of parts")
    found = [_block(part) for part in content]
    return [block for block in found if block["type"] != "text" or block["text"].strip()]


def _block(part: Any) -> Json:  # Any: a part of a message
    if isinstance(part, str):
        return {"type": "text", "text": part}
    if not isinstance(part, dict):
        raise NotInMessages("messages", "a part of a content is an object")
    kind = part.get("type")
    if kind in ("text", "refusal"):
        block: Json = {"type": "text", "text": _text(part.get(kind))}
    elif kind == "image_url":
        block = {"type": "image", "source": _image(part.get("image_url"))}
    elif kind == "file":
        block = _document(part.get("file"))
    else:
        raise NotInMessages("messages", f"content of type {str(kind)[:64]!r} has no counterpart")
    return _marked(block, part)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise NotInMessages("messages", "a part of type 'text' has a text")
    return value


def _marked(block: Json, given: Mapping[str, Any]) -> Json:  # Any: OpenAI's fields
    """With the end of a prefix to cache, as OpenRouter's and LiteLLM's clients mark it."""
    mark = given.get("cache_control")
    return {**block, "cache_control": EPHEMERAL} if is_ephemeral(mark) else block


def _marked_last(blocks: list[Json], message: Json) -> list[Json]:
    """LiteLLM's clients mark whole messages, which end with their last block."""
    if not blocks:
        return blocks
    return [*blocks[:-1], _marked(blocks[-1], message)]


def is_ephemeral(mark: object) -> bool:
    return isinstance(mark, dict) and mark.get("type") == EPHEMERAL["type"]


def marks_in(messages: Iterable[Json], tools: Iterable[Json] | None) -> Iterator[Json]:
    """Of a chat's messages, parts and tools, whatever they say."""
    marked: list[Any] = list(tools or ())
    for each in messages:
        marked.append(each)
        if isinstance(each.get("content"), list):
            marked += each["content"]
    for holder in marked:
        if isinstance(holder, dict) and isinstance(holder.get("cache_control"), dict):
            yield holder["cache_control"]


def trim_marks(body: Json) -> bool:
    """Takes out marks beyond what the dialect takes; whether there were any.

    The first stays, of what all conversations have, and the last, by which this one is found again.
    """
    marked = [each for each in _may_be_marked(body) if "cache_control" in each]
    for each in marked[1 : 1 - MARKS_MOST] if len(marked) > MARKS_MOST else ():
        del each["cache_control"]
    return len(marked) > MARKS_MOST


def _may_be_marked(body: Json) -> Iterator[Json]:
    """In the order of the prompt."""
    yield from body.get("tools") or ()
    for content in (body.get("system"), *(turn["content"] for turn in body["messages"])):
        for block in content if isinstance(content, list) else ():
            if isinstance(block.get("content"), list):
                yield from block["content"]
            yield block


def _image(image: Any) -> Json:  # Any: an address, alone or in an object
    url = image.get("url") if isinstance(image, dict) else image
    if not isinstance(url, str):
        raise NotInMessages("image_url", "it has no url")
    found = _DATA.match(url)
    if found is not None:
        data = url[found.end() :]
        kind = _KINDS.get(found[1], found[1])
        return {"type": "base64", "media_type": kind, "data": data}
    if not url.startswith("https://"):
        raise NotInMessages("image_url", "images are https or data:...;base64 addresses")
    return {"type": "url", "url": url}


def _document(file: Any) -> Json:  # Any: OpenAI's form of a file
    data = file.get("file_data") if isinstance(file, dict) else None
    if not isinstance(data, str) or not data.startswith(PDF):
        raise NotInMessages("file", f"a file is a PDF, its file_data {PDF}...")
    source = {"type": "base64", "media_type": "application/pdf", "data": data.removeprefix(PDF)}
    block: Json = {"type": "document", "source": source}
    if isinstance(file.get("filename"), str) and file["filename"]:
        block["title"] = file["filename"]
    return block


# Tools.


def id_of(value: object) -> str:
    """Of a call: ids of other servers may have characters that are not taken here."""
    return _NOT_IN_ID.sub("_", str(value or "")) or "call"


def use_of(call: Any) -> Json:  # Any: OpenAI's form of a call
    if not isinstance(call, dict) or not isinstance(call.get("function"), dict):
        raise NotInMessages("tool_calls", "only calls of functions have a counterpart")
    function = call["function"]
    return {
        "type": "tool_use",
        "id": id_of(call.get("id")),
        "name": function.get("name"),
        "input": _input(function.get("arguments")),
    }


def _input(arguments: Any) -> Any:  # Any: a text as a rule, of any JSON
    """An object, whatever a model wrote."""
    if isinstance(arguments, dict):
        return arguments
    if arguments is None or (isinstance(arguments, str) and not arguments.strip()):
        return {}
    try:
        given = msgspec.json.decode(arguments)
    except (msgspec.DecodeError, UnicodeError, RecursionError, TypeError):
        given = None
    return given if isinstance(given, dict) else {UNREADABLE: arguments}


def call_of(block: Any) -> Json:  # Any: Anthropic's form of a call
    """Raises: KeyError and its like for another form."""
    arguments = msgspec.json.encode(block["input"]).decode()
    function = {"name": block["name"], "arguments": arguments}
    return {"id": block["id"], "type": "function", "function": function}


def tool_of(tool: Any) -> Json:  # Any: OpenAI's form of a tool
    """Raises: NotInMessages."""
    function = tool.get("function") if isinstance(tool, dict) else None
    if not isinstance(function, dict):
        raise NotInMessages("tools", "only functions have a counterpart")
    found: Json = {"name": function.get("name")}
    if function.get("description") is not None:
        found["description"] = function["description"]
    schema = function.get("parameters") or EMPTY_SCHEMA
    found["input_schema"] = {**EMPTY_SCHEMA, **schema} if isinstance(schema, dict) else schema
    if function.get("strict") is True:
        found["strict"] = True
    return _marked(found, tool)


def tool_choice_of(choice: Any, *, is_parallel: bool) -> Json | None:  # Any: a word, or an object
    """None: what the dialect does anyway. Raises: NotInMessages."""
    if choice is None:
        choice = "auto"
    if isinstance(choice, str) and choice in CHOICES:
        found: Json = {"type": CHOICES[choice]}
    elif isinstance(choice, dict) and isinstance(choice.get("function"), dict):
        found = {"type": "tool", "name": choice["function"].get("name")}
    else:
        raise NotInMessages("tool_choice", "it is auto, none, required or one function")
    if not is_parallel and found["type"] != "none":
        found["disable_parallel_tool_use"] = True
    return None if found == {"type": "auto"} else found


def schema_in(response_format: Mapping[str, Any]) -> Any:  # Any: a JSON schema
    """Raises: NotInMessages."""
    kind = response_format.get("type")
    named = response_format.get("json_schema")
    if kind != "json_schema" or not isinstance(named, dict) or "schema" not in named:
        raise NotInMessages("response_format", f"Anthropic's dialect has no {str(kind)[:64]!r}")
    return named["schema"]
