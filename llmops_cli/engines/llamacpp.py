"""llama.cpp through llama-cpp-python's batch API, served by workers/llamacpp_server."""

from __future__ import annotations

from collections.abc import Mapping

from llmops_cli.core.artifact import Artifact
from llmops_cli.core.errors import EnvironmentMissing
from llmops_cli.core.options import is_on
from llmops_cli.core.spec import Env, ServerSpec

FLAGS = {
    "max_model_len": "--ctx",
    "threads": "--threads",
    "kv_tokens": "--kv-tokens",
    "batch": "--batch",
    "prefill_chunk": "--prefill-chunk",
    "queue": "--queue",
    "gpu_layers": "--gpu-layers",
}


class Llamacpp:
    formats = ("gguf",)
    environment = "llamacpp"
    options = (*FLAGS, "max_num_seqs", "prefix_caching")
    numbers = ("kv_tokens", "batch", "prefill_chunk", "queue", "gpu_layers")
    bench_body: Mapping[str, object] = {"ignore_eos": True}

    def server(
        self, artifact: Artifact, *, options: Mapping[str, str], env: Env | None, port: int, parallel: int
    ) -> ServerSpec:
        if env is None or artifact.path is None:
            raise EnvironmentMissing("engine 'llamacpp' needs an environment and a model file")
        argv = [
            env.python, "{workers}/llamacpp_server", "--model", artifact.path, "--name", artifact.reference,
            "--port", str(port), "--parallel", options.get("max_num_seqs", str(parallel)),
        ]  # fmt: skip
        for name, flag in FLAGS.items():
            if name in options:
                argv += [flag, options[name]]
        if not is_on(options, "prefix_caching", default=True):
            argv.append("--no-prefix-reuse")
        return ServerSpec(engine="llamacpp", argv=tuple(argv), url=f"http://127.0.0.1:{port}", model=artifact.reference)
