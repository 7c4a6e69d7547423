"""llama.cpp behind plain Python: one model, one context, token batches and sequence memory."""

import ctypes
from collections.abc import Iterable

import llama_cpp
import numpy as np

WARN = 3
ERROR = 4
KV_TYPES = {"f32": 0, "f16": 1, "q4_0": 2, "q4_1": 3, "q5_0": 6, "q5_1": 7, "q8_0": 8, "bf16": 30}
"""ggml_type numbers of what a KV cache can hold."""
BatchItem = tuple[int, int, int, bool]
"""(token, position, sequence, wants logits)"""


class LoadError(Exception):
    """llama.cpp could not load the model or make a context; the message is its own."""


class Llama:
    """A loaded model with a context of `pool` KV cells shared by `sequences` sequences.

    Not thread-safe, apart from the tokenizer methods: llama.cpp's vocabulary is read-only.
    """

    def __init__(
        self,
        path: str,
        *,
        pool: int,
        sequences: int,
        batch: int,
        threads: int,
        gpu_layers: int,
        kv_type: str = "f16",
        adapters: Iterable[str] = (),
    ) -> None:
        self._log_lines: list[str] = []
        self._log_callback = llama_cpp.llama_log_callback(self._on_log)
        llama_cpp.llama_log_set(self._log_callback, ctypes.c_void_p(0))
        llama_cpp.llama_backend_init()
        model_params = llama_cpp.llama_model_default_params()
        model_params.n_gpu_layers = gpu_layers
        self._model = llama_cpp.llama_model_load_from_file(path.encode(), model_params)
        if not self._model:
            raise LoadError(f"llama.cpp cannot load {path}: {' '.join(self._log_lines[-3:])}")
        params = llama_cpp.llama_context_default_params()
        params.n_ctx = pool
        params.n_batch = batch
        params.n_ubatch = batch
        params.n_seq_max = sequences
        params.n_threads = params.n_threads_batch = threads
        # One pool of cells for all sequences: a batch is never split by sequence, copying a prefix
        # between
        # sequences copies no data, and one long request may use what short ones leave free.
        params.kv_unified = True
        params.flash_attn_type = 1
        params.type_k = params.type_v = KV_TYPES[kv_type]
        params.swa_full = True  # a pruned window cannot be reused as a prefix
        params.no_perf = True
        self.context = llama_cpp.llama_init_from_model(self._model, params)
        if not self.context:
            raise LoadError(
                f"llama.cpp cannot make a context of {pool} tokens: {' '.join(self._log_lines[-3:])}"
            )
        self._adapters = [self._load_adapter(path) for path in adapters]
        self._adapter = 0
        self.vocab = llama_cpp.llama_model_get_vocab(self._model)
        self.vocab_size = int(llama_cpp.llama_vocab_n_tokens(self.vocab))
        self.train_context = int(llama_cpp.llama_model_n_ctx_train(self._model))
        self.pool = int(llama_cpp.llama_n_ctx(self.context))
        self.batch_size = batch
        self._memory = llama_cpp.llama_get_memory(self.context)
        self._batch = llama_cpp.llama_batch_init(batch, 0, 1)
        # numpy views of the C arrays: one vector assignment instead of one ctypes access per token
        self._tokens = np.ctypeslib.as_array(self._batch.token, (batch,))
        self._positions = np.ctypeslib.as_array(self._batch.pos, (batch,))
        self._wants_logits = np.ctypeslib.as_array(self._batch.logits, (batch,))
        self._sequences = [self._batch.seq_id[i] for i in range(batch)]
        np.ctypeslib.as_array(self._batch.n_seq_id, (batch,))[:] = 1
        self._pieces: dict[int, bytes] = {}
        self.end_tokens = frozenset(
            token
            for token in range(self.vocab_size)
            if llama_cpp.llama_vocab_is_eog(self.vocab, token)
        )
        recurrent = llama_cpp.llama_model_is_recurrent(
            self._model
        ) or llama_cpp.llama_model_is_hybrid(self._model)
        self.can_share_prefixes = not recurrent

    def _load_adapter(self, path: str) -> int:
        adapter = llama_cpp.llama_adapter_lora_init(self._model, path.encode())
        if not adapter:
            raise LoadError(
                f"llama.cpp cannot load the adapter {path}: {' '.join(self._log_lines[-3:])}"
            )
        return int(ctypes.cast(adapter, ctypes.c_void_p).value or 0)

    def use_adapter(self, number: int) -> None:
        """0 is the model as it is; 1 and on are the adapters. Holds for all that is computed from
        then on.
        """
        if number == self._adapter:
            return
        chosen = self._adapters[number - 1 : number] if number else []
        handles = (ctypes.c_void_p * 1)(*chosen)
        scales = (ctypes.c_float * 1)(1.0)
        pointer = ctypes.cast(handles, ctypes.POINTER(llama_cpp.llama_adapter_lora_p_ctypes))
        if llama_cpp.llama_set_adapters_lora(self.context, pointer, len(chosen), scales) != 0:
            raise RuntimeError("llama.cpp refused the adapter")
        self._adapter = number

    def _on_log(self, level: int, text: bytes, _user: object) -> None:
        if level in (WARN, ERROR):
            self._log_lines.append(text.decode(errors="replace").strip())
            del self._log_lines[:-20]

    def metadata(self, key: str) -> str | None:
        size = 1 << 18
        buffer = ctypes.create_string_buffer(size)
        length = llama_cpp.llama_model_meta_val_str(self._model, key.encode(), buffer, size)
        return None if length < 0 else buffer.raw[:length].decode(errors="replace")

    # -- text
    # ------------------------------------------------------------------------------------------

    def tokenize(self, text: str, *, add_special: bool, parse_special: bool) -> list[int]:
        raw = text.encode()
        size = len(raw) + 8
        for _ in range(2):
            buffer = (llama_cpp.llama_token * size)()
            count = llama_cpp.llama_tokenize(
                self.vocab, raw, len(raw), buffer, size, add_special, parse_special
            )
            if count >= 0:
                return list(buffer[:count])
            size = -count
        raise ValueError("cannot tokenize")

    def piece(self, token: int, *, special: bool = False) -> bytes:
        """The bytes of one token; control tokens are empty unless `special`."""
        key = token if not special else -token - 1
        found = self._pieces.get(key)
        if found is None:
            buffer = ctypes.create_string_buffer(512)
            length = llama_cpp.llama_token_to_piece(self.vocab, token, buffer, 512, 0, special)
            found = self._pieces[key] = buffer.raw[: max(length, 0)]
        return found

    def bos_text(self) -> str:
        token = llama_cpp.llama_vocab_bos(self.vocab)
        return "" if token < 0 else self.piece(token, special=True).decode(errors="replace")

    def eos_text(self) -> str:
        token = llama_cpp.llama_vocab_eos(self.vocab)
        return "" if token < 0 else self.piece(token, special=True).decode(errors="replace")

    def adds_bos(self) -> bool:
        return bool(llama_cpp.llama_vocab_get_add_bos(self.vocab))

    # -- compute
    # ---------------------------------------------------------------------------------------

    def decode(self, items: list[BatchItem]) -> bool:
        """Runs one batch; False if the pool has no room for it (nothing was changed then)."""
        count = len(items)
        self._tokens[:count], self._positions[:count], sequences, self._wants_logits[:count] = zip(
            *items, strict=True
        )
        slots = self._sequences
        for i, sequence in enumerate(sequences):
            slots[i][0] = sequence
        self._batch.n_tokens = count
        status = llama_cpp.llama_decode(self.context, self._batch)
        if status == 1:
            return False
        if status != 0:
            raise RuntimeError(f"llama_decode returned {status}: {' '.join(self._log_lines[-2:])}")
        return True

    def logits(self, batch_index: int) -> np.ndarray:
        """A view of one output row, shape (vocab,); valid until the next decode."""
        return np.ctypeslib.as_array(
            llama_cpp.llama_get_logits_ith(self.context, batch_index), shape=(self.vocab_size,)
        )

    def forget(self, sequence: int, from_position: int = 0) -> bool:
        """Drops a sequence's cells from a position on; False if this kind of memory can only drop
        all of them.
        """
        return bool(llama_cpp.llama_memory_seq_rm(self._memory, sequence, from_position, -1))

    def share_prefix(self, source: int, target: int, length: int) -> None:
        """The first `length` cells of `source` also become `target`'s."""
        llama_cpp.llama_memory_seq_cp(self._memory, source, target, 0, length)


def grammar_sampler(vocab: object, grammar: str) -> object | None:
    return llama_cpp.llama_sampler_init_grammar(vocab, grammar.encode(), b"root")


def chain(samplers: Iterable[object]) -> object:
    whole = llama_cpp.llama_sampler_chain_init(llama_cpp.llama_sampler_chain_default_params())
    for sampler in samplers:
        llama_cpp.llama_sampler_chain_add(whole, sampler)
    return whole
