"""What a request's answer is held to: its own grammar, or that of its `response_format`."""

from typing import Any

from _shared.grammars.compiled import GrammarCache
from _shared.grammars.machine import Machine
from _shared.grammars.merging import AnySchema
from _shared.grammars.nodes import GrammarError
from llamacpp.server.errors import BadRequest

# Any: a JSON schema, whose keywords hold values of every kind.
JsonSchema = dict[str, Any]

ANY_OBJECT: JsonSchema = {"type": "object"}


def grammar_of(
    grammar: str | None,
    response_format: JsonSchema | None,
    cache: GrammarCache,
) -> Machine | None:
    """None for free text. Raises: BadRequest."""
    if grammar:
        return from_gbnf(grammar, cache)
    if not response_format:
        return None
    kind = response_format.get("type")
    if kind == "text":
        return None
    if kind == "json_object" and response_format.get("schema") is None:
        return from_schema(ANY_OBJECT, cache)
    if kind == "json_object":
        # llama.cpp's own form.
        return from_schema(schema_in({"schema": response_format["schema"]}), cache)
    if kind == "json_schema":
        return from_schema(schema_in(response_format), cache)
    known = "text, json_object, json_schema"
    message = f"response_format: unknown type {kind!r}; known: {known}"
    raise BadRequest(message, param="response_format")


def schema_in(response_format: JsonSchema) -> AnySchema:
    """OpenAI puts it below `json_schema`; some clients leave that level out."""
    holder = response_format.get("json_schema") or response_format
    if isinstance(holder, dict):
        schema = holder.get("schema")
        if isinstance(schema, dict | bool):
            return schema
    message = "response_format: json_schema.schema is missing"
    raise BadRequest(message, param="response_format")


def from_gbnf(grammar: str, cache: GrammarCache) -> Machine:
    try:
        return cache.of_gbnf(grammar)
    except GrammarError as error:
        raise BadRequest(f"grammar: {error}", param="grammar") from error


def from_schema(
    schema: AnySchema,
    cache: GrammarCache,
    *,
    field: str = "response_format",
) -> Machine:
    """Raises: BadRequest that names the field and the keyword."""
    try:
        return cache.of_schema(schema)
    except GrammarError as error:
        message = f"{field}: this schema cannot become a grammar: {error}"
        raise BadRequest(message, param=field) from error
