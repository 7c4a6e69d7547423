"""Prompts as token ids: rendered messages, plain text, or ids as they are."""

from typing import Any

from llamacpp.server.chat import ChatTemplate
from llamacpp.server.errors import BadRequest
from llamacpp.server.requests import ChatMessage, Prompt, flatten
from llamacpp.server.vocabulary import Vocabulary


class PromptReader:
    """Tokenizes for one model, with its chat template if it has one."""

    def __init__(self, vocabulary: Vocabulary, template: ChatTemplate | None) -> None:
        self.vocabulary = vocabulary
        self._template = template

    # Any: what a template takes beside the messages is the template's affair.
    def chat(self, messages: list[ChatMessage], **fields: Any) -> list[int]:
        """Raises: BadRequest."""
        if self._template is None:
            raise BadRequest("this model has no chat template; use /v1/completions")
        if not messages:
            raise BadRequest("messages: at least one is needed")
        flat = [flatten(message) for message in messages]
        try:
            text = self._template.render(flat, **fields)
        except ValueError as error:
            raise BadRequest(str(error)) from error
        bos = self.vocabulary.bos_text()
        has_bos = bool(bos) and text.startswith(bos)
        add_special = not has_bos
        return self.vocabulary.tokenize(text, add_special=add_special, parse_special=True)

    def plain(self, prompt: Prompt) -> list[int]:
        """Raises: BadRequest for ids that no token has."""
        if isinstance(prompt, str):
            return self.vocabulary.tokenize(prompt, add_special=True, parse_special=True)
        for token in prompt:
            if not 0 <= token < self.vocabulary.size:
                raise BadRequest("prompt: a token id is not in the vocabulary")
        return list(prompt)
