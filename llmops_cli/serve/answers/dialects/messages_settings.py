"""Settings of a Messages request as a chat's: tools, thinking, the form of the answer."""

from __future__ import annotations

from typing import Any

import msgspec

from llmops_cli.serve.answers.dialects.messages_rules import (
    METADATA,
    OUTPUT_CONFIG,
    OUTPUT_FORMAT,
    THINKING,
    TOOL,
    TOOL_CHOICE,
    RawFields,
    invalid,
    missing,
    opened,
    typed,
    unsupported,
)
from llmops_cli.serve.answers.dialects.unsent import Unsent

Json = dict[str, Any]  # Any: OpenAI's fields
TOOL_CHOICES = {
    "auto": "auto",
    "any": "required",
    "none": "none",
}
EFFORTS = ("low", "medium", "high")
GREATER_EFFORTS = ("xhigh", "max")
NO_EFFORT = "none"
LOW_BELOW_TOKENS = 4096
MEDIUM_BELOW_TOKENS = 16384
EMPTY_SCHEMA = msgspec.Raw(b'{"type":"object"}')


def tools_of(raw: msgspec.Raw, unsent: Unsent) -> list[Json]:
    """Raises: Refusal."""
    tools = typed(raw, list[msgspec.Raw], "tools")
    return [_tool(tool, f"tools.{index}", unsent) for index, tool in enumerate(tools)]


def _tool(raw: msgspec.Raw, where: str, unsent: Unsent) -> Json:
    kind = _kind(raw, where)
    if kind != "custom":
        raise unsupported(f"{where}: tools of type {kind[:64]!r} are Anthropic's own; none is here")
    fields = opened(raw, TOOL, where=where, label="tools.", unsent=unsent)
    function: Json = {"name": _required(fields, "name", where)}
    if "description" in fields:
        function["description"] = typed(fields["description"], str, f"{where}.description")
    schema = fields.get("input_schema", EMPTY_SCHEMA)
    typed(schema, RawFields, f"{where}.input_schema")
    function["parameters"] = schema
    if "strict" in fields:
        function["strict"] = typed(fields["strict"], bool, f"{where}.strict")
    return {"type": "function", "function": function}


def _kind(raw: msgspec.Raw, where: str) -> str:
    """Of a tool, before its fields are read: those of other kinds are not ours."""
    given = typed(raw, RawFields, where).get("type")
    if given is None or bytes(given) == b"null":
        return "custom"
    return typed(given, str, f"{where}.type")


def tool_choice_of(
    raw: msgspec.Raw,
    tools: list[Json],
    unsent: Unsent,
) -> Json:
    """The fields that it becomes. Raises: Refusal."""
    choice = opened(raw, TOOL_CHOICE, where="tool_choice", label="tool_choice.", unsent=unsent)
    if not tools:
        raise invalid("tool_choice: it may only be given with tools")
    kind = _required(choice, "type", "tool_choice")
    found: Json = {}
    if kind == "tool":
        name = _required(choice, "name", "tool_choice")
        if name not in [tool["function"]["name"] for tool in tools]:
            raise invalid(f"tool_choice.name: there is no tool {name[:64]!r} among the tools")
        found["tool_choice"] = {"type": "function", "function": {"name": name}}
    elif kind in TOOL_CHOICES:
        found["tool_choice"] = TOOL_CHOICES[kind]
    else:
        raise invalid(f"tool_choice.type: it is auto, any, tool or none, not {kind[:64]!r}")
    alone = choice.get("disable_parallel_tool_use")
    if alone is not None and typed(alone, bool, "tool_choice.disable_parallel_tool_use"):
        found["parallel_tool_calls"] = False
    return found


class Thinking(msgspec.Struct, frozen=True):
    """`is_shown`: its words stand in the answer's blocks."""

    effort: str | None = None
    is_shown: bool = True


def thinking_of(raw: msgspec.Raw, unsent: Unsent) -> Thinking:
    """Raises: Refusal."""
    fields = opened(raw, THINKING, where="thinking", label="thinking.", unsent=unsent)
    kind = _required(fields, "type", "thinking")
    shown = True
    if "display" in fields:
        shown = typed(fields["display"], str, "thinking.display") != "omitted"
    if kind == "enabled":
        if "budget_tokens" not in fields:
            raise missing("thinking.budget_tokens")
        return Thinking(
            effort=_effort_for(integer(fields["budget_tokens"], "thinking.budget_tokens")),
            is_shown=shown,
        )
    if kind == "disabled":
        return Thinking(effort=NO_EFFORT, is_shown=shown)
    if kind != "adaptive":
        raise invalid(f"thinking.type: it is enabled, adaptive or disabled, not {kind[:64]!r}")
    return Thinking(is_shown=shown)


def _effort_for(budget_tokens: int) -> str:
    if budget_tokens < LOW_BELOW_TOKENS:
        return "low"
    if budget_tokens < MEDIUM_BELOW_TOKENS:
        return "medium"
    return "high"


def output_config_of(raw: msgspec.Raw, unsent: Unsent) -> Json:
    """The fields that it becomes. Raises: Refusal."""
    where = "output_config"
    config = opened(raw, OUTPUT_CONFIG, where=where, label=f"{where}.", unsent=unsent)
    found: Json = {}
    if "effort" in config:
        found["reasoning_effort"] = _effort(config["effort"])
    if "format" in config:
        found |= response_format_of(config["format"], f"{where}.format", unsent)
    return found


def _effort(raw: msgspec.Raw) -> str:
    effort = typed(raw, str, "output_config.effort")
    if effort in GREATER_EFFORTS:
        return "high"
    if effort not in EFFORTS:
        known = ", ".join((*EFFORTS, *GREATER_EFFORTS))
        raise invalid(f"output_config.effort: it is one of {known}, not {effort[:64]!r}")
    return effort


def response_format_of(
    raw: msgspec.Raw,
    where: str,
    unsent: Unsent,
) -> Json:
    """Raises: Refusal."""
    fields = opened(raw, OUTPUT_FORMAT, where=where, label="format.", unsent=unsent)
    kind = _required(fields, "type", where)
    if kind != "json_schema":
        raise invalid(f"{where}.type: it is json_schema, not {kind[:64]!r}")
    if "schema" not in fields:
        raise missing(f"{where}.schema")
    typed(fields["schema"], RawFields, f"{where}.schema")
    schema = {
        "name": "answer",
        "schema": fields["schema"],
        "strict": True,
    }
    return {"response_format": {"type": "json_schema", "json_schema": schema}}


def metadata_of(raw: msgspec.Raw, unsent: Unsent) -> Json:
    """Raises: Refusal."""
    fields = opened(raw, METADATA, where="metadata", label="metadata.", unsent=unsent)
    if "user_id" not in fields:
        return {}
    return {"user": typed(fields["user_id"], str, "metadata.user_id")}


def integer(raw: msgspec.Raw, where: str) -> int:
    """5.0 is one, too: some languages write all numbers so. Raises: Refusal."""
    found = typed(raw, float, where)
    if found.is_integer():
        return int(found)
    return typed(raw, int, where)


def _required(fields: RawFields, name: str, where: str) -> str:
    """A text that must be there, and says something."""
    if name not in fields:
        raise missing(f"{where}.{name}")
    found = typed(fields[name], str, f"{where}.{name}")
    if not found:
        raise invalid(f"{where}.{name}: it is empty")
    return found
