"""Prompts as token ids: rendered messages, plain text, or ids as they are."""

from typing import Any

from _shared.context import is_beyond, too_long
from _shared.tools.history import with_parameters, without_tools
from _shared.tools.layouts import HERMES, Layout, layout_of
from _shared.tools.tags import probe_tools
from llamacpp.server.chat import ChatTemplate
from llamacpp.server.errors import BadRequest
from llamacpp.server.requests import ChatMessage, Prompt, flatten
from llamacpp.server.vocabulary import Vocabulary


def layout_in(template: ChatTemplate) -> Layout | None:
    """The form in which the template writes calls of tools, if it is one that is known."""

    def render(messages: list[dict[str, Any]]) -> str:
        return template.render(messages, {"tools": probe_tools(), "add_generation_prompt": False})

    return layout_of(template.source, render)


class PromptReader:
    """Tokenizes for one model, with its chat template if it has one."""

    def __init__(
        self,
        vocabulary: Vocabulary,
        template: ChatTemplate | None,
        *,
        context: int,
    ) -> None:
        """`context`: most tokens of a request."""
        self.vocabulary = vocabulary
        self._context = context
        self._longest_token = vocabulary.longest_token
        self._template = template
        self._layout = None if template is None else layout_in(template)

    @property
    def layout(self) -> Layout:
        """The form in which the model is asked to call tools."""
        return self._layout or HERMES

    def shown_tokens(self, layout: Layout) -> frozenset[int]:
        """Control tokens that stand for the form's marks: other ones are no text."""
        shown = set()
        for mark in layout.signs:
            tokens = self.vocabulary.tokenize(mark, add_special=False, parse_special=True)
            if len(tokens) == 1 and not self.vocabulary.piece(tokens[0]):
                shown.add(tokens[0])
        return frozenset(shown)

    # Any: tools and what else a template takes beside the messages is the template's affair.
    def chat(
        self,
        messages: list[ChatMessage],
        *,
        tools: list[dict[str, Any]] | None = None,
        fields: dict[str, Any] | None = None,
        opening: str = "",
    ) -> list[int]:
        """`opening`: what the answer has to begin with. Raises: BadRequest."""
        if self._template is None:
            message = "this model has no chat template; use /v1/completions"
            raise BadRequest(message, param="messages")
        if not messages:
            raise BadRequest("messages: at least one is needed", param="messages")
        flat = [flatten(message, f"[{at}]") for at, message in enumerate(messages)]
        known: dict[str, Any] = {**(fields or {})}
        if self._layout is None:
            flat = without_tools(flat, tools or [])
        elif tools:
            known["tools"] = [with_parameters(tool) for tool in tools]
        try:
            text = self._template.render(flat, known) + opening
        except ValueError as error:
            raise BadRequest(str(error), param="messages") from error
        bos = self.vocabulary.bos_text()
        has_bos = bool(bos) and text.startswith(bos)
        add_special = not has_bos
        return self.text_tokens(text, "messages", add_special=add_special)

    def text_tokens(
        self,
        text: str,
        param: str,
        *,
        add_special: bool = True,
        parse_special: bool = True,
    ) -> list[int]:
        """Raises: BadRequest that names `param` for a text that no context could hold."""
        if is_beyond(len(text), context=self._context, longest_token=self._longest_token):
            raise self.beyond_context(f"{len(text)} characters", param)
        return self.vocabulary.tokenize(text, add_special=add_special, parse_special=parse_special)

    def beyond_context(self, size: str, param: str) -> BadRequest:
        message = too_long(self._context, size)
        return BadRequest(message, kind="context_length_exceeded", param=param)

    def filling(self, prompt: Prompt, suffix: str) -> list[int]:
        """A prompt for what stands between both. Raises: BadRequest."""
        marks = self.vocabulary.filling_tokens()
        if marks is None:
            message = "suffix: this model has no tokens for filling in"
            raise BadRequest(message, param="suffix")
        before = self.plain(prompt)
        after = self.text_tokens(suffix, "suffix", add_special=False, parse_special=False)
        return [marks.prefix, *before, marks.suffix, *after, marks.middle]

    def text_of(self, prompt: Prompt, tokens: list[int]) -> str:
        """The prompt as an answer repeats it."""
        if isinstance(prompt, str):
            return prompt
        pieces = [self.vocabulary.piece(token, special=True) for token in tokens]
        return b"".join(pieces).decode(errors="replace")

    def plain(self, prompt: Prompt) -> list[int]:
        """Raises: BadRequest for ids that no token has."""
        if isinstance(prompt, str):
            return self.text_tokens(prompt, "prompt")
        if len(prompt) > self._context:
            raise self.beyond_context(f"{len(prompt)} tokens", "prompt")
        for token in prompt:
            if not 0 <= token < self.vocabulary.size:
                message = f"prompt: token {token} is not in the vocabulary"
                raise BadRequest(message, param="prompt")
        return list(prompt)
