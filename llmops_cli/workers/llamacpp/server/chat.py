"""Renders messages with the model's own Jinja template, sandboxed, as Transformers does."""

import datetime
import json
from typing import Any

from jinja2.exceptions import TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment


class ChatTemplate:
    """The template from the GGUF file, compiled once."""

    def __init__(self, source: str, *, bos: str, eos: str) -> None:
        environment = ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
        )
        environment.filters["tojson"] = lambda value, **kw: json.dumps(
            value, ensure_ascii=False, **kw
        )
        environment.globals["raise_exception"] = self._refuse
        environment.globals["strftime_now"] = lambda pattern: datetime.datetime.now().strftime(
            pattern
        )
        self._template = environment.from_string(source)
        self._tokens = {"bos_token": bos, "eos_token": eos}

    @staticmethod
    def _refuse(message: str) -> None:
        raise TemplateError(message)

    def render(self, messages: list[dict[str, Any]], **more: Any) -> str:
        """The prompt text. Raises: ValueError if the template refuses the messages."""
        try:
            return self._template.render(
                messages=messages, add_generation_prompt=True, **self._tokens, **more
            )
        except (TemplateError, TypeError, ValueError) as error:
            raise ValueError(f"the chat template refuses these messages: {error}") from error
