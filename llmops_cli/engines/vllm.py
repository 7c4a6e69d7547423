"""vLLM's own OpenAI server: the CUDA build on NVIDIA machines, the CPU build elsewhere."""

from __future__ import annotations

import json

from llmops_cli.core.artifact import Artifact
from llmops_cli.core.errors import EnvironmentMissing, UsageError
from llmops_cli.core.spec import Env, ServerSpec
from llmops_cli.engines.engine import CpuNeed, EngineFacts, Signature
from llmops_cli.engines.options import INTEGERS, EngineOptions, Lora, Speculation, read_switch

FLAGS = {
    "dtype": "--dtype",
    "max_model_len": "--max-model-len",
    "max_num_seqs": "--max-num-seqs",
    "gpu_memory_utilization": "--gpu-memory-utilization",
    "cpu_offload_gib": "--cpu-offload-gb",
    "tensor_parallel": "--tensor-parallel-size",
    "pipeline_parallel": "--pipeline-parallel-size",
    "data_parallel": "--data-parallel-size",
    "kv_cache_dtype": "--kv-cache-dtype",
    "attention": "--attention-backend",
    "max_num_batched_tokens": "--max-num-batched-tokens",
    "quantization": "--quantization",
}
OTHERS = (
    "prefix_caching",
    "speculative",
    "lora",
    "threads",
    "compile",
    "kv_space_gib",
    "max_lora_rank",
)
QUIET = {
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
}
LOOKUP_TOKENS = 4
"""Longest piece of the text so far that n-gram speculation looks for."""


class Vllm:
    """`compile` is off unless asked for: it costs minutes at the start."""

    facts = EngineFacts(
        formats=("hf", "compressed-tensors", "gptq", "awq"),
        environment="vllm",
        options=(*FLAGS, *OTHERS),
        counts=("max_num_batched_tokens", "kv_space_gib", "max_lora_rank"),
        loads_at=r"Starting to load model",
        packages=("vllm", "vllm-cpu", "compressed-tensors"),
        signatures=(Signature(name="vLLM", owned_by=("vllm",), version_path="/version"),),
        # beyond its end a model may say nothing but special tokens, and a stream without text
        # cannot be timed
        bench_body={"ignore_eos": True, "skip_special_tokens": False},
        makes_vectors=True,
        metrics={
            "running": ("vllm:num_requests_running",),
            "queued": ("vllm:num_requests_waiting",),
            "kv_cache_use": ("vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc"),
        },
        scores_prompts=True,
        # vLLM 0.32's build for AVX2 has no cpu_gemm_wna16: its first request ends the engine
        cpu_needs=(CpuNeed(scheme="W4A16", flag="avx512f", instead="transformers"),),
    )

    def check(self, options: EngineOptions) -> None:
        """Raises: UsageError for values that this engine cannot have."""
        if options.dtype in INTEGERS:
            raise UsageError(
                "vllm computes in float32, float16 or bfloat16",
                hint="--backend ctranslate2 has int8 and int16",
            )
        _compiles(options)
        if "max_lora_rank" in options.own and not options.lora:
            raise UsageError("max_lora_rank is of adapters", hint="--lora NAME=PATH")

    def server(
        self,
        artifact: Artifact,
        *,
        options: EngineOptions,
        env: Env | None,
        port: int,
        parallel: int,
    ) -> ServerSpec:
        """The model's path is local, so the hub is switched off."""
        if env is None or artifact.path is None:
            raise EnvironmentMissing("engine 'vllm' needs an environment and a model folder")
        argv = [
            env.python,
            "-m",
            "vllm.entrypoints.openai.api_server",
            "--model",
            artifact.path,
            "--served-model-name",
            artifact.served_name,
            "--host",
            "127.0.0.1",
            "--port",
            str(port),
            *options.arguments(FLAGS),
            *_switches(options),
        ]
        environment = QUIET | {"VLLM_CPU_KVCACHE_SPACE": options.own.get("kv_space_gib", "2")}
        if options.threads is not None:
            environment["OMP_NUM_THREADS"] = str(options.threads)
        return ServerSpec(
            engine="vllm",
            argv=tuple(argv),
            url=f"http://127.0.0.1:{port}",
            model=artifact.served_name,
            env=environment,
        )


def _compiles(options: EngineOptions) -> bool:
    """Raises: UsageError for a word that is neither yes nor no."""
    word = options.own.get("compile", "false")
    try:
        return read_switch(word)
    except ValueError:
        raise UsageError(f"compile={word}: no such value", hint="true or false") from None


def _switches(options: EngineOptions) -> list[str]:
    argv = []
    if options.prefix_caching is not None:
        no = "" if options.prefix_caching else "no-"
        argv.append(f"--{no}enable-prefix-caching")
    if options.speculative is not None:
        argv += ["--speculative-config", json.dumps(speculation(options.speculative))]
    if options.lora:
        argv += _adapters(options.lora, rank=options.own.get("max_lora_rank", "64"))
    if not _compiles(options):
        argv.append("--enforce-eager")
    return argv


def _adapters(loras: tuple[Lora, ...], *, rank: str) -> list[str]:
    """The adapters, and one empty slot.

    On CPUs vLLM 0.32 gives requests of the base model what is in the last slot when they share a
    batch with an adapter's (vllm-project/vllm#48421).
    """
    slots = str(len(loras) + 1)
    modules = [str(lora) for lora in loras]
    limits = ["--max-lora-rank", rank, "--max-loras", slots]
    return ["--enable-lora", *limits, "--lora-modules", *modules]


def speculation(guess: Speculation) -> dict[str, object]:
    """`--speculative` as vLLM's speculative config."""
    if guess.kind == "ngram":
        return {
            "method": "ngram",
            "num_speculative_tokens": guess.tokens,
            "prompt_lookup_max": LOOKUP_TOKENS,
        }
    config: dict[str, object] = {"model": guess.path, "num_speculative_tokens": guess.tokens}
    if guess.kind == "draft":
        return config
    return {"method": guess.kind, **config}
