"""The gateway's own OpenAPI document, made from its endpoints: what it takes and answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llmops_cli import __version__
from llmops_cli.serve.endpoints import (
    CHAT,
    FEEDBACK,
    MODERATIONS,
    PAGES,
    AnswerKind,
    Endpoint,
    PageEndpoint,
)

Json = dict[str, Any]  # Any: an OpenAPI document
_ERROR_CODES = {
    "400": "The body cannot be used, or the guard stopped it.",
    "401": "No key, or not a valid one.",
    "403": "The key may not use this.",
    "404": "There is no such model.",
    "405": "Another method.",
    "408": "The body, or an answer within the client's own limit, did not come in time.",
    "409": "The answer was rated too often, or something else was deployed in between.",
    "413": "The body is too large.",
    "415": "The body is compressed.",
    "429": "A limit or a budget is reached.",
    "431": "The headers are too large.",
    "500": "The gateway failed.",
    "502": "The upstream cannot be reached, or broke off.",
    "503": "No upstream can be asked now.",
    "504": "The upstream did not answer in time.",
}
_STREAMED = ("text/event-stream", {"type": "string"})
_OBJECT = ("application/json", {"type": "object"})
_ANSWERS = {
    AnswerKind.JSON: (_OBJECT, _STREAMED),
    AnswerKind.MEDIA: (_OBJECT, _STREAMED),
    AnswerKind.TEXT: (_OBJECT, ("text/plain", {"type": "string"}), _STREAMED),
    AnswerKind.SOUND: (("audio/*", {"type": "string"}), _OBJECT, _STREAMED),
}
_EVERYWHERE = ("405", "431", "500")
_TEXT: Json = {"oneOf": [{"type": "string"}, {"type": "array", "items": {}}]}
_PARTS: Json = {
    "type": "array",
    "minItems": 1,
    "items": {
        "oneOf": [
            {
                "type": "object",
                "required": ["type", "text"],
                "properties": {"type": {"const": "text"}, "text": {"type": "string"}},
            },
            {
                "type": "object",
                "required": ["type", "image_url"],
                "properties": {
                    "type": {"const": "image_url"},
                    "image_url": {
                        "type": "object",
                        "required": ["url"],
                        "properties": {"url": {"type": "string"}},
                    },
                },
            },
        ],
    },
}
_MODERATED: Json = {
    "oneOf": [
        {"type": "string"},
        {
            "type": "array",
            "minItems": 1,
            "items": {"type": "string"},
        },
        _PARTS,
    ]
}
_TOKENS: Json = {
    "type": "integer",
    "minimum": 0,
    "maximum": 131_072,
}
_PARAMETER: Json = {
    "name": "model",
    "in": "path",
    "required": True,
    "description": "Slashes may stand in it as they are.",
    "schema": {"type": "string", "minLength": 1},
}
_COMMON: Json = {
    "model": {
        "type": "string",
        "minLength": 1,
        "maxLength": 256,
    },
    "stream": {"type": ["boolean", "null"]},
    "max_tokens": {**_TOKENS, "type": ["integer", "null"]},
    "user": {"type": ["string", "null"]},
}
_RATING: Json = {
    "request": {"type": "string", "pattern": "^[0-9a-f]{16}$"},
    "score": {"type": ["number", "boolean", "null"], "minimum": 0, "maximum": 1},
    "labels": {
        "type": "array",
        "maxItems": 8,
        "items": {"type": "string", "minLength": 1, "maxLength": 64},
    },
    "text": {"type": "string", "maxLength": 2000},
}
_ORDER: Json = {
    "type": "object",
    "required": ["action"],
    "additionalProperties": False,
    "properties": {
        "action": {"type": "string", "enum": ["canary", "promote", "rollback"]},
        "model": {"type": "string", "maxLength": 256},
        "percent": {"type": ["integer", "null"]},
        "reason": {"type": "string", "maxLength": 500},
        "expect": {"type": "string", "maxLength": 256},
    },
}
_NAMED_PROMPT: Json = {
    "description": "A prompt of the gateway's: its name, or with its version and variables. "
    "`model` may name it too: MODEL@PROMPT, MODEL@PROMPT@VERSION or @PROMPT.",
    "oneOf": [
        {"type": "string"},
        {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "id": {"type": "string"},
                "version": {"type": "string"},
                "variables": {
                    "type": "object",
                    "maxProperties": 100,
                    "additionalProperties": {"type": ["string", "number", "boolean"]},
                },
            },
        },
        {"type": "null"},
    ],
}
_ROLES = ["system", "developer", "user", "assistant", "tool"]
_ANTHROPIC_ROLES = ["user", "assistant"]


def document(endpoints: Mapping[str, Endpoint], *, prompts: bool = False) -> Json:
    """OpenAPI 3.1. `endpoints`: by path, as the gateway's file has them.

    `prompts`: the gateway has some of its own, which a body may name.
    """
    paths = {
        path: {"post": _post(endpoint, prompts=prompts and endpoint.prompts)}
        for path, endpoint in endpoints.items()
    }
    paths |= {path: _page(page) for path, page in PAGES.items()}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "llmops gateway",
            "version": __version__,
            "description": "OpenAI's API and Anthropic's Messages in front of any engine.",
        },
        "paths": paths,
        "components": {
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "header": _key_in("X-API-Key"),
                "azure": _key_in("api-key"),
            },
            "schemas": {"Error": _error_schema()},
        },
    }


def _key_in(header: str) -> Json:
    return {
        "type": "apiKey",
        "in": "header",
        "name": header,
    }


def _post(endpoint: Endpoint, *, prompts: bool) -> Json:
    """`prompts`: a prompt of the gateway's may stand for what is asked, or beside it."""
    required = [name for name in endpoint.required if not prompts or name != endpoint.prompt]
    named = {"prompt": _NAMED_PROMPT} if prompts else {}
    body = {
        "type": "object",
        "required": required,
        "properties": {**_properties(endpoint), **named},
    }
    kind = "application/json"
    if endpoint.files:
        kind = "multipart/form-data"
        files = {name: {"type": "string", "format": "binary"} for name in endpoint.files}
        body["required"] = [*endpoint.required, endpoint.files[0]]
        body["properties"] = {**_properties(endpoint), **files}
    answer = {
        "description": "The answer, or server-sent events for `stream`.",
        "content": {each: {"schema": schema} for each, schema in _ANSWERS[endpoint.answers]},
    }
    return {
        "summary": endpoint.summary,
        "security": _security(endpoint.right),
        "requestBody": {"required": True, "content": {kind: {"schema": body}}},
        "responses": {"200": answer, **_errors(tuple(_ERROR_CODES))},
    }


def _properties(endpoint: Endpoint) -> Json:
    if endpoint is FEEDBACK:
        return _RATING
    found: Json = {}
    if "model" in endpoint.required:
        found |= _COMMON
    if "max_tokens" in endpoint.required:
        found["max_tokens"] = _TOKENS
    if endpoint.prompt != "model":
        found[endpoint.prompt] = _prompt(endpoint)
    return found


def _prompt(endpoint: Endpoint) -> Json:
    if endpoint is MODERATIONS:
        return _MODERATED
    if endpoint.prompt != "messages":
        return _TEXT
    roles = _ANTHROPIC_ROLES if endpoint.translated_to is CHAT else _ROLES
    message = {
        "type": "object",
        "required": ["role", "content"],
        "properties": {
            "role": {"type": "string", "enum": roles},
            "content": {"type": "string"},
        },
    }
    return {
        "type": "array",
        "minItems": 1,
        "items": message,
    }


def _page(page: PageEndpoint) -> Json:
    found = {"get": _get(page)}
    if page.changes:
        found["post"] = _change(page)
    return found


def _change(page: PageEndpoint) -> Json:
    answer = {"description": "As said.", "content": {"application/json": {"schema": _OBJECT[1]}}}
    return {
        "summary": page.changes,
        "security": _security(page.right),
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": _ORDER}},
        },
        "responses": {
            "200": answer,
            **_errors((*page.statuses, "400", "404", "408", "409", "413", "415", *_EVERYWHERE)),
        },
    }


def _get(page: PageEndpoint) -> Json:
    is_json = page.media_type == "application/json"
    schema = {"type": "object" if is_json else "string"}
    answer = {"description": "As said.", "content": {page.media_type: {"schema": schema}}}
    return {
        "summary": page.summary,
        "parameters": [_PARAMETER] if "{model}" in page.path else [],
        "security": _security(page.right),
        "responses": {"200": answer, **_errors((*page.statuses, *_EVERYWHERE))},
    }


def _security(right: str | None) -> list[Json]:
    if right is None:
        return []
    return [{"bearer": []}, {"header": []}, {"azure": []}]


def _errors(codes: tuple[str, ...]) -> Json:
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    return {code: {"description": _ERROR_CODES[code], "content": content} for code in sorted(codes)}


def _error_schema() -> Json:
    texts = {name: {"type": "string"} for name in ("message", "type", "code")}
    error = {
        "type": "object",
        "required": ["message"],
        "properties": texts,
    }
    return {
        "type": "object",
        "required": ["error"],
        "properties": {"error": error},
    }
