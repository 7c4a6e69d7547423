"""vLLM's own OpenAI server: the CUDA build on NVIDIA machines, the CPU build elsewhere."""

from __future__ import annotations

import json
from collections.abc import Mapping

from llmops_cli.core.artifact import Artifact
from llmops_cli.core.errors import EnvironmentMissing, UsageError
from llmops_cli.core.options import is_on, loras_of, speculation_of
from llmops_cli.core.spec import Env, ServerSpec

FLAGS = {
    "dtype": "--dtype",
    "max_model_len": "--max-model-len",
    "max_num_seqs": "--max-num-seqs",
    "gpu_memory_utilization": "--gpu-memory-utilization",
    "tensor_parallel": "--tensor-parallel-size",
    "pipeline_parallel": "--pipeline-parallel-size",
    "data_parallel": "--data-parallel-size",
    "kv_cache_dtype": "--kv-cache-dtype",
    "attention": "--attention-backend",
    "max_num_batched_tokens": "--max-num-batched-tokens",
    "quantization": "--quantization",
}
QUIET = {
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
}


class Vllm:
    formats = ("hf", "compressed-tensors", "gptq", "awq")
    environment = "vllm"
    options = (
        *FLAGS,
        "prefix_caching",
        "speculative",
        "lora",
        "threads",
        "compile",
        "kv_space_gib",
        "max_lora_rank",
    )
    # beyond its end a model may say nothing but special tokens, and a stream without text cannot be
    # timed
    bench_body: Mapping[str, object] = {"ignore_eos": True, "skip_special_tokens": False}

    def server(
        self,
        artifact: Artifact,
        *,
        options: Mapping[str, str],
        env: Env | None,
        port: int,
        parallel: int,
    ) -> ServerSpec:
        """The model's path is local, so the hub is switched off. `compile` is off: it costs minutes
        at the start.
        """
        if env is None or artifact.path is None:
            raise EnvironmentMissing("engine 'vllm' needs an environment and a model folder")
        argv = [
            env.python,
            "-m",
            "vllm.entrypoints.openai.api_server",
            "--model",
            artifact.path,
            "--served-model-name",
            artifact.reference,
            "--host",
            "127.0.0.1",
            "--port",
            str(port),
        ]
        for name, flag in FLAGS.items():
            if name in options:
                argv += [flag, options[name]]
        if "prefix_caching" in options:
            on = is_on(options, "prefix_caching", default=True)
            argv.append("--enable-prefix-caching" if on else "--no-enable-prefix-caching")
        if "speculative" in options:
            argv += ["--speculative-config", json.dumps(speculation(options))]
        if loras := loras_of(options):
            modules = [f"{name}={path}" for name, path in loras.items()]
            # One slot stays empty: on CPUs vLLM 0.32 gives requests of the base model what is in
            # the last slot when
            # they share a batch with an adapter's (vllm-project/vllm#48421).
            rank = options.get("max_lora_rank", "64")
            argv += [
                "--enable-lora",
                "--max-lora-rank",
                rank,
                "--max-loras",
                str(len(loras) + 1),
                "--lora-modules",
                *modules,
            ]
        if not is_on(options, "compile", default=False):
            argv.append("--enforce-eager")
        more = {"OMP_NUM_THREADS": options["threads"]} if "threads" in options else {}
        return ServerSpec(
            engine="vllm",
            argv=tuple(argv),
            url=f"http://127.0.0.1:{port}",
            model=artifact.reference,
            env={**QUIET, "VLLM_CPU_KVCACHE_SPACE": options.get("kv_space_gib", "2"), **more},
        )

    def check(self, options: Mapping[str, str]) -> None:
        """Raises: UsageError for values that this engine cannot have."""
        if options.get("dtype") == "int8":
            raise UsageError(
                "vllm computes in float32, float16 or bfloat16",
                hint="--backend ctranslate2 has int8",
            )


def speculation(options: Mapping[str, str]) -> dict[str, object]:
    """`--speculative` as vLLM's speculative config."""
    kind, path, tokens = speculation_of(options)
    if kind == "ngram":
        return {"method": "ngram", "num_speculative_tokens": tokens, "prompt_lookup_max": 4}
    config: dict[str, object] = {"model": path, "num_speculative_tokens": tokens}
    return config if kind == "draft" else {"method": kind, **config}
