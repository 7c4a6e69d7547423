"""A prompt for another program: what is exported is what runs, in five forms."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from llmops_cli.core.errors import unknown_name
from llmops_cli.prompt_file.prompt import Prompt

Body = dict[str, Any]  # Any: JSON
DEFAULT_URL = "http://127.0.0.1:8000"
DEFAULT_MODEL = "MODEL"
KEY_VARIABLE = "LLMOPS_API_KEY"
ANTHROPIC_MAX_TOKENS = 1024
"""Anthropic's endpoint wants one."""
ANTHROPIC_PARAMETERS = frozenset({"max_tokens", "temperature", "top_p", "top_k", "metadata"})
ANTHROPIC_NAMES = {"stop": "stop_sequences", "max_completion_tokens": "max_tokens"}


class PromptRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A prompt whose holes are filled, and where it would be sent."""

    prompt: Prompt
    messages: list[dict[str, str]]
    model: str
    url: str


def request_of(
    prompt: Prompt,
    values: Mapping[str, str],
    *,
    model: str | None = None,
    url: str | None = None,
) -> PromptRequest:
    """`model` wins over the file's. Raises: UsageError for a hole without a value."""
    return PromptRequest(
        prompt=prompt,
        messages=prompt.filled(values),
        model=model or prompt.model or DEFAULT_MODEL,
        url=(url or DEFAULT_URL).rstrip("/"),
    )


def exported(request: PromptRequest, form: str) -> str:
    """Raises: UsageError for an unknown form."""
    write = FORMS.get(form)
    if write is None:
        raise unknown_name("form", form, FORMS)
    return write(request)


def openai_body(request: PromptRequest) -> Body:
    """Of POST /v1/chat/completions."""
    prompt = request.prompt
    body: Body = {
        "model": request.model,
        "messages": request.messages,
        **prompt.parameters,
    }
    if prompt.schema is not None:
        body["response_format"] = schema_format(prompt)
    return body


def schema_format(prompt: Prompt) -> Body:
    """The answer's schema as OpenAI's `response_format`."""
    named = {"name": "answer", "strict": True, "schema": prompt.schema}
    return {"type": "json_schema", "json_schema": named}


def anthropic_body(request: PromptRequest) -> Body:
    """Of POST /v1/messages: the system message is a field, and an answer has a bound."""
    prompt = request.prompt
    systems = [each["content"] for each in request.messages if each["role"] == "system"]
    others = [each for each in request.messages if each["role"] != "system"]
    body: Body = {"model": request.model, "max_tokens": ANTHROPIC_MAX_TOKENS}
    for name, value in prompt.parameters.items():
        name = ANTHROPIC_NAMES.get(name, name)
        if name == "stop_sequences" and isinstance(value, str):
            value = [value]
        if name in ANTHROPIC_PARAMETERS or name == "stop_sequences":
            body[name] = value
    if systems:
        body["system"] = "\n\n".join(systems)
    if prompt.schema is not None:
        body["output_format"] = {"type": "json_schema", "schema": prompt.schema}
    return {**body, "messages": others}


def _messages(request: PromptRequest) -> str:
    return _json(request.messages)


def _openai(request: PromptRequest) -> str:
    return _json(openai_body(request))


def _anthropic(request: PromptRequest) -> str:
    return _json(anthropic_body(request))


def _curl(request: PromptRequest) -> str:
    """One command; the key stays a variable, and the body stands between single quotes."""
    body = msgspec.json.encode(openai_body(request)).decode()
    url = shlex.quote(f"{request.url}/v1/chat/completions")
    lines = [
        f"curl -sS {url}",
        "  -H 'Content-Type: application/json'",
        f'  -H "Authorization: Bearer ${KEY_VARIABLE}"',
        f"  --data-binary {shlex.quote(body)}",
    ]
    return " \\\n".join(lines) + "\n"


def _python(request: PromptRequest) -> str:
    """A program that needs the openai package alone."""
    body = openai_body(request)
    arguments = "".join(f"    {name}={value!r},\n" for name, value in _named(body).items())
    return (
        "import os\n\n"
        "from openai import OpenAI\n\n"
        f"client = OpenAI(base_url={request.url + '/v1'!r}, "
        f'api_key=os.environ.get("{KEY_VARIABLE}", "none"))\n'
        "answer = client.chat.completions.create(\n"
        f"{arguments})\n"
        "print(answer.choices[0].message.content)\n"
    )


def _named(body: Body) -> Body:
    """Fields that the client does not know by name travel as extra_body."""
    known = {name: value for name, value in body.items() if name in OPENAI_ARGUMENTS}
    extra = {name: value for name, value in body.items() if name not in OPENAI_ARGUMENTS}
    if extra:
        known["extra_body"] = extra
    return known


OPENAI_ARGUMENTS = frozenset(
    {
        "model",
        "messages",
        "max_tokens",
        "max_completion_tokens",
        "temperature",
        "top_p",
        "n",
        "stop",
        "seed",
        "presence_penalty",
        "frequency_penalty",
        "logit_bias",
        "logprobs",
        "top_logprobs",
        "response_format",
        "reasoning_effort",
        "user",
        "tools",
        "tool_choice",
    }
)


def _json(value: object) -> str:
    compact = msgspec.json.encode(value)
    return msgspec.json.format(compact, indent=2).decode() + "\n"


FORMS: dict[str, Callable[[PromptRequest], str]] = {
    "messages": _messages,
    "curl": _curl,
    "openai": _openai,
    "anthropic": _anthropic,
    "python": _python,
}
"""Name of a form -> what writes it."""
