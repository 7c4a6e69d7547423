"""Prompts as token ids, within what the model has: its vocabulary and its context.

Standard library only.
"""

from typing import Any

from _openai.engine import Message, TokenEngine
from _openai.errors import RequestError
from _openai.fields import Fields, is_token, wrong
from _shared.context import is_beyond, too_long
from _shared.messages import check_message, text_of
from _shared.request_fields import FieldError


class PromptReader:
    """Reads the prompts of one engine. It may take long, so not in the thread of the front."""

    def __init__(self, engine: TokenEngine) -> None:
        self._engine = engine

    def chat(self, fields: Fields) -> list[int]:
        """Raises: RequestError."""
        messages = messages_of(fields)
        sizes = [len(str(message["content"])) for message in messages]
        self._check_size(sum(sizes), "messages")
        try:
            tokens = self._engine.encode_chat(messages)
        except ValueError as error:
            raise RequestError(str(error), param="messages") from error
        return self._fitting(tokens, "messages")

    def plain(self, fields: Fields) -> list[int]:
        """Raises: RequestError."""
        prompt = single_prompt(fields)
        if isinstance(prompt, str):
            self._check_size(len(prompt), "prompt")
            prompt = self._engine.encode_text(prompt)
        else:
            self._check_tokens(prompt)
        return self._fitting(prompt, "prompt")

    def _check_size(self, characters: int, param: str) -> None:
        """What must be too long is not tokenized first, which takes seconds of all others."""
        engine = self._engine
        if is_beyond(characters, context=engine.context, longest_token=engine.longest_token):
            message = too_long(engine.context, f"{characters} characters")
            raise RequestError(message, param=param)

    def _check_tokens(self, tokens: list[int]) -> None:
        for token in tokens:
            if not 0 <= token < self._engine.vocabulary_size:
                raise RequestError(f"Token id {token} is out of vocabulary", param="prompt")

    def _fitting(self, tokens: list[int], param: str) -> list[int]:
        if not tokens:
            raise RequestError("the prompt is empty", param=param)
        if len(tokens) >= self._engine.context:
            message = too_long(self._engine.context, f"{len(tokens)} tokens")
            raise RequestError(message, param=param)
        return tokens


def single_prompt(fields: Fields) -> str | list[int]:
    """A text or token ids; also as a list of just one. Raises: RequestError."""
    prompt = fields.raw("prompt")
    if isinstance(prompt, list) and len(prompt) == 1 and isinstance(prompt[0], str | list):
        prompt = prompt[0]
    if isinstance(prompt, str):
        return prompt
    if isinstance(prompt, list) and all(is_token(part) for part in prompt):
        return prompt
    if isinstance(prompt, list) and len(prompt) > 1:
        raise wrong("prompt", "must be one text or one list of token ids", prompt)
    raise wrong("prompt", "must be a string or a list of token ids", prompt)


def messages_of(fields: Fields) -> list[Message]:
    """Each with its content as one text. Raises: RequestError."""
    messages = fields.raw("messages")
    if not isinstance(messages, list) or not messages:
        raise wrong("messages", "must be a list with at least one message", messages)
    return [_flattened(message, f"[{at}]") for at, message in enumerate(messages)]


# Any: whatever a client puts into its list of messages.
def _flattened(message: Any, place: str) -> Message:
    try:
        check_message(message, place)
    except FieldError as error:
        raise RequestError(str(error), param=error.field) from error
    return {**message, "content": text_of(message.get("content"))}
