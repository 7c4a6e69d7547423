"""llama.cpp through llama-cpp-python's batch API, served by workers/llamacpp/server."""

from __future__ import annotations

from collections.abc import Mapping

from llmops_cli.core.artifact import Artifact
from llmops_cli.core.errors import EnvironmentMissing, UsageError
from llmops_cli.core.options import is_on, speculation_of
from llmops_cli.core.spec import Env, ServerSpec

FLAGS = {
    "max_model_len": "--ctx",
    "threads": "--threads",
    "kv_tokens": "--kv-tokens",
    "batch": "--batch",
    "prefill_chunk": "--prefill-chunk",
    "queue": "--queue",
    "gpu_layers": "--gpu-layers",
    "kv_cache_dtype": "--kv-type",
    "speculative": "--speculative",
    "lora": "--lora",
}
KV_TYPES = ("f32", "f16", "bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0")


class Llamacpp:
    formats = ("gguf",)
    environment = "llamacpp"
    options = (*FLAGS, "max_num_seqs", "prefix_caching", "binary")
    numbers = ("kv_tokens", "batch", "prefill_chunk", "queue", "gpu_layers")
    bench_body: Mapping[str, object] = {"ignore_eos": True}

    def server(
        self,
        artifact: Artifact,
        *,
        options: Mapping[str, str],
        env: Env | None,
        port: int,
        parallel: int,
    ) -> ServerSpec:
        if artifact.path is None or (env is None and "binary" not in options):
            raise EnvironmentMissing("engine 'llamacpp' needs an environment and a model file")
        if "binary" in options:
            return _llama_server(artifact, artifact.path, options, port=port, parallel=parallel)
        assert env is not None
        argv = [
            env.python,
            "{workers}",
            "llamacpp.server",
            "--model",
            artifact.path,
            "--name",
            artifact.reference,
            "--port",
            str(port),
            "--parallel",
            options.get("max_num_seqs", str(parallel)),
        ]
        for name, flag in FLAGS.items():
            if name in options:
                argv += [flag, options[name]]
        if not is_on(options, "prefix_caching", default=True):
            argv.append("--no-prefix-reuse")
        return ServerSpec(
            engine="llamacpp",
            argv=tuple(argv),
            url=f"http://127.0.0.1:{port}",
            model=artifact.reference,
        )

    def check(self, options: Mapping[str, str]) -> None:
        """Raises: UsageError for values that this engine cannot have."""
        if (kind := options.get("kv_cache_dtype", "f16")) not in KV_TYPES:
            raise UsageError(
                f"llama.cpp has no KV cache of {kind}", hint=f"it has {', '.join(KV_TYPES)}"
            )
        if (kind := speculation_of(options)[0]) in ("medusa", "eagle"):
            raise UsageError(
                f"llamacpp has no {kind} heads",
                hint="ngram:5 or draft:PATH; --backend vllm has them",
            )
        if "binary" in options and "lora" in options:
            raise UsageError(
                "llama-server does not choose adapters by model name", hint="leave binary= out"
            )


def _llama_server(
    artifact: Artifact, path: str, options: Mapping[str, str], *, port: int, parallel: int
) -> ServerSpec:
    """llama.cpp's own server. Its context is for all sequences together, ours for each."""
    sequences = int(options.get("max_num_seqs", str(parallel)))
    context = int(options.get("max_model_len", "1024"))
    argv = [
        options["binary"],
        "--model",
        path,
        "--alias",
        artifact.reference,
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
    ]
    for name, flag in (
        ("threads", "--threads"),
        ("batch", "--batch-size"),
        ("gpu_layers", "--n-gpu-layers"),
    ):
        if name in options:
            argv += [flag, options[name]]
    if not is_on(options, "prefix_caching", default=True):
        argv.append("--no-cache-prompt")
    if "kv_cache_dtype" in options:
        argv += [
            "--cache-type-k",
            options["kv_cache_dtype"],
            "--cache-type-v",
            options["kv_cache_dtype"],
        ]
    kind, draft, tokens = speculation_of(options)
    if kind == "ngram":
        argv += [
            "--spec-type",
            "ngram-simple",
            "--spec-ngram-simple-size-n",
            "3",
            "--spec-ngram-simple-size-m",
            str(tokens),
        ]
    elif kind == "draft":
        argv += [
            "--spec-type",
            "draft-simple",
            "--model-draft",
            draft,
            "--spec-draft-n-max",
            str(tokens),
        ]
    return ServerSpec(
        engine="llamacpp",
        argv=tuple(argv),
        url=f"http://127.0.0.1:{port}",
        model=artifact.reference,
    )
