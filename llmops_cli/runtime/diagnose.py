"""What an engine's last log lines mean, and the option that helps."""

from __future__ import annotations

import re

CAUSES = (
    (
        r"out of memory|can't allocate memory|[Cc]annot allocate memory|std::bad_alloc|OutOfMemoryError|"
        r"more than available memory|"
        r"killed by SIGKILL",
        "it ran out of memory",
        "try a smaller --max-model-len or --max-num-seqs, --dtype bfloat16, or a quantized model (llmops quantize)",
    ),
    (
        r"No available memory for the cache blocks|larger than the (available|maximum number of tokens).*KV cache|"
        r"KV cache memory|cannot make a context",
        "its KV cache does not fit",
        "--max-model-len N with a smaller N; on a GPU a higher --gpu-memory-utilization",
    ),
    (
        r"no kernel image is available|not compiled with CUDA|compiled without CUDA|Failed to find a kernel|"
        r"[Nn]o (suitable )?kernel|not supported on (the )?(current platform|CPU|cpu)|unsupported device",
        "this build has no kernel for the model's format or this device",
        "another --dtype, another engine (llmops engines), or another format (llmops quantize)",
    ),
    (
        r"FlashAttention2 has been toggled on, but|flash_attn.*(not installed|No module)",
        "flash attention is not installed in this environment",
        "--attention sdpa",
    ),
    (
        r"No module named '?([\w.]+)",
        "its environment lacks a library",
        "llmops env create NAME mends it",
    ),
    (
        r"trust_remote_code|requires you to execute the configuration file",
        "the model wants to run code of its own",
        "the toolkit never does; use a model whose architecture the engine knows",
    ),
    (
        r"[Uu]nsupported (model|architecture)|are not supported for now|does not recognize this architecture|"
        r"unknown model architecture",
        "the engine does not know this architecture",
        "another engine: llmops engines",
    ),
    (r"[Aa]ddress already in use", "its port was taken", "run again"),
)


def explain(log_tail: str) -> tuple[str, str] | None:
    """(cause, hint) of the first known pattern, or None."""
    for pattern, cause, hint in CAUSES:
        if re.search(pattern, log_tail):
            return cause, hint
    return None
