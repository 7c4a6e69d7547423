"""Transformers: its own server with continuous batching, or plain static batches, the baseline."""

from __future__ import annotations

from llmops_cli.core.artifact import Artifact
from llmops_cli.core.errors import EnvironmentMissing, UsageError
from llmops_cli.core.spec import Cause, Env, ServerSpec
from llmops_cli.engines.engine import LOADS, EngineFacts
from llmops_cli.engines.options import INTEGERS, EngineOptions

BATCHING = ("continuous", "static")
FLAGS = {
    "dtype": "--dtype",
    "max_model_len": "--max-model-len",
    "attention": "--attention",
    "threads": "--threads",
    "speculative": "--speculative",
    "lora": "--lora",
    "device": "--device",
}
QUIET = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
}

ASYMMETRIC = Cause(
    pattern="ignore_mismatched_sizes",
    cause="tensors of the files have other shapes than Transformers expects; it cannot read "
    "asymmetric 4-bit weights of compressed-tensors (awq)",
    hint="--backend vllm, or llmops quantize --method gptq",
)


class Transformers:
    """Measuring the quality of a quantized folder has loaded it, so serving it proves no more."""

    facts = EngineFacts(
        formats=("hf", "compressed-tensors"),
        environment="transformers",
        options=(*FLAGS, "max_num_seqs", "batching"),
        loads_at=LOADS,
        packages=("transformers", "torch", "accelerate", "peft", "compressed-tensors"),
        bench_body={"ignore_eos": True},
        causes=(ASYMMETRIC,),
        checks_artifacts=False,
        makes_vectors=True,
    )

    def check(self, options: EngineOptions) -> None:
        """Raises: UsageError for values that this engine cannot have."""
        batching = options.own.get("batching", "continuous")
        if batching not in BATCHING:
            raise UsageError(f"batching={batching}: no such value", hint="continuous or static")
        if options.dtype in INTEGERS:
            raise UsageError(
                "transformers computes in float32, float16 or bfloat16",
                hint="--backend ctranslate2 has int8 and int16",
            )
        given = [name for name in ("speculative", "lora") if options.text(name) is not None]
        if batching == "continuous" and given:
            raise UsageError(
                f"continuous batching has no --{given[0]}", hint="--set batching=static has"
            )
        guess = options.speculative
        if guess is not None and guess.kind in ("medusa", "eagle"):
            raise UsageError(
                f"transformers has no {guess.kind} heads",
                hint="ngram:5 or draft:PATH; --backend vllm has them",
            )

    def server(
        self,
        artifact: Artifact,
        *,
        options: EngineOptions,
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
            artifact.served_name,
            "--port",
            str(port),
            "--batching",
            options.own.get("batching", "continuous"),
            "--max-num-seqs",
            str(options.max_num_seqs or parallel),
            *options.arguments(FLAGS),
        ]
        return ServerSpec(
            engine="transformers",
            argv=tuple(argv),
            url=f"http://127.0.0.1:{port}",
            model=artifact.served_name,
            env=QUIET,
        )
