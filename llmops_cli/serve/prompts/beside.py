"""What a client may send beside a prompt of the gateway's: nothing that speaks in its place."""

from __future__ import annotations

from typing import Any

import msgspec

from llmops_cli.prompt_file.prompt import Prompt
from llmops_cli.serve.context import Asked
from llmops_cli.serve.reading import Json
from llmops_cli.serve.refusal import Refusal

OF_THE_PROMPT = ("system", "developer")
"""Roles whose words a prompt says alone."""
OF_THE_CLIENT = ("user", "assistant", "tool", "function")
"""To the letter: templates write `System`, or what follows a mark in a role, as it stands."""
SPEAKS = "the prompt alone says what stands before the request's messages"
SHOWS = "it would show the prompt's text"
CUTS = "it would cut the prompt"
REFUSED = {
    **dict.fromkeys(("system", "chat_template", "chat_template_kwargs"), SPEAKS),
    **dict.fromkeys(("tokenizer_config", "documents", "tool_prompt"), SPEAKS),
    **dict.fromkeys(("prompt_logprobs", "echo", "return_token_ids", "return_token_offsets"), SHOWS),
    **dict.fromkeys(("truncate_prompt_tokens", "truncate", "truncation", "truncation_side"), CUTS),
    **dict.fromkeys(("n_keep", "n_discard"), CUTS),
}
"""Fields of a chat that templates write, that tell the prompt's tokens, or leave some out."""
SHOWN_CHARS = 40


def require_fields(asked: Asked, prompt: Prompt) -> None:
    """Raises: Refusal for a field that the prompt's own file might have, but no client."""
    for name, why in REFUSED.items():
        value = asked.values.get(name)
        if value is not None and value is not False:
            raise invalid(f"{name} is not taken beside prompt {prompt.name!r}: {why}")


def own_messages(asked: Asked, prompt: Prompt) -> list[Json]:
    """The request's, which stand behind the prompt's. Raises: Refusal."""
    messages = asked.body.messages
    if messages is msgspec.UNSET:
        return []
    for message in messages:
        _require_role(message.get("role"), prompt)
    return messages


def _require_role(role: Any, prompt: Prompt) -> None:  # Any: JSON
    if role in OF_THE_CLIENT:
        return
    if role in OF_THE_PROMPT:
        said = f"prompt {prompt.name!r} says what the system's messages are; send no others"
        raise invalid(said)
    roles = ", ".join(OF_THE_CLIENT)
    shown = repr(role[:SHOWN_CHARS]) if isinstance(role, str) else "no text"
    raise invalid(f"the role of a message beside prompt {prompt.name!r} is {shown}, not of {roles}")


def invalid(said: str) -> Refusal:
    return Refusal(400, said, code="invalid_prompt")
