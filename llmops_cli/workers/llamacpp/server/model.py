"""One loaded model with one context: batches of tokens in, rows of logits out."""

from collections.abc import Iterable
from typing import Protocol

import llama_cpp
import numpy as np
import numpy.typing as npt

from llamacpp.log import LogCapture
from llamacpp.sentence import MAX_TOKENS_KEY
from llamacpp.server.binding import (
    BatchItem,
    ContextOptions,
    LoadError,
    MemoryHandle,
    TokenBatch,
    free_context,
    is_recurrent,
    load_adapter,
    load_model,
    make_context,
    metadata_of,
    set_adapters,
)
from llamacpp.server.vocabulary import Vocabulary

LogitsRow = npt.NDArray[np.float32]
"""Shape (vocabulary,)."""

NO_ROOM = 1
"""llama_decode: no KV cells are free for this batch; nothing was changed."""


class TokenModel(Protocol):
    """What scheduling and drafting need of a model: compute, and a memory of sequences.

    It belongs to one thread.
    """

    @property
    def pool(self) -> int:
        """KV cells that all sequences share."""

    @property
    def batch_size(self) -> int:
        """Most tokens of one `decode`."""

    @property
    def can_share_prefixes(self) -> bool: ...

    @property
    def share(self) -> int:
        """KV cells of each sequence where they are divided; 0 if they cannot be."""

    @property
    def is_divided(self) -> bool:
        """Whether each sequence has its share; else they have one pool."""

    def divide(self, *, divided: bool) -> None:
        """Lays the cells out so. Every sequence is forgotten."""

    def use_adapter(self, number: int) -> None: ...

    def decode(self, items: list[BatchItem]) -> bool: ...

    def logits(self, batch_index: int) -> LogitsRow: ...

    def forget(self, sequence: int, from_position: int = 0) -> bool: ...

    def share_prefix(
        self,
        source: int,
        target: int,
        length: int,
    ) -> None: ...


class GgufModel:
    """A GGUF file's weights and vocabulary, for any number of contexts."""

    def __init__(self, path: str, *, gpu_layers: int) -> None:
        """Raises: LoadError."""
        self.log = LogCapture()
        self.handle = load_model(path, self.log, gpu_layers=gpu_layers)
        self.vocabulary = Vocabulary(self.handle)
        train_context = llama_cpp.llama_model_n_ctx_train(self.handle)
        self.train_context = int(train_context)

    def metadata(self, key: str) -> str | None:
        return metadata_of(self.handle, key)

    def own_metadata(self, key: str) -> str | None:
        """Of a key that stands under the name of the architecture."""
        architecture = self.metadata("general.architecture")
        return self.metadata(f"{architecture}.{key}")

    @property
    def longest_text(self) -> int:
        """Tokens that it was made for: of an encoder, those that it was trained with."""
        most = None if self.is_causal else self.metadata(MAX_TOKENS_KEY)
        return min(self.train_context, int(most or self.train_context))

    @property
    def is_causal(self) -> bool:
        """Whether each token sees those before it only. Others make vectors and no text."""
        return self.own_metadata("attention.causal") != "false"


class Llama:
    """A context of a model, with adapters. Not thread-safe, apart from `vocabulary`."""

    def __init__(
        self,
        model: GgufModel,
        options: ContextOptions,
        *,
        adapters: Iterable[str] = (),
        divided: bool = False,
    ) -> None:
        """`divided`: how the cells are laid out at first. Raises: LoadError."""
        self._log = model.log
        self._model = model
        self.is_divided = divided and not is_recurrent(model.handle)
        self._context = make_context(model.handle, options, self._log, unified=not self.is_divided)
        self._adapters = []
        for adapter_path in adapters:
            adapter = load_adapter(model.handle, adapter_path, self._log)
            self._adapters.append(adapter)
        self._adapter_in_use = 0
        self._memory: MemoryHandle = llama_cpp.llama_get_memory(self._context)
        self._batch = TokenBatch(options.batch)
        self.options = options
        self.vocabulary = model.vocabulary
        pool = llama_cpp.llama_n_ctx(self._context)
        self.pool = int(pool)
        self.batch_size = options.batch
        self.can_share_prefixes = not is_recurrent(model.handle)
        self.share = options.share if self.can_share_prefixes else 0
        self._places: list[int] | None = None

    def divide(self, *, divided: bool) -> None:
        """Lays the cells out so. Every sequence is forgotten.

        Raises: SystemExit if there is no memory any more for what there was memory for.
        """
        free_context(self._context)
        try:
            self._context = make_context(
                self._model.handle, self.options, self._log, unified=not divided
            )
        except LoadError as error:
            raise SystemExit(str(error)) from error
        self._memory = llama_cpp.llama_get_memory(self._context)
        self._adapter_in_use = 0
        self.is_divided = divided

    def use_adapter(self, number: int) -> None:
        """0 is the model as it is; 1 and on are the adapters, for all that is computed next."""
        if number == self._adapter_in_use:
            return
        chosen = []
        if number > 0:
            chosen.append(self._adapters[number - 1])
        set_adapters(self._context, chosen)
        self._adapter_in_use = number

    def decode(self, items: list[BatchItem]) -> bool:
        """Runs one batch; False if the cells have no room for it (nothing was changed then)."""
        self._batch.fill(self._arranged(items))
        handle = self._batch.handle
        status: int = llama_cpp.llama_decode(self._context, handle)
        if status == NO_ROOM:
            return False
        if status != 0:
            raise RuntimeError(f"llama_decode returned {status}: {self._log.last(2)}")
        return True

    def _arranged(self, items: list[BatchItem]) -> list[BatchItem]:
        """By sequence where cells are divided: llama.cpp computes neighbours' tokens together."""
        self._places = None
        if not self.is_divided:
            return items
        order = sorted(range(len(items)), key=lambda index: items[index][2])
        self._places = [0] * len(items)
        for place, index in enumerate(order):
            self._places[index] = place
        return [items[index] for index in order]

    def logits(self, batch_index: int) -> LogitsRow:
        """A view of one output row, shape (vocabulary,); valid until the next decode."""
        place = batch_index if self._places is None else self._places[batch_index]
        row = llama_cpp.llama_get_logits_ith(self._context, place)
        shape = (self.vocabulary.size,)
        return np.ctypeslib.as_array(row, shape=shape)

    def forget(self, sequence: int, from_position: int = 0) -> bool:
        """Drops a sequence's cells from a position on.

        False if this kind of memory can only drop all of them.
        """
        was_possible = llama_cpp.llama_memory_seq_rm(self._memory, sequence, from_position, -1)
        return bool(was_possible)

    def share_prefix(
        self,
        source: int,
        target: int,
        length: int,
    ) -> None:
        """The first `length` cells of `source` also become `target`'s."""
        if not self.is_divided:
            llama_cpp.llama_memory_seq_cp(self._memory, source, target, 0, length)
            return
        llama_cpp.llama_memory_seq_cp(self._memory, source, target, -1, -1)  # all or nothing
        llama_cpp.llama_memory_seq_rm(self._memory, target, length, -1)
