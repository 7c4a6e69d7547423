"""How many cells of a cache engines allocate for a context, and what a cell's numbers take."""

from __future__ import annotations

from typing import Literal

import msgspec

from llmops_cli.core.errors import UsageError, unknown_name

Allocator = Literal["exact", "llamacpp", "vllm"]
CACHE_BITS = {
    "f32": 32.0,
    "f16": 16.0,
    "bf16": 16.0,
    "fp8": 8.0,
    "fp8_e4m3": 8.0,
    "fp8_e5m2": 8.0,
    "int8": 8.0,
    "q8_0": 8.5,
    "q5_1": 6.0,
    "q5_0": 5.5,
    "q4_1": 5.0,
    "q4_0": 4.5,
    "iq4_nl": 4.5,
    "nvfp4": 4.5,
}
"""Of one number, scales of its block included (ggml-common.h; NVFP4: an FP8 scale for each 16)."""
ALIASES = {"auto": "f16", "fp16": "f16", "float16": "f16", "bfloat16": "bf16", "float32": "f32"}
LLAMACPP_PADDING = 256
"""Source: llama-context.cpp and llama-kv-cache-iswa.cpp of llama.cpp."""


class CacheRules(msgspec.Struct, frozen=True, kw_only=True):
    """Who allocates, and for how many sequences at once.

    micro_batch_tokens: `--ubatch-size` of llama.cpp. batched_tokens: `--max-num-batched-tokens` of
    vLLM. full_windows: windowed layers get a cache as long as the others' (`--swa-full`, or vLLM
    without its hybrid allocator). unified: one buffer for all sequences of llama.cpp
    (`--kv-unified`), where `tokens` are then of all of them together.
    """

    allocator: Allocator = "exact"
    sequences: int = 1
    micro_batch_tokens: int = 512
    batched_tokens: int = 2048
    block_tokens: int = 16
    full_windows: bool = False
    unified: bool = False

    def cells(self, tokens: int, window: int | None) -> int:
        """Of one layer, over all sequences. `tokens`: of each sequence.

        Raises: UsageError for what no engine takes.
        """
        self._check(tokens)
        if self.full_windows:
            window = None
        if self.allocator == "llamacpp":
            return self._llamacpp(tokens, window)
        if self.allocator == "vllm":
            return self._vllm(tokens, window)
        held = tokens if window is None else min(tokens, window)
        return held * self.sequences

    @property
    def conv_bytes(self) -> int:
        """Of one number of a convolution's state."""
        return 4 if self.allocator == "llamacpp" else 2

    @property
    def state_bytes(self) -> int:
        """Of one number of a recurrent state: f32 in llama.cpp, vLLM and Transformers alike."""
        return 4

    def _llamacpp(self, tokens: int, window: int | None) -> int:
        size = padded(tokens, LLAMACPP_PADDING)
        streams = 1 if self.unified else self.sequences
        if window is None:
            return size * streams
        shared = self.sequences if self.unified else 1
        wanted = min(size, window * shared + self.micro_batch_tokens)
        return padded(wanted, LLAMACPP_PADDING) * streams

    def _vllm(self, tokens: int, window: int | None) -> int:
        """Source: kv_cache_interface.py of vLLM, max_memory_usage_bytes of each kind."""
        blocks = -(-tokens // self.block_tokens)
        if window is not None:
            reach = min(window - 1 + self.batched_tokens, tokens)
            blocks = min(blocks, -(-reach // self.block_tokens) + 1)
        return blocks * self.block_tokens * self.sequences

    def _check(self, tokens: int) -> None:
        if tokens < 0:
            raise UsageError(f"a context of {tokens:,} tokens", hint="a positive number")
        for name in ("sequences", "micro_batch_tokens", "batched_tokens", "block_tokens"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} is {getattr(self, name)}", hint="1 or more")


EXACT = CacheRules()


def cache_bits(dtype: str) -> float:
    """Of one number in the cache. Raises: UsageError for a type that is not known."""
    plain = dtype.strip().lower()
    plain = ALIASES.get(plain, plain)
    if plain not in CACHE_BITS:
        raise unknown_name("cache type", dtype, CACHE_BITS)
    return CACHE_BITS[plain]


def padded(count: int, step: int) -> int:
    """The least multiple of `step` that is not below `count`."""
    return -(-count // step) * step
