"""A Hugging Face tokenizer with its chat template, as `_openai.front` wants it."""

from typing import Any

from transformers import AutoTokenizer


class HfText:
    """Text to tokens and back."""

    def __init__(self, path: str) -> None:
        self.tokenizer: Any = AutoTokenizer.from_pretrained(path, trust_remote_code=False)

    def encode_chat(self, messages: list[dict[str, Any]]) -> list[int]:
        if not self.tokenizer.chat_template:
            raise ValueError("this model has no chat template; use /v1/completions")
        found = self.tokenizer.apply_chat_template(messages, add_generation_prompt=True)
        if hasattr(found, "keys"):
            found = found["input_ids"]
        return list(found)

    def encode_text(self, text: str) -> list[int]:
        encoded = self.tokenizer(text)
        return list(encoded["input_ids"])

    def decode(self, tokens: list[int]) -> str:
        text = self.tokenizer.decode(
            tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False
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
