"""Which fields of a body are sent on: those that the endpoint has, or that the file allows."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import NamedTuple

from llmops_cli.serve.context import Asked, Fields
from llmops_cli.serve.endpoints import Endpoint
from llmops_cli.serve.field_tables import CODE, TEMPLATE
from llmops_cli.serve.fields import Carries
from llmops_cli.serve.reading import Json
from llmops_cli.serve.refusal import Headers, Refusal

TOLD_MOST = 20
NULL = b"null"
REFUSED = Carries.REFUSED
_NAME = re.compile(r"[\w.-]{1,64}", re.ASCII)
TEMPLATE_SETTINGS = "chat_template_kwargs"
RULES_TEMPLATES = {
    "chat_template": TEMPLATE,
    "tokenizer": CODE,
}


class Sendable(NamedTuple):
    fields: Fields
    unsent: list[str]

    def told(self) -> Headers:
        """For the answer's head. A name is a client's: only what is one in any language is told."""
        if not self.unsent:
            return []
        names = [name for name in self.unsent if _NAME.fullmatch(name)][:TOLD_MOST]
        left = len(self.unsent) - len(names)
        shown = [*names, f"and {left} more"] if left else names
        return [(b"x-llmops-unsent", ", ".join(shown).encode())]


def sendable(
    endpoint: Endpoint,
    asked: Asked,
    further: Collection[str],
) -> Sendable:
    """Raises: Refusal for a field that nobody may send."""
    fields: Fields = {}
    unsent = []
    for name, value in asked.fields.items():
        known = endpoint.fields.get(name)
        if name in further:
            fields[name] = value
        elif known is None:
            unsent.append(name)
        elif known.carries is not REFUSED:
            fields[name] = value
        elif bytes(value) != NULL:
            raise Refusal(400, f"{name} is not taken: {known.reason}", code="unsupported")
    _refuse_templates(asked.values, further)
    return Sendable(fields, unsent)


def _refuse_templates(values: Json, further: Collection[str]) -> None:
    """Raises: Refusal for a template among a template's settings."""
    settings = values.get(TEMPLATE_SETTINGS)
    if TEMPLATE_SETTINGS in further or not isinstance(settings, dict):
        return
    for name, reason in RULES_TEMPLATES.items():
        if name in settings:
            said = f"{TEMPLATE_SETTINGS}.{name} is not taken: {reason}"
            raise Refusal(400, said, code="unsupported")
