"""A GGUF model that says what it thinks the next token is, after any positions of a text.

Shapes: N positions, V vocabulary.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import llama_cpp

from _shared.arrays import Floats
from _shared.protocol import JobError
from llamacpp.library import logits_rows
from llamacpp.log import LogCapture

BATCH = 128
EXACT = {"type_k": 0, "type_v": 0, "flash_attn_type": 0}
"""Context parameters of the least loss: keys and values in F32, no fused attention."""

Rows = tuple[int, Floats]
"""The place of the first row among the wanted positions, and logits_NV."""


class TextScorer:
    """One loaded model with a context for one text at a time.

    `is_exact`: as exact as llama.cpp computes, or as it computes for its users.
    """

    def __init__(
        self,
        model: object,
        *,
        window: int,
        threads: int,
        log: LogCapture,
        is_exact: bool = False,
    ) -> None:
        self._model = model
        self.vocab = llama_cpp.llama_model_get_vocab(model)
        self._vocab_size = llama_cpp.llama_vocab_n_tokens(self.vocab)
        params = _params(window, threads, is_exact=is_exact)
        self._context = llama_cpp.llama_init_from_model(self._model, params)
        if not self._context:
            raise JobError("EngineFailed", f"llama.cpp cannot make a context: {log.last()}")
        self._batch = llama_cpp.llama_batch_init(BATCH, 0, 1)

    def close(self) -> None:
        """Frees the context and the model."""
        llama_cpp.llama_batch_free(self._batch)
        llama_cpp.llama_free(self._context)
        llama_cpp.llama_model_free(self._model)

    def logits(self, tokens: Sequence[int], positions: Sequence[int]) -> Iterator[Rows]:
        """After each of the positions, which ascend, in pieces of a batch."""
        memory = llama_cpp.llama_get_memory(self._context)
        llama_cpp.llama_memory_clear(memory, False)
        wanted = set(positions)
        done = 0
        for start in range(0, len(tokens), BATCH):
            stop = min(start + BATCH, len(tokens))
            count = self._fill_batch(tokens, start, stop, wanted)
            status = llama_cpp.llama_decode(self._context, self._batch)
            if status != 0:
                raise JobError("EngineFailed", "llama_decode failed while reading a text")
            if count:
                yield done, logits_rows(self._context, count, self._vocab_size)
                done += count

    def _fill_batch(
        self,
        tokens: Sequence[int],
        start: int,
        stop: int,
        wanted: set[int],
    ) -> int:
        """How many rows of logits will come."""
        batch = self._batch
        count = 0
        for place, position in enumerate(range(start, stop)):
            is_wanted = position in wanted
            batch.token[place] = tokens[position]
            batch.pos[place] = position
            batch.n_seq_id[place] = 1
            batch.seq_id[place][0] = 0
            batch.logits[place] = is_wanted
            count += is_wanted
        batch.n_tokens = stop - start
        return count


def _params(window: int, threads: int, *, is_exact: bool) -> Any:
    params = llama_cpp.llama_context_default_params()
    params.n_ctx = window
    params.n_batch = BATCH
    params.n_ubatch = BATCH
    params.n_seq_max = 1
    params.n_threads = threads
    params.n_threads_batch = threads
    if is_exact:
        for name, value in EXACT.items():
            setattr(params, name, value)
    return params
