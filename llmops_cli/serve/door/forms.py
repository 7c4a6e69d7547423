"""A form's way in: its files are kept as they are, its fields go on as a JSON body's do."""

from __future__ import annotations

import re

import msgspec

from llmops_cli.serve.context import Asked
from llmops_cli.serve.door.respond import Scope
from llmops_cli.serve.fields import FieldTable
from llmops_cli.serve.form import Json, MalformedForm, read_form
from llmops_cli.serve.refusal import Refusal

_NUMBER = re.compile(r"-?[0-9]{1,18}")


def fields_of_form(scope: Scope, body: bytes, asked: Asked) -> bytes:
    """As JSON. Files that the endpoint has stand in `asked` then. Raises: Refusal."""
    try:
        form = read_form(body, _content_type(scope))
    except MalformedForm as error:
        raise Refusal(400, str(error), code="invalid_body") from None
    wanted = asked.endpoint.files
    asked.files = tuple(file for file in form.files if file.field in wanted)
    if not asked.files:
        raise Refusal(400, f"the form has no file named {wanted[0]}", code="invalid_body")
    return msgspec.json.encode(_with_numbers(form.values, asked.endpoint.fields))


def _with_numbers(values: Json, fields: FieldTable) -> Json:
    """A form has texts only: what counts something is a number all the same."""
    found = dict(values)
    for name, text in values.items():
        field = fields.get(name)
        if field is not None and field.is_whole and _NUMBER.fullmatch(str(text)):
            found[name] = int(text)
    return found


def _content_type(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == b"content-type":
            return str(value.decode("latin-1"))
    return ""
