"""Text to tokens and back. llama.cpp's vocabulary is read-only, so any thread may ask."""

import ctypes
import threading
from functools import cached_property
from typing import NamedTuple

import llama_cpp

from _shared.grammars.tokens import TokenTexts
from llamacpp.server.binding import ModelHandle

LONGEST_PIECE_BYTES = 512


class FillingTokens(NamedTuple):
    """What stands before a text's beginning, before its end, and before what is to be filled in."""

    prefix: int
    suffix: int
    middle: int


class Vocabulary:
    """The tokens of one model."""

    def __init__(self, model: ModelHandle) -> None:
        self.handle: llama_cpp.llama_vocab_p = llama_cpp.llama_model_get_vocab(model)
        self.size = int(llama_cpp.llama_vocab_n_tokens(self.handle))
        ends = filter(self._is_end, range(self.size))
        self.end_tokens = frozenset(ends)
        self._pieces: dict[int, bytes] = {}
        self._texts: TokenTexts | None = None
        self._texts_lock = threading.Lock()

    @property
    def token_texts(self) -> TokenTexts:
        """All tokens that a text can have, in order. Made once, which takes a while."""
        with self._texts_lock:
            if self._texts is None:
                pieces = [self._written_piece(token) for token in range(self.size)]
                self._texts = TokenTexts(pieces)
            return self._texts

    def load_texts(self) -> None:
        """Makes them now."""
        _ = self.token_texts

    def _written_piece(self, token: int) -> bytes:
        return b"" if token in self.end_tokens else self._read_piece(token, special=False)

    @cached_property
    def longest_token(self) -> int:
        """Characters that one token can stand for, at most."""
        texts = (llama_cpp.llama_vocab_get_text(self.handle, token) for token in range(self.size))
        return max(len(text.decode(errors="replace")) for text in texts)

    def _is_end(self, token: int) -> bool:
        answer = llama_cpp.llama_vocab_is_eog(self.handle, token)
        return bool(answer)

    def tokenize(
        self,
        text: str,
        *,
        add_special: bool,
        parse_special: bool,
    ) -> list[int]:
        raw = text.encode()
        room = len(raw) + 8
        for _ in range(2):
            buffer = (llama_cpp.llama_token * room)()
            count: int = llama_cpp.llama_tokenize(
                self.handle, raw, len(raw), buffer, room, add_special, parse_special
            )
            if count >= 0:
                tokens: list[int] = buffer[:count]
                return tokens
            room = -count
        raise ValueError("cannot tokenize")

    def piece(self, token: int, *, special: bool = False) -> bytes:
        """The bytes of one token; control tokens are empty unless `special`."""
        key = -token - 1 if special else token
        found = self._pieces.get(key)
        if found is None:
            found = self._read_piece(token, special=special)
            self._pieces[key] = found
        return found

    def _read_piece(self, token: int, *, special: bool) -> bytes:
        buffer = ctypes.create_string_buffer(LONGEST_PIECE_BYTES)
        length: int = llama_cpp.llama_token_to_piece(
            self.handle, token, buffer, LONGEST_PIECE_BYTES, 0, special
        )
        return buffer.raw[: max(length, 0)]

    def filling_tokens(self) -> FillingTokens | None:
        """None for a model that was not taught to fill in."""
        prefix = int(llama_cpp.llama_vocab_fim_pre(self.handle))
        suffix = int(llama_cpp.llama_vocab_fim_suf(self.handle))
        middle = int(llama_cpp.llama_vocab_fim_mid(self.handle))
        if min(prefix, suffix, middle) < 0:
            return None
        return FillingTokens(prefix, suffix, middle)

    def bos_text(self) -> str:
        bos = llama_cpp.llama_vocab_bos(self.handle)
        return self._control_text(bos)

    def eos_text(self) -> str:
        eos = llama_cpp.llama_vocab_eos(self.handle)
        return self._control_text(eos)

    def _control_text(self, token: int) -> str:
        if token < 0:
            return ""
        piece = self.piece(token, special=True)
        return piece.decode(errors="replace")
