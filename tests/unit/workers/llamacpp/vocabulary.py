"""Stands in for llama.cpp's vocabulary in tests."""

from __future__ import annotations

from _shared.grammars.tokens import TokenTexts
from llamacpp.server.vocabulary import FillingTokens

SIZE = 50


class NumberedVocabulary:
    """Each token is written as its number; 0 ends the text, 1 begins it."""

    size = SIZE
    longest_token = 3
    end_tokens = frozenset({0})
    handle = None

    @property
    def token_texts(self) -> TokenTexts:
        return TokenTexts([b"", *(self.piece(token) for token in range(1, SIZE))])

    def piece(self, token: int, *, special: bool = False) -> bytes:
        return b"%d " % token

    def tokenize(self, text: str, *, add_special: bool, parse_special: bool) -> list[int]:
        tokens = [int(word) for word in text.split()]
        return [1, *tokens] if add_special else tokens

    def filling_tokens(self) -> FillingTokens | None:
        return FillingTokens(40, 41, 42)

    def bos_text(self) -> str:
        return "1 "


class ByteVocabulary:
    """Each byte is a token; 0 ends the text."""

    size = 256
    longest_token = 1
    end_tokens = frozenset({0})

    def piece(self, token: int, *, special: bool = False) -> bytes:
        return bytes([token])

    def tokenize(self, text: str, *, add_special: bool, parse_special: bool) -> list[int]:
        return list(text.encode())

    def filling_tokens(self) -> FillingTokens | None:
        return None

    def bos_text(self) -> str:
        return ""
