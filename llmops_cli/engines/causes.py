"""What log lines mean that any engine can print. Each engine's own stand in its module."""

from __future__ import annotations

from collections.abc import Iterable

from llmops_cli.core.spec import Cause

COMMON_CAUSES = (
    Cause(
        pattern=r"UnpicklingError|Weights only load failed",
        cause="its weights are a pickle that is damaged, or holds more than tensors",
        hint="take the model with .safetensors files: a pickle can run code when it is read",
    ),
    Cause(
        pattern=r"SafetensorError|[Ee]rror while deserializing header|PytorchStreamReader failed"
        r"|data is not within the file bounds|corrupted or incomplete|failed to read header"
        r"|invalid magic|has an invalid payload size|is incomplete: failed to read"
        r"|the weights lack",
        cause="its weights are damaged or cut short",
        hint="download or make the model again",
    ),
    Cause(
        pattern=r"out of memory|can't allocate memory|[Cc]annot allocate memory|std::bad_alloc"
        r"|OutOfMemoryError|more than available memory",
        cause="it ran out of memory",
        hint="try a smaller --max-model-len or --max-num-seqs, --dtype bfloat16, "
        "or a quantized model (llmops quantize)",
    ),
    Cause(
        pattern=r"No available memory for the cache blocks"
        r"|larger than the (available|maximum number of tokens).*KV cache"
        r"|KV cache memory|cannot make a context",
        cause="its KV cache does not fit",
        hint="--max-model-len N with a smaller N; on a GPU a higher --gpu-memory-utilization",
    ),
    Cause(
        pattern=r"no kernel image is available|not compiled with CUDA|compiled without CUDA"
        r"|Failed to find a kernel|[Nn]o (suitable )?kernel|unsupported device"
        r"|not supported on (the )?(current platform|CPU|cpu)",
        cause="this build has no kernel for the model's format or this device",
        hint="another --dtype, another engine (llmops engines), "
        "or another format (llmops quantize)",
    ),
    Cause(
        pattern=r"FlashAttention2 has been toggled on, but|flash_attn.*(not installed|No module)",
        cause="flash attention is not installed in this environment",
        hint="--attention sdpa",
    ),
    Cause(
        pattern=r"No module named '?([\w.]+)",
        cause="its environment lacks a library",
        hint="llmops env create NAME mends it",
    ),
    Cause(
        pattern=r"trust_remote_code|requires you to execute the configuration file",
        cause="the model wants to run code of its own",
        hint="the toolkit never does; use a model whose architecture the engine knows",
    ),
    Cause(
        pattern=r"[Uu]nsupported (model|architecture)|are not supported for now"
        r"|does not recognize this architecture|unknown model architecture",
        cause="the engine does not know this architecture",
        hint="another engine: llmops engines",
    ),
    Cause(
        pattern=r"[Aa]ddress already in use",
        cause="its port was taken",
        hint="run again",
    ),
)


def explain(log: str, causes: Iterable[Cause] = ()) -> Cause | None:
    """The first that the log shows: the engine's own before those of all."""
    said = _without_source(log)
    for cause in (*causes, *COMMON_CAUSES):
        if cause.explains(said):
            return cause
    return None


def _without_source(log: str) -> str:
    """A traceback's lines of source are no message, though they hold words such as options."""
    lines = [line for line in log.splitlines() if not line.startswith(" ")]
    return "\n".join(lines)
