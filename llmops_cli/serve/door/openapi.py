"""The gateway's own OpenAPI document: what it takes and what it answers, as far as it looks."""

from __future__ import annotations

from typing import Any

from llmops_cli import __version__

Json = dict[str, Any]  # Any: an OpenAPI document
_ERROR_CODES = {
    "400": "The body cannot be used, or the guard stopped it.",
    "401": "No key, or not a valid one.",
    "403": "The key may not use this.",
    "404": "There is no such model.",
    "405": "Another method.",
    "408": "The body did not come in time.",
    "413": "The body is too large.",
    "415": "The body is compressed.",
    "429": "A limit or a budget is reached.",
    "431": "The headers are too large.",
    "500": "The gateway failed.",
    "502": "The upstream cannot be reached, or broke off.",
    "503": "No upstream can be asked now.",
    "504": "The upstream did not answer in time.",
}
_TEXT: Json = {"oneOf": [{"type": "string"}, {"type": "array", "items": {}}]}
_COMMON: Json = {
    "model": {"type": "string", "minLength": 1, "maxLength": 256},
    "stream": {"type": ["boolean", "null"]},
    "max_tokens": {"type": ["integer", "null"], "minimum": 0, "maximum": 131_072},
    "user": {"type": ["string", "null"]},
}
_MESSAGE: Json = {
    "type": "object",
    "required": ["role", "content"],
    "properties": {
        "role": {"type": "string", "enum": ["system", "developer", "user", "assistant", "tool"]},
        "content": {"type": "string"},
    },
}


def _post(summary: str, fields: Json, required: list[str], *, model: bool = True) -> Json:
    properties = {**(_COMMON if model else {}), **fields}
    schema = {"type": "object", "required": required, "properties": properties}
    return {
        "post": {
            "summary": summary,
            "security": [{"bearer": []}, {"header": []}],
            "requestBody": {"required": True, "content": {"application/json": {"schema": schema}}},
            "responses": {
                "200": {
                    "description": "The answer: JSON, or server-sent events for `stream`.",
                    "content": {
                        "application/json": {"schema": {"type": "object"}},
                        "text/event-stream": {"schema": {"type": "string"}},
                    },
                },
                **_errors(),
            },
        }
    }


def _get(
    summary: str, kind: str, *, key: bool = True, codes: tuple[str, ...] = ("401", "403", "503")
) -> Json:
    security: list[Json] = [{"bearer": []}, {"header": []}] if key else []
    schema = {"type": "object"} if kind == "application/json" else {"type": "string"}
    found = {
        code: value
        for code, value in _errors().items()
        if code in codes or code in ("405", "431", "500")
    }
    return {
        "get": {
            "summary": summary,
            "security": security,
            "responses": {
                "200": {"description": "As said.", "content": {kind: {"schema": schema}}},
                **found,
            },
        }
    }


def _errors() -> Json:
    reference = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    return {
        code: {"description": said, "content": reference} for code, said in _ERROR_CODES.items()
    }


def document() -> Json:
    """OpenAPI 3.1."""
    messages = {"type": "array", "minItems": 1, "items": _MESSAGE}
    anthropic = {
        "type": "array",
        "minItems": 1,
        "items": {
            "type": "object",
            "required": ["role", "content"],
            "properties": {
                "role": {"type": "string", "enum": ["user", "assistant"]},
                "content": {"type": "string"},
            },
        },
    }
    most: Json = {"max_tokens": {"type": "integer", "minimum": 0, "maximum": 131_072}}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "llmops gateway",
            "version": __version__,
            "description": "OpenAI's API and Anthropic's Messages in front of any engine.",
        },
        "paths": {
            "/v1/chat/completions": _post("Chat", {"messages": messages}, ["model", "messages"]),
            "/v1/completions": _post("Text", {"prompt": _TEXT}, ["model", "prompt"]),
            "/v1/embeddings": _post("Vectors", {"input": _TEXT}, ["model", "input"]),
            "/v1/responses": _post(
                "OpenAI's Responses, where the upstream has them",
                {"input": _TEXT},
                ["model", "input"],
            ),
            "/v1/messages": _post(
                "Anthropic's Messages, translated",
                {"messages": anthropic, **most},
                ["model", "messages", "max_tokens"],
            ),
            "/v1/moderations": _post(
                "The guard's opinion", {"input": _TEXT}, ["input"], model=False
            ),
            "/v1/models": _get("The models that the key may use", "application/json"),
            "/health": _get("Alive", "application/json", key=False, codes=()),
            "/ready": _get(
                "Every model has an upstream that can be asked",
                "application/json",
                key=False,
                codes=("503",),
            ),
            "/metrics": _get("Prometheus", "text/plain"),
            "/admin/state": _get("What /ui shows", "application/json"),
            "/ui": _get("The dashboard", "text/html", key=False, codes=()),
            "/openapi.json": _get("This document", "application/json", key=False, codes=()),
        },
        "components": {
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
            },
            "schemas": {
                "Error": {
                    "type": "object",
                    "required": ["error"],
                    "properties": {
                        "error": {
                            "type": "object",
                            "required": ["message"],
                            "properties": {
                                "message": {"type": "string"},
                                "type": {"type": "string"},
                                "code": {"type": "string"},
                            },
                        }
                    },
                }
            },
        },
    }
