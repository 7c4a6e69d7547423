"""Renders messages with the model's own Jinja template, sandboxed, as Transformers does."""

import datetime
import json
from typing import Any

from jinja2.exceptions import TemplateError
from jinja2.ext import Extension
from jinja2.nodes import Node
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

TEMPLATE_FAILURES = (
    TemplateError,
    TypeError,
    ValueError,
    LookupError,
    AttributeError,
    ArithmeticError,
    RecursionError,
)
"""What a template's own code raises on messages that it was not written for."""


class GenerationTag(Extension):
    """`{% generation %}` marks for training what the assistant says; here its text is text."""

    tags = {"generation"}  # noqa: RUF012 - jinja2 declares it so

    def parse(self, parser: Parser) -> list[Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


class ChatTemplate:
    """The template from the GGUF file, compiled once."""

    def __init__(
        self,
        source: str,
        *,
        bos: str,
        eos: str,
    ) -> None:
        environment = ImmutableSandboxedEnvironment(
            trim_blocks=True,
            lstrip_blocks=True,
            extensions=["jinja2.ext.loopcontrols", GenerationTag],
        )
        environment.filters["tojson"] = to_json
        environment.globals["raise_exception"] = refuse
        environment.globals["strftime_now"] = strftime_now
        self.source = source
        self._template = environment.from_string(source)
        self._control_tokens = {"bos_token": bos, "eos_token": eos}

    # Any: messages and fields are the client's, and only the template knows their types.
    def render(self, messages: list[dict[str, Any]], fields: dict[str, Any]) -> str:
        """The prompt text. Raises: ValueError if the template refuses the messages.

        What the server itself says cannot be said otherwise by `fields`.
        """
        known = {
            "add_generation_prompt": True,
            **fields,
            **self._control_tokens,
            "messages": messages,
        }
        try:
            return self._template.render(known)
        except TEMPLATE_FAILURES as error:
            raise ValueError(f"the chat template refuses these messages: {error}") from error


# Any: a filter gets whatever the template gives it, and json.dumps' own options.
def to_json(value: object, **options: Any) -> str:
    return json.dumps(value, **{"ensure_ascii": False, **options})


def refuse(message: str) -> None:
    raise TemplateError(message)


def strftime_now(pattern: str) -> str:
    utc = datetime.datetime.now(datetime.UTC)
    local = utc.astimezone()
    return local.strftime(pattern)
