"""llama.cpp through llama-cpp-python's batch API, served by a worker of ours that batches."""

from __future__ import annotations

from llmops_cli.core.artifact import Artifact
from llmops_cli.core.errors import EnvironmentMissing, UsageError
from llmops_cli.core.spec import Env, ServerSpec
from llmops_cli.engines.engine import LOADS, EngineFacts, Signature
from llmops_cli.engines.options import EngineOptions

FLAGS = {
    "max_model_len": "--ctx",
    "threads": "--threads",
    "kv_tokens": "--kv-tokens",
    "batch": "--batch",
    "prefill_chunk": "--prefill-chunk",
    "queue": "--queue",
    "gpu_layers": "--gpu-layers",
    "cpu_offload_gib": "--cpu-offload-gib",
    "kv_cache_dtype": "--kv-type",
    "speculative": "--speculative",
    "lora": "--lora",
}
LLAMA_SERVER_FLAGS = {
    "threads": "--threads",
    "batch": "--batch-size",
    "gpu_layers": "--n-gpu-layers",
}
OF_OUR_SERVER = ("kv_tokens", "prefill_chunk", "queue")
"""Options that llama-server does not have."""
KV_TYPES = ("f32", "f16", "bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0")
CONTEXT = 1024


class Llamacpp:
    """`binary=PATH` runs a llama-server of the user's own instead of our worker."""

    facts = EngineFacts(
        formats=("gguf",),
        environment="llamacpp",
        options=(*FLAGS, "max_num_seqs", "prefix_caching", "binary"),
        counts=("kv_tokens", "batch", "prefill_chunk", "queue", "gpu_layers"),
        loads_at=LOADS,
        packages=("llama-cpp-python", "gguf"),
        signatures=(
            Signature(name="llama.cpp", owned_by=("llamacpp",), version_path="/props"),
            Signature(name="llmops", owned_by=("llmops",)),
        ),
        bench_body={"ignore_eos": True},
        makes_vectors=True,
        metrics={
            "running": ("llamacpp:requests_processing", "llmops_running"),
            "queued": ("llamacpp:requests_deferred", "llmops_waiting"),
            "kv_cache_use": ("llamacpp:kv_cache_usage_ratio", "llmops_kv_use"),
            "batch_tokens": ("llmops_batch_tokens",),
        },
    )

    def check(self, options: EngineOptions) -> None:
        """Raises: UsageError for values that this engine cannot have."""
        kv_type = options.kv_cache_dtype or "f16"
        if kv_type not in KV_TYPES:
            raise UsageError(
                f"llama.cpp has no KV cache of {kv_type}", hint=f"it has {', '.join(KV_TYPES)}"
            )
        guess = options.speculative
        if guess is not None and guess.kind in ("medusa", "eagle"):
            raise UsageError(
                f"llamacpp has no {guess.kind} heads",
                hint="ngram:5 or draft:PATH; --backend vllm has them",
            )
        if options.cpu_offload_gib is not None:
            _check_offload(options)
        if "binary" in options.own:
            _check_llama_server(options)

    def server(
        self,
        artifact: Artifact,
        *,
        options: EngineOptions,
        env: Env | None,
        port: int,
        parallel: int,
    ) -> ServerSpec:
        binary = options.own.get("binary")
        if artifact.path is None or (env is None and binary is None):
            raise EnvironmentMissing("engine 'llamacpp' needs an environment and a model file")
        sequences = options.max_num_seqs or parallel
        if binary is not None:
            argv = _llama_server(artifact, artifact.path, options, binary, sequences, port)
        else:
            assert env is not None
            argv = _own_server(artifact, artifact.path, options, env, sequences, port)
        return ServerSpec(
            engine="llamacpp",
            argv=tuple(argv),
            url=f"http://127.0.0.1:{port}",
            model=artifact.served_name,
        )


def _check_llama_server(options: EngineOptions) -> None:
    hint = "leave binary= out"
    if options.lora:
        raise UsageError("llama-server does not choose adapters by model name", hint=hint)
    for name in OF_OUR_SERVER:
        if name in options.own:
            raise UsageError(f"llama-server has no {name}", hint=hint)


def _check_offload(options: EngineOptions) -> None:
    if "gpu_layers" in options.own:
        raise UsageError(
            "--cpu-offload-gib decides how many layers a GPU has, and so does gpu_layers",
            hint="leave one of them out",
        )
    if "binary" in options.own:
        raise UsageError(
            "llama-server counts in layers, not in GiB", hint="--set gpu_layers=N with binary="
        )


def _own_server(
    artifact: Artifact,
    path: str,
    options: EngineOptions,
    env: Env,
    sequences: int,
    port: int,
) -> list[str]:
    argv = [
        env.python,
        "{workers}",
        "llamacpp.server",
        "--model",
        path,
        "--name",
        artifact.served_name,
        "--port",
        str(port),
        "--parallel",
        str(sequences),
        *options.arguments(FLAGS),
    ]
    if options.prefix_caching is False:
        argv.append("--no-prefix-reuse")
    return argv


def _llama_server(
    artifact: Artifact,
    path: str,
    options: EngineOptions,
    binary: str,
    sequences: int,
    port: int,
) -> list[str]:
    """llama.cpp's own server. Its context is for all sequences together, ours for each."""
    context = options.max_model_len or CONTEXT
    argv = [
        binary,
        "--model",
        path,
        "--alias",
        artifact.served_name,
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--parallel",
        str(sequences),
        "--ctx-size",
        str(sequences * context),
        "--metrics",
        "--no-webui",
        *options.arguments(LLAMA_SERVER_FLAGS),
    ]
    if options.prefix_caching is False:
        argv.append("--no-cache-prompt")
    if options.kv_cache_dtype is not None:
        argv += ["--cache-type-k", options.kv_cache_dtype]
        argv += ["--cache-type-v", options.kv_cache_dtype]
    return argv + _llama_server_speculation(options)


def _llama_server_speculation(options: EngineOptions) -> list[str]:
    guess = options.speculative
    if guess is None:
        return []
    tokens = str(guess.tokens)
    if guess.kind == "ngram":
        sizes = ["--spec-ngram-simple-size-n", "3", "--spec-ngram-simple-size-m", tokens]
        return ["--spec-type", "ngram-simple", *sizes]
    draft = ["--model-draft", guess.path, "--spec-draft-n-max", tokens]
    return ["--spec-type", "draft-simple", *draft]
