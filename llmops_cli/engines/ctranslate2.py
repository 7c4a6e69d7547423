"""CTranslate2's Generator behind a worker that batches; folders are converted first."""

from __future__ import annotations

from llmops_cli.core.artifact import Artifact
from llmops_cli.core.errors import EnvironmentMissing
from llmops_cli.core.spec import Cause, Env, ServerSpec
from llmops_cli.engines.engine import LOADS, EngineFacts
from llmops_cli.engines.options import EngineOptions

FLAGS = {
    "dtype": "--dtype",
    "max_model_len": "--max-model-len",
    "threads": "--threads",
    "device": "--device",
}
QUIET = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
}


INTEL_KERNELS = {"CT2_USE_MKL": "1"}
"""On processors of other makers CTranslate2 leaves these out, and with them int16."""
NO_SUCH_TYPE = Cause(
    pattern=r"Requested \w+ compute type, but the target device",
    cause="this device has no fast arithmetic of that type",
    hint="--dtype auto, float32 or int8",
)


class Ctranslate2:
    facts = EngineFacts(
        formats=("ct2",),
        environment="ctranslate2",
        options=(*FLAGS, "max_num_seqs"),
        loads_at=LOADS,
        packages=("ctranslate2", "transformers"),
        bench_body={"ignore_eos": True},
        causes=(NO_SUCH_TYPE,),
    )

    def check(self, options: EngineOptions) -> None:
        """Takes every value of the options that it has."""

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
                "engine 'ctranslate2' needs an environment and a converted model"
            )
        argv = [
            env.python,
            "{workers}",
            "ct2.server",
            "--model",
            artifact.path,
            "--name",
            artifact.served_name,
            "--port",
            str(port),
            "--max-num-seqs",
            str(options.max_num_seqs or parallel),
            *options.arguments(FLAGS),
        ]
        environment = QUIET
        if options.dtype == "int16":
            environment = QUIET | INTEL_KERNELS
        return ServerSpec(
            engine="ctranslate2",
            argv=tuple(argv),
            url=f"http://127.0.0.1:{port}",
            model=artifact.served_name,
            env=environment,
        )
