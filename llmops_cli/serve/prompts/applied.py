"""A prompt of the gateway's in a request: what is sent, counted and judged is the chat it makes."""

from __future__ import annotations

from typing import Any

import msgspec

from llmops_cli.core.errors import UsageError
from llmops_cli.core.misfit import misfit_of
from llmops_cli.serve.accounts.key import Key
from llmops_cli.serve.answers.admitted import AdmittedRequest
from llmops_cli.serve.context import Asked
from llmops_cli.serve.endpoints import CHAT
from llmops_cli.serve.prompts.beside import (
    OF_THE_PROMPT,
    SHOWN_CHARS,
    invalid,
    own_messages,
    require_fields,
)
from llmops_cli.serve.prompts.filled import FilledPrompt
from llmops_cli.serve.prompts.marks import mark_in, mark_made
from llmops_cli.serve.prompts.named import PromptChoice
from llmops_cli.serve.reading import Json, Reading, read
from llmops_cli.serve.refusal import Refusal
from llmops_cli.serve.request import RequestBody

HEADER = b"x-llmops-prompt"


def apply_prompt(request: AdmittedRequest) -> None:
    """Nothing if none is named. Raises: Refusal, also for what the key may not ask."""
    asked = request.asked
    if not asked.endpoint.prompts or not asked.body.may_name_prompt:
        _require_free(asked.key)
        return
    choice = _chosen(request) if request.snapshot.prompts else None
    if choice is not None:
        _apply(choice, request)
    else:
        _require_free(asked.key)
    _require_whole(asked)


def _require_free(key: Key) -> None:
    """Raises: Refusal for a key that may only ask by a prompt."""
    if key.prompts:
        said = "this key may use prompts of the gateway alone, and the request names none"
        raise Refusal(403, said, code="forbidden")


def _chosen(request: AdmittedRequest) -> PromptChoice | None:
    """Raises: Refusal."""
    router = request.snapshot.router
    model = request.asked.body.model
    return request.snapshot.prompts.chosen(
        request.asked.body,
        router.names().__contains__,
        may_be_model=router.may_be_model(model),
        key=request.asked.key,
    )


def _require_whole(asked: Asked) -> None:
    """What the door let pass because a prompt might have it. Raises: Refusal."""
    lack = asked.endpoint.lacks(asked.body)
    if lack is not None:
        raise Refusal(400, lack, code="invalid_body")


def _apply(choice: PromptChoice, request: AdmittedRequest) -> None:
    asked = request.asked
    prompt = choice.prompt
    request.decided.prompt = f"{prompt.name}@{prompt.version}"
    request.decided.headers.append((HEADER, request.decided.prompt.encode()))
    require_fields(asked, prompt)
    added = _added(choice, asked)
    filled = FilledPrompt(prompt, choice.values)
    filled.require_within(request.snapshot.config.limits.body_bytes)
    messages = [*_filled(filled), *own_messages(asked, prompt)]
    if not messages or messages[-1].get("role") in OF_THE_PROMPT:
        said = f"prompt {prompt.name!r} has no user's message: the request needs messages"
        raise invalid(said)
    _note_reading(asked, {**added, "messages": messages[: len(prompt.messages)]})
    added["messages"] = messages
    values = {**asked.values, **added}
    values.pop("prompt", None)
    asked.values = values
    fields = {**asked.fields, **{name: _raw(value) for name, value in added.items()}}
    fields.pop("prompt", None)
    asked.fields = fields
    asked.filled = filled
    try:
        asked.body = msgspec.convert(values, RequestBody)
    except msgspec.ValidationError:
        misfit = misfit_of(values, RequestBody, shows_values=False)
        said = "cannot be read" if misfit is None else misfit.told
        raise invalid(f"prompt {prompt.name!r}: {said}") from None


def _added(choice: PromptChoice, asked: Asked) -> Json:
    """What the request gets beside messages; what it says itself counts before the prompt's."""
    prompt = choice.prompt
    given = {name for name, value in asked.values.items() if value is not None}
    if not given.isdisjoint(CHAT.answer_limits):
        given.update(CHAT.answer_limits)
    added = {name: value for name, value in prompt.parameters.items() if name not in given}
    if prompt.schema is not None:
        if "response_format" in given:
            said = f"prompt {prompt.name!r} has a schema: response_format is the prompt's"
            raise invalid(said)
        added["response_format"] = _format_of(prompt.schema)
    added["model"] = choice.model or prompt.model or ""
    return added


def _format_of(schema: Json) -> Json:
    named = {"name": "answer", "strict": True, "schema": schema}
    return {"type": "json_schema", "json_schema": named}


def _filled(filled: FilledPrompt) -> list[Json]:
    """Raises: Refusal for a variable that is missing, unknown or would begin a message."""
    for name, value in filled.values.items():
        mark = mark_in(value)
        if mark is not None:
            raise _begins_message(f"the variable {name[:SHOWN_CHARS]!r} has", mark)
    try:
        messages = [dict(message) for message in filled.messages()]
    except UsageError as error:
        raise invalid(error.message) from None
    mark = mark_made(filled)
    if mark is not None:
        raise _begins_message("the variables make", mark)
    return messages


def _begins_message(said: str, mark: str) -> Refusal:
    return invalid(f"{said} {mark!r}, which begins a message in chat templates: a variable is text")


def _note_reading(asked: Asked, added: Json) -> None:
    """What was read of a large body by a judge stays; only what is new is read here."""
    before = asked.was_read
    if before is None:
        return
    found = read(CHAT.fields, added, prompt="messages")
    asked.was_read = Reading(
        texts=found.texts + before.texts,
        joined=found.joined + before.joined,
        token_ids=before.token_ids,
        prompts=before.prompts,
        items=found.items + before.items,
        media=found.media + before.media,
        refers=before.refers or found.refers,
    )


def _raw(value: Any) -> msgspec.Raw:  # Any: JSON
    return msgspec.Raw(msgspec.json.encode(value))
