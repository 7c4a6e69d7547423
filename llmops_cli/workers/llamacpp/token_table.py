"""The tokens of a GGUF vocabulary by number."""

import gguf

from _shared.protocol import JobError


class TokenTable:
    """Tokens by number with their types and scores; unused padding where a tokenizer has none."""

    def __init__(self, size: int, *, score: float = 0.0) -> None:
        self.tokens = [f"[PAD{number}]" for number in range(size)]
        unused = int(gguf.TokenType.UNUSED)
        self.types = [unused] * size
        self.scores = [score] * size

    def set(
        self,
        number: int,
        text: str,
        kind: gguf.TokenType,
        *,
        score: float | None = None,
    ) -> None:
        self.tokens[number] = text
        self.types[number] = int(kind)
        if score is not None:
            self.scores[number] = score

    def numbers(self) -> dict[str, int]:
        """Text -> number, of tokens that are in use."""
        unused = int(gguf.TokenType.UNUSED)
        pairs = zip(self.tokens, self.types, strict=True)
        return {text: number for number, (text, kind) in enumerate(pairs) if kind != unused}

    def check(self) -> None:
        """Raises: JobError for a text that two tokens have: llama.cpp ends the process on it."""
        used = self.numbers()
        unused = int(gguf.TokenType.UNUSED)
        for number, text in enumerate(self.tokens):
            if self.types[number] == unused and text in used:
                self.tokens[number] = f"[UNUSED {number}]"
            elif self.types[number] != unused and used[text] != number:
                message = f"tokens {number} and {used[text]} are both {text!r}"
                hint = "llama.cpp knows a token by its text"
                raise JobError("UsageError", message, hint)

    def add_with_split(self, writer: gguf.GGUFWriter, *, split: str) -> None:
        """As BPE, which finds tokens by merges."""
        writer.add_tokenizer_model("gpt2")
        writer.add_tokenizer_pre(split)
        writer.add_token_list(self.tokens)
        writer.add_token_types(self.types)

    def add_with_scores(self, writer: gguf.GGUFWriter, *, space_prefix: bool) -> None:
        """As SentencePiece, which finds tokens by scores."""
        writer.add_tokenizer_model("llama")
        writer.add_tokenizer_pre("default")
        writer.add_token_list(self.tokens)
        writer.add_token_scores(self.scores)
        writer.add_token_types(self.types)
        writer.add_add_space_prefix(space_prefix)
