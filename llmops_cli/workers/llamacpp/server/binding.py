"""llama.cpp's C functions behind typed Python: models, contexts, adapters, batches of tokens.

The library's decorators leave its functions untyped; here, in vocabulary.py and in samplers.py each
result gets its type, and nothing else touches ctypes.
"""

import ctypes

import llama_cpp
import msgspec
import numpy as np
import numpy.typing as npt

from llamacpp.log import LogCapture

ModelHandle = llama_cpp.llama_model_p
ContextHandle = llama_cpp.llama_context_p
MemoryHandle = llama_cpp.llama_memory_t
AdapterHandle = int

KV_TYPES = {
    "f32": 0,
    "f16": 1,
    "q4_0": 2,
    "q4_1": 3,
    "q5_0": 6,
    "q5_1": 7,
    "q8_0": 8,
    "bf16": 30,
}
"""ggml_type numbers of what a KV cache can hold."""
CELL_BLOCK = 256
"""llama.cpp's n_ctx_seq is a multiple of it."""
NO_POOLING = 0
"""llama_pooling_type"""

BatchItem = tuple[int, int, int, bool]
"""(token, position, sequence, wants logits): a plain tuple, made for every token of a step."""


class LoadError(Exception):
    """llama.cpp could not load the model or make a context; the message is its own."""


class ContextOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Sizes of a context: `pool` KV cells for `sequences` sequences, `batch` tokens a step."""

    pool: int
    sequences: int
    batch: int
    threads: int
    gpu_layers: int = 0
    kv_type: str = "f16"

    @property
    def share(self) -> int:
        """Cells of each sequence where they are divided: llama.cpp rounds them to a block."""
        return self.pool // self.sequences // CELL_BLOCK * CELL_BLOCK


def load_model(
    path: str,
    log: LogCapture,
    *,
    gpu_layers: int,
) -> ModelHandle:
    """Raises: LoadError."""
    llama_cpp.llama_backend_init()
    params = llama_cpp.llama_model_default_params()
    params.n_gpu_layers = gpu_layers
    file = path.encode()
    model: ModelHandle | None = llama_cpp.llama_model_load_from_file(file, params)
    if not model:
        raise LoadError(f"llama.cpp cannot load {path}: {log.last(3)}")
    return model


def make_context(
    model: ModelHandle,
    options: ContextOptions,
    log: LogCapture,
    *,
    unified: bool,
) -> ContextHandle:
    """`unified`: one pool of cells for all sequences, or a share of it for each.

    In a pool copying a prefix between sequences copies no data, a batch is never split by
    sequence, and one long request may use what short ones leave free. But attention passes over
    everybody's cells.

    Raises: LoadError.
    """
    params = llama_cpp.llama_context_default_params()
    params.n_ctx = options.pool
    if not unified:
        params.n_ctx = options.sequences * options.share
    params.n_batch = options.batch
    params.n_ubatch = options.batch
    params.n_seq_max = options.sequences
    params.n_threads = options.threads
    params.n_threads_batch = options.threads
    params.kv_unified = unified
    params.flash_attn_type = 1
    params.type_k = KV_TYPES[options.kv_type]
    params.type_v = KV_TYPES[options.kv_type]
    params.swa_full = True  # a pruned window cannot be reused as a prefix
    params.no_perf = True
    context: ContextHandle | None = llama_cpp.llama_init_from_model(model, params)
    if not context:
        reason = log.last(3)
        raise LoadError(f"llama.cpp cannot make a context of {options.pool} tokens: {reason}")
    return context


def make_embedding_context(
    model: ModelHandle,
    *,
    tokens: int,
    batch: int,
    sequences: int,
    threads: int,
    log: LogCapture,
) -> ContextHandle:
    """A context whose output is a vector for each token, not pooled. Raises: LoadError."""
    params = llama_cpp.llama_context_default_params()
    params.n_ctx = tokens
    params.n_batch = batch
    params.n_ubatch = batch
    params.n_seq_max = sequences
    params.n_threads = threads
    params.n_threads_batch = threads
    params.kv_unified = True
    # Without flash attention a batch of many texts takes twice the time: their masks are dense.
    params.flash_attn_type = 1
    params.swa_full = True
    params.embeddings = True
    params.pooling_type = NO_POOLING
    params.no_perf = True
    context: ContextHandle | None = llama_cpp.llama_init_from_model(model, params)
    if not context:
        raise LoadError(f"llama.cpp cannot make a context for vectors: {log.last(3)}")
    return context


def free_context(context: ContextHandle) -> None:
    llama_cpp.llama_free(context)


def load_adapter(
    model: ModelHandle,
    path: str,
    log: LogCapture,
) -> AdapterHandle:
    """Raises: LoadError."""
    adapter = llama_cpp.llama_adapter_lora_init(model, path.encode())
    if not adapter:
        raise LoadError(f"llama.cpp cannot load the adapter {path}: {log.last(3)}")
    pointer = ctypes.cast(adapter, ctypes.c_void_p)
    return pointer.value or 0


def set_adapters(context: ContextHandle, adapters: list[AdapterHandle]) -> None:
    """Makes these, at full strength, the adapters of all that is computed from now on."""
    count = len(adapters)
    room = max(count, 1)
    full_strength = [1.0] * count
    pointers = (ctypes.c_void_p * room)(*adapters)
    scales = (ctypes.c_float * room)(*full_strength)
    handle_type = ctypes.POINTER(llama_cpp.llama_adapter_lora_p_ctypes)
    handles = ctypes.cast(pointers, handle_type)
    status = llama_cpp.llama_set_adapters_lora(context, handles, count, scales)
    if status != 0:
        raise RuntimeError("llama.cpp refused the adapter")


def metadata_of(model: ModelHandle, key: str) -> str | None:
    """One text from the head of the model's file."""
    size = 1 << 18
    buffer = ctypes.create_string_buffer(size)
    name = key.encode()
    length: int = llama_cpp.llama_model_meta_val_str(model, name, buffer, size)
    if length < 0:
        return None
    raw = buffer.raw[:length]
    return raw.decode(errors="replace")


def is_recurrent(model: ModelHandle) -> bool:
    """Whether its memory is a running state, which cannot be cut at a position."""
    if llama_cpp.llama_model_is_recurrent(model):
        return True
    return bool(llama_cpp.llama_model_is_hybrid(model))


class TokenBatch:
    """A llama_batch of fixed room that is filled anew for each step."""

    def __init__(self, room: int) -> None:
        handle = llama_cpp.llama_batch_init(room, 0, 1)
        shape = (room,)
        as_array = np.ctypeslib.as_array
        # numpy views of the C arrays: one vector assignment instead of one ctypes access per token
        self._tokens: npt.NDArray[np.int32] = as_array(handle.token, shape)
        self._positions: npt.NDArray[np.int32] = as_array(handle.pos, shape)
        self._wants_logits: npt.NDArray[np.int8] = as_array(handle.logits, shape)
        self._sequences = [handle.seq_id[i] for i in range(room)]
        sequences_each = as_array(handle.n_seq_id, shape)
        sequences_each[:] = 1
        self.handle = handle

    def fill(self, items: list[BatchItem]) -> None:
        count = len(items)
        tokens, positions, sequences, wants_logits = zip(*items, strict=True)
        self._tokens[:count] = tokens
        self._positions[:count] = positions
        self._wants_logits[:count] = wants_logits
        slots = self._sequences
        for i, sequence in enumerate(sequences):
            slots[i][0] = sequence
        self.handle.n_tokens = count
