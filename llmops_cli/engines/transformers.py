"""Transformers: its own server with continuous batching, or plain static batches as the baseline of
all claims.
"""

from __future__ import annotations

from collections.abc import Mapping

from llmops_cli.core.artifact import Artifact
from llmops_cli.core.errors import EnvironmentMissing, UsageError
from llmops_cli.core.options import speculation_of
from llmops_cli.core.spec import Env, ServerSpec

BATCHING = ("continuous", "static")
QUIET = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
}


class Transformers:
    formats = ("hf", "compressed-tensors", "gptq", "awq")
    environment = "transformers"
    options = (
        "dtype",
        "max_num_seqs",
        "attention",
        "threads",
        "speculative",
        "lora",
        "batching",
        "device",
    )
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
        if env is None or artifact.path is None:
            raise EnvironmentMissing(
                "engine 'transformers' needs an environment and a model folder"
            )
        argv = [
            env.python,
            "{workers}",
            "hf.server",
            "--model",
            artifact.path,
            "--name",
            artifact.reference,
            "--port",
            str(port),
            "--batching",
            options.get("batching", "continuous"),
            "--max-num-seqs",
            options.get("max_num_seqs", str(parallel)),
        ]
        for name in ("dtype", "attention", "threads", "speculative", "lora", "device"):
            if name in options:
                argv += [f"--{name}", options[name]]
        return ServerSpec(
            engine="transformers",
            argv=tuple(argv),
            url=f"http://127.0.0.1:{port}",
            model=artifact.reference,
            env=QUIET,
        )

    def check(self, options: Mapping[str, str]) -> None:
        """Raises: UsageError for values that this engine cannot have."""
        batching = options.get("batching", "continuous")
        if batching not in BATCHING:
            raise UsageError(f"batching={batching}: no such value", hint="continuous or static")
        if options.get("dtype") == "int8":
            raise UsageError(
                "transformers computes in float32, float16 or bfloat16",
                hint="--backend ctranslate2 has int8",
            )
        if batching == "continuous" and (
            given := [name for name in ("speculative", "lora") if name in options]
        ):
            raise UsageError(
                f"continuous batching has no --{given[0]}", hint="--set batching=static has"
            )
        kind = speculation_of(options)[0]
        if kind in ("medusa", "eagle"):
            raise UsageError(
                f"transformers has no {kind} heads",
                hint="ngram:5 or draft:PATH; --backend vllm has them",
            )
