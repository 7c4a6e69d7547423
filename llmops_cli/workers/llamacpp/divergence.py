"""How far a touched model is from what it was, over a text.

Shapes: N scored tokens, V vocabulary.
"""

from pathlib import Path

import llama_cpp
import numpy as np

from _shared.arrays import Floats
from _shared.pieces import Piece, pieces_of
from llamacpp.library import tokenize
from llamacpp.touched import TouchedModel

MOST_BYTES = 1 << 28
"""Of what the untouched model says, kept in memory."""
WHOLE_TEXT = 1 << 40
FLOAT_BYTES = 4


class Divergence:
    """Mean KL(untouched || touched) for each scored token, in nats."""

    def __init__(
        self,
        model: TouchedModel,
        text: Path,
        *,
        tokens: int,
        window: int,
    ) -> None:
        """To be made before the model is touched."""
        self._model = model
        vocab_size = llama_cpp.llama_vocab_n_tokens(model.vocab)
        able = MOST_BYTES // (FLOAT_BYTES * vocab_size)
        limit = max(window, min(tokens, able))
        self._pieces = spread(_pieces(model, text, window), limit)
        self._untouched = list(model.log_probs(self._pieces))
        self.scored = sum(len(logs_NV) for logs_NV in self._untouched)

    def now(self) -> float:
        total = 0.0
        rows = self._model.log_probs(self._pieces)
        for before_NV, after_NV in zip(self._untouched, rows, strict=True):
            total += _divergence(before_NV, after_NV)
        return max(total / self.scored, 0.0)


def _divergence(before_NV: Floats, after_NV: Floats) -> float:
    """Summed over the tokens."""
    terms_NV = np.exp(before_NV) * (before_NV - after_NV)
    return float(terms_NV.sum(dtype=np.float64))


def _pieces(model: TouchedModel, text: Path, window: int) -> list[Piece]:
    vocab = model.vocab

    def encode(words: str) -> list[int]:
        raw = words.encode()
        return tokenize(vocab, raw, add_special=False, parse_special=True)

    bos = []
    if llama_cpp.llama_vocab_get_add_bos(vocab):
        bos.append(llama_cpp.llama_vocab_bos(vocab))
    return pieces_of(text, encode, bos=bos, window=window, limit=WHOLE_TEXT)


def spread(pieces: list[Piece], limit: int) -> list[Piece]:
    """Some pieces from all parts of the text, up to `limit` tokens; at least one."""
    whole = sum(len(tokens) for tokens, _ in pieces)
    count = max(1, min(len(pieces), len(pieces) * limit // whole))
    places = np.linspace(0, len(pieces) - 1, count).astype(int)
    return [pieces[place] for place in places]
