"""A context that makes vectors: whole texts in, one vector each out.

Tokens' vectors are pooled here, not by llama.cpp, which wants a text whole in one of its batches:
so a decoder reads texts of any length in steps of a bounded size.
"""

from collections.abc import Iterator

import llama_cpp
import msgspec
import numpy as np
import numpy.typing as npt

from _shared.embedding_queue import StepSize
from llamacpp.sentence import MAX_TOKENS_KEY, NORMALIZES_KEY
from llamacpp.server.binding import BatchItem, TokenBatch, make_embedding_context
from llamacpp.server.model import GgufModel
from llamacpp.server.prefixes import Tokens

# Shapes: B texts, T tokens of all of them, D numbers of a vector.
Matrix = npt.NDArray[np.float32]

STEP = StepSize(tokens=256, texts=64)
"""Measured on MiniLM: 512 tokens cost a tenth more."""
NO_POOLING = "0"
POOLINGS = {NO_POOLING: "mean", "1": "mean", "2": "cls", "3": "last"}
"""llama_pooling_type, as files tell it. A model of none gets sentence-transformers' default."""
LEAST_LENGTH = 1e-12


class VectorForm(msgspec.Struct, frozen=True, kw_only=True):
    """How a model's vectors are made. `longest`: most tokens of one text."""

    dimensions: int
    longest: int
    pooling: str
    normalizes: bool


def vector_form(model: GgufModel, *, context: int) -> VectorForm | None:
    """As the model's file says; None for one that pools in a way that is not known here."""
    named = model.own_metadata("pooling_type") or NO_POOLING
    if named not in POOLINGS:
        return None
    longest = int(model.metadata(MAX_TOKENS_KEY) or context)
    return VectorForm(
        dimensions=int(llama_cpp.llama_model_n_embd(model.handle)),
        longest=min(longest, context),
        pooling=POOLINGS[named],
        normalizes=model.metadata(NORMALIZES_KEY) != "false",
    )


class Embedder:
    """Vectors of a GGUF model."""

    def __init__(
        self,
        model: GgufModel,
        form: VectorForm,
        *,
        threads: int,
    ) -> None:
        """Raises: LoadError for a model without room."""
        self._model = model
        self._form = form
        # An encoder sees a text whole or not at all; a decoder remembers what it has read.
        tokens = max(STEP.tokens, form.longest)
        self._step = STEP.tokens if model.is_causal else tokens
        self._context = make_embedding_context(
            model.handle,
            tokens=tokens,
            batch=self._step,
            sequences=STEP.texts,
            threads=threads,
            log=model.log,
        )
        self._batch = TokenBatch(self._step)

    def vectors(self, texts: list[Tokens]) -> list[bytes]:
        """One for each, as float32. Together they are a STEP at most, or one."""
        tokens_TD = np.concatenate(list(self._decoded(texts)))
        pooled = pool(tokens_TD, [len(text) for text in texts], self._form.pooling)
        if self._form.normalizes:
            lengths_B = np.linalg.norm(pooled, axis=1, keepdims=True)
            pooled /= np.maximum(lengths_B, LEAST_LENGTH)
        little_endian = pooled.astype("<f4")
        return [row.tobytes() for row in little_endian]

    def _decoded(self, texts: list[Tokens]) -> Iterator[Matrix]:
        """Vectors of all tokens, step by step."""
        memory = llama_cpp.llama_get_memory(self._context)
        if memory:
            llama_cpp.llama_memory_clear(memory, False)
        items: list[BatchItem] = []
        for sequence, text in enumerate(texts):
            items += [(token, place, sequence, True) for place, token in enumerate(text)]
        for start in range(0, len(items), self._step):
            yield self._decode(items[start : start + self._step])

    def _decode(self, items: list[BatchItem]) -> Matrix:
        self._batch.fill(items)
        status: int = llama_cpp.llama_decode(self._context, self._batch.handle)
        if status != 0:
            raise RuntimeError(f"llama_decode returned {status}: {self._model.log.last(2)}")
        first = llama_cpp.llama_get_embeddings(self._context)
        found = np.ctypeslib.as_array(first, shape=(len(items), self._form.dimensions))
        return found.copy()  # the next step writes over it


def pool(
    tokens_TD: Matrix,
    lengths: list[int],
    pooling: str,
) -> Matrix:
    """One vector a text. `lengths`: tokens of each. Shapes: (T, D) -> (B, D)."""
    lengths_B: npt.NDArray[np.int64] = np.asarray(lengths, np.int64)
    ends_B: npt.NDArray[np.int64] = np.cumsum(lengths_B)
    starts_B: npt.NDArray[np.int64] = ends_B - lengths_B
    if pooling == "cls":
        return np.take(tokens_TD, starts_B, axis=0)
    if pooling == "last":
        return np.take(tokens_TD, ends_B - 1, axis=0)
    sums_BD = np.add.reduceat(tokens_TD, starts_B, axis=0)
    counts_B1 = lengths_B[:, None]
    return np.asarray(sums_BD / counts_B1, np.float32)
