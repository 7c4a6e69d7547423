"""A Hugging Face tokenizer with its chat template, as `_openai.engine` wants it."""

from functools import cached_property
from typing import Any

from jinja2 import TemplateError
from transformers import AutoTokenizer

from _shared.tools.channels import has_channels

FROM_TEMPLATES = (TemplateError, TypeError, ValueError, KeyError, IndexError, AttributeError)
"""What a template raises for messages that it was not made for."""


class HfText:
    """Text to tokens and back."""

    def __init__(self, path: str) -> None:
        self.tokenizer: Any = AutoTokenizer.from_pretrained(path, trust_remote_code=False)

    @property
    def vocabulary_size(self) -> int:
        return len(self.tokenizer)

    @cached_property
    def longest_token(self) -> int:
        """Characters; at least one, as bytes of other scripts are tokens of their own."""
        tokens = self.tokenizer.get_vocab()
        return max((len(token) for token in tokens), default=1)

    @cached_property
    def has_channels(self) -> bool:
        """Whether its chats are written as gpt-oss writes them."""
        template = self.tokenizer.chat_template
        return isinstance(template, str) and has_channels(template)

    def encode_chat(self, messages: list[dict[str, Any]]) -> list[int]:
        """Raises: ValueError for messages that the template does not take."""
        if not self.tokenizer.chat_template:
            raise ValueError("this model has no chat template; use /v1/completions")
        try:
            found = self.tokenizer.apply_chat_template(messages, add_generation_prompt=True)
        except FROM_TEMPLATES as error:
            raise ValueError(f"the model's chat template refuses this: {error}") from error
        if hasattr(found, "keys"):
            found = found["input_ids"]
        return list(found)

    def encode_text(self, text: str) -> list[int]:
        encoded = self.tokenizer(text)
        return list(encoded["input_ids"])

    def decode(self, tokens: list[int], *, with_marks: bool = False) -> str:
        """`with_marks`: special tokens are text too."""
        text = self.tokenizer.decode(
            tokens, skip_special_tokens=not with_marks, clean_up_tokenization_spaces=False
        )
        return str(text)

    def end_tokens(self, generation_config: Any = None) -> list[int]:
        """The tokens that end an answer: the model's, else the tokenizer's."""
        found = getattr(generation_config, "eos_token_id", None)
        if found is None:
            found = self.tokenizer.eos_token_id
        if found is None:
            return []
        if isinstance(found, int):
            return [found]
        return list(found)
