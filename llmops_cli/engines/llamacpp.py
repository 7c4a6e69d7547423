"""llama.cpp through llama-cpp-python's batch API, served by workers/llamacpp_server."""

from __future__ import annotations

from collections.abc import Mapping

from llmops_cli.core.artifact import Artifact
from llmops_cli.core.errors import EnvironmentMissing
from llmops_cli.core.spec import Env, ServerSpec

FLAGS = ("ctx", "kv_tokens", "batch", "prefill_chunk", "queue", "threads", "gpu_layers")


class Llamacpp:
    formats = ("gguf",)
    environment = "llamacpp"
    options = (*FLAGS, "parallel", "prefix_reuse")
    bench_body: Mapping[str, object] = {"ignore_eos": True}

    def server(
        self, artifact: Artifact, *, options: Mapping[str, str], env: Env | None, port: int, parallel: int
    ) -> ServerSpec:
        if env is None or artifact.path is None:
            raise EnvironmentMissing("engine 'llamacpp' needs an environment and a model file")
        flags = {name: options[name] for name in FLAGS if name in options}
        argv = [
            env.python, "{workers}/llamacpp_server", "--model", artifact.path, "--name", artifact.reference,
            "--port", str(port), "--parallel", options.get("parallel", str(parallel)),
        ]  # fmt: skip
        for name, value in flags.items():
            argv += [f"--{name.replace('_', '-')}", value]
        if options.get("prefix_reuse", "true").lower() in ("false", "0", "no"):
            argv.append("--no-prefix-reuse")
        return ServerSpec(engine="llamacpp", argv=tuple(argv), url=f"http://127.0.0.1:{port}", model=artifact.reference)
