"""CTranslate2's Generator behind a worker that batches; Hugging Face folders are converted on first
use.
"""

from __future__ import annotations

from collections.abc import Mapping

from llmops_cli.core.artifact import Artifact
from llmops_cli.core.errors import EnvironmentMissing
from llmops_cli.core.spec import Env, ServerSpec

QUIET = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}


class Ctranslate2:
    formats = ("ct2",)
    environment = "ctranslate2"
    options = ("dtype", "max_num_seqs", "max_model_len", "threads", "device")
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
                "engine 'ctranslate2' needs an environment and a converted model"
            )
        argv = [
            env.python,
            "{workers}",
            "ct2.server",
            "--model",
            artifact.path,
            "--name",
            artifact.reference,
            "--port",
            str(port),
            "--max-num-seqs",
            options.get("max_num_seqs", str(parallel)),
        ]
        for name in ("dtype", "max_model_len", "threads", "device"):
            if name in options:
                argv += [f"--{name.replace('_', '-')}", options[name]]
        return ServerSpec(
            engine="ctranslate2",
            argv=tuple(argv),
            url=f"http://127.0.0.1:{port}",
            model=artifact.reference,
            env=QUIET,
        )
