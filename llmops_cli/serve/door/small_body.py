"""A body of our own endpoints: a few fields of one type; a misfit is told in plain words."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from llmops_cli.core.misfit import misfit_of
from llmops_cli.core.wrong_json import UNREADABLE, wrong_body
from llmops_cli.serve.door.twins import has_twin
from llmops_cli.serve.refusal import Refusal

Body = TypeVar("Body")


def small_body(raw: bytes, kind: type[Body]) -> Body:
    """Raises: Refusal for what is no JSON object, says a field twice, or is no `kind`."""
    try:
        values = msgspec.json.decode(raw)
    except UNREADABLE:
        raise Refusal(400, wrong_body(raw), code="invalid_json") from None
    if not isinstance(values, dict):
        raise Refusal(400, "the body is no JSON object", code="invalid_body")
    if has_twin(raw, msgspec.json.encode(values)):
        raise Refusal(400, "a key of the body comes twice", code="invalid_body")
    try:
        return msgspec.convert(values, type=kind)
    except msgspec.ValidationError:
        misfit = misfit_of(values, kind, shows_values=False)
        said = "the body cannot be read" if misfit is None else misfit.told
        raise Refusal(400, said, code="invalid_body") from None
