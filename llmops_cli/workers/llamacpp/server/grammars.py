"""GBNF grammars for what a request's `response_format` asks for."""

import json
from typing import Any

from llama_cpp.llama_grammar import JSON_GBNF, json_schema_to_gbnf

from llamacpp.server.errors import BadRequest

# Any: a JSON schema, whose keywords hold values of every kind.
JsonSchema = dict[str, Any]


def grammar_of(grammar: str | None, response_format: JsonSchema | None) -> str | None:
    """The grammar itself, else that of the format; None for free text. Raises: BadRequest."""
    if grammar:
        return grammar
    if not response_format:
        return None
    kind = response_format.get("type")
    if kind == "text":
        return None
    if kind == "json_object":
        return JSON_GBNF
    if kind == "json_schema":
        return grammar_of_schema(schema_in(response_format))
    known = "text, json_object, json_schema"
    raise BadRequest(f"response_format: unknown type {kind!r}; known: {known}")


def schema_in(response_format: JsonSchema) -> JsonSchema:
    """OpenAI puts it below `json_schema`; some clients leave that level out."""
    holder = response_format.get("json_schema") or response_format
    if isinstance(holder, dict):
        schema = holder.get("schema")
        if isinstance(schema, dict):
            return schema
    raise BadRequest("response_format: json_schema.schema is missing")


def grammar_of_schema(schema: JsonSchema) -> str:
    try:
        return str(json_schema_to_gbnf(json.dumps(schema)))
    except Exception as error:  # whatever the converter meets in a schema it does not know
        message = f"response_format: this schema cannot become a grammar: {error}"
        raise BadRequest(message) from error
