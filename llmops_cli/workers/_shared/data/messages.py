"""Chats of the field become one form: OpenAI's messages, with plain texts and parsed arguments."""

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from _shared.data.row_error import RowError

# JSON of whichever shape.
Value = Any
Message = dict[str, Any]

ROLES = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
}
SPEAKERS = {
    "system": "system",
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "bing": "assistant",
    "bard": "assistant",
    "model": "assistant",
    "assistant": "assistant",
    "function_call": "function_call",
    "tool": "tool",
    "observation": "tool",
    "function_response": "tool",
}
"""ShareGPT's names, and those of its relatives."""
PASSED_ON = ("name", "tool_call_id")
REASONING = ("reasoning_content", "thinking", "reasoning")
"""Names of one field; templates read the first or the second."""


class Turns(NamedTuple):
    """A chat, and which of its messages are answers to learn."""

    messages: list[Message]
    answers: tuple[int, ...]


def openai_turns(value: Value, field: str = "messages") -> Turns:
    """Raises: RowError naming the message."""
    turns = _list_of_turns(value, field)
    messages = []
    answers = []
    for index, turn in enumerate(turns):
        where = f"{field}[{index}]"
        message = _message(turn, where)
        messages.append(message)
        if message["role"] == "assistant" and _is_trained(turn, where):
            answers.append(index)
    return Turns(messages, tuple(answers))


def sharegpt_turns(value: Value, field: str = "conversations") -> Turns:
    """Of `from` and `value`; lists under this name that have OpenAI's fields are taken too."""
    turns = _list_of_turns(value, field)
    renamed = []
    for index, turn in enumerate(turns):
        if isinstance(turn, dict) and "from" in turn:
            turn = _renamed(turn, f"{field}[{index}]")
        renamed.append(turn)
    return openai_turns(renamed, field)


def tools_of(value: Value) -> list[Value] | None:
    """The definitions, which some data sets hold as a text of JSON."""
    if isinstance(value, str):
        value = _json_in(value, "tools") if value.strip() else None
    if not value:
        return None
    if not isinstance(value, list) or not all(isinstance(tool, dict) for tool in value):
        raise RowError("tools is no list of objects", "tools: [{type: function, function: {...}}]")
    return value


def _list_of_turns(value: Value, field: str) -> Sequence[Value]:
    if not isinstance(value, list):
        raise RowError(f"{field} is {_kind(value)}", f"{field}: [...], a list of messages")
    if not value:
        raise RowError(f"{field} is empty", "leave the row out")
    return value


def _message(turn: Value, where: str) -> Message:
    if not isinstance(turn, dict):
        raise RowError(f"{where} is {_kind(turn)}", "a message is {role, content}")
    role = _known(turn.get("role"), ROLES, f"{where}: role")
    if turn.get("function_call"):
        raise RowError(f"{where} has a function_call", "OpenAI's newer form: tool_calls")
    message: Message = {"role": role}
    calls = turn.get("tool_calls")
    text = _text_of(turn.get("content"), where)
    if text is None and not calls:
        raise RowError(f"{where}: {role} says nothing: content is null", "leave the message out")
    message["content"] = text or ""
    if calls:
        message["tool_calls"] = _calls(calls, role, where)
    for name in PASSED_ON:
        if isinstance(turn.get(name), str):
            message[name] = turn[name]
    _add_reasoning(message, turn)
    return message


def _add_reasoning(message: Message, turn: Value) -> None:
    for name in REASONING:
        text = turn.get(name)
        if isinstance(text, str):
            message["reasoning_content"] = text
            message["thinking"] = text
            return


def _text_of(content: Value, where: str) -> str | None:
    """Parts of text are joined; others are refused."""
    if content is None or isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise RowError(f"{where}: content is {_kind(content)}", "a text, or a list of parts")
    texts = []
    for part in content:
        kind = part.get("type") if isinstance(part, dict) else _kind(part)
        text = part.get("text") if isinstance(part, dict) else None
        if kind != "text" or not isinstance(text, str):
            raise RowError(f"{where}: a part is {kind!r}", "only parts of text can be trained")
        texts.append(text)
    return "".join(texts)


def _calls(calls: Value, role: str, where: str) -> list[Value]:
    """With arguments as objects, which is what templates write as JSON."""
    if role != "assistant":
        raise RowError(f"{where}: {role} has tool_calls", "only an assistant calls tools")
    if not isinstance(calls, list):
        raise RowError(f"{where}: tool_calls is {_kind(calls)}", "a list")
    return [_call(call, f"{where}.tool_calls[{index}]") for index, call in enumerate(calls)]


def _call(call: Value, where: str) -> Value:
    if not isinstance(call, dict):
        raise RowError(f"{where} is {_kind(call)}", "{type, function: {name, arguments}}")
    function = call.get("function")
    name = function.get("name") if isinstance(function, dict) else None
    if not isinstance(function, dict) or not isinstance(name, str):
        raise RowError(f"{where} names no function", "{type, function: {name, arguments}}")
    arguments = function.get("arguments")
    if isinstance(arguments, str):
        arguments = _json_in(arguments or "{}", f"{where}: arguments")
    if arguments is None:
        arguments = {}
    if not isinstance(arguments, dict):
        raise RowError(f"{where}: arguments is {_kind(arguments)}", "an object, or its JSON")
    return {**call, "type": "function", "function": {**function, "arguments": arguments}}


def _renamed(turn: Value, where: str) -> Message:
    speaker = _known(turn["from"], SPEAKERS, f"{where}: from")
    message = {**turn, "role": speaker, "content": turn.get("value")}
    if speaker != "function_call":
        return message
    text = message["content"]
    call = _json_in(text, where) if isinstance(text, str) else text
    calls = call if isinstance(call, list) else [call]
    functions = [{"type": "function", "function": one} for one in calls]
    return {**message, "role": "assistant", "content": "", "tool_calls": functions}


def _known(name: Value, table: dict[str, str], where: str) -> str:
    if isinstance(name, str) and name in table:
        return table[name]
    raise RowError(f"{where} is {_shown(name)}", f"known: {', '.join(table)}")


def _is_trained(turn: Value, where: str) -> bool:
    """OpenAI's `weight` of an assistant's message."""
    weight = turn.get("weight")
    if weight is None:
        return True
    if isinstance(weight, bool | int | float) and weight in {0, 1}:
        return bool(weight)
    raise RowError(f"{where}: weight is {_shown(weight)}", "0 or 1")


def _json_in(text: str, where: str) -> Value:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RowError(f"{where} is no JSON: {error}") from None


def _shown(value: Value) -> str:
    return repr(value)[:60]


def _kind(value: Value) -> str:
    """A JSON value in the reader's words."""
    names = {
        "NoneType": "null",
        "dict": "an object",
        "list": "a list",
        "str": "a text",
        "bool": "true or false",
    }
    return names.get(type(value).__name__, "a number")
