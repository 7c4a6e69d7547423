"""A server with scripted delays: the ruler that measurements are checked against. Runs no model."""

from __future__ import annotations

import sys

from llmops_cli.core.artifact import Artifact
from llmops_cli.core.spec import Env, ServerSpec
from llmops_cli.engines.engine import EngineFacts
from llmops_cli.engines.options import EngineOptions

NUMBERS = (
    "ttft_ms",
    "itl_ms",
    "prefill_tokens_per_s",
    "crowding",
    "jitter",
    "start_s",
    "leak_kb",
)
COUNTS = (
    "max_num_seqs",
    "kv_tokens",
    "queue",
    "tokens",
    "tokens_per_chunk",
    "seed",
    "die_after",
    "fail_every",
    "error_every",
    "busy_every",
    "silent_every",
    "slow_headers_every",
    "wrong_length_every",
    "stall_every",
    "reset_every",
    "half_every",
    "malformed_every",
)
OPTIONS = (*NUMBERS, *COUNTS)
FLAGS = {name: f"--{name.replace('_', '-')}" for name in OPTIONS}


class Sim:
    facts = EngineFacts(options=OPTIONS, numbers=NUMBERS, counts=COUNTS)

    def check(self, options: EngineOptions) -> None:
        """Takes every number."""

    def server(
        self,
        artifact: Artifact,
        *,
        options: EngineOptions,
        env: Env | None,
        port: int,
        parallel: int,
    ) -> ServerSpec:
        python = env.python if env else sys.executable
        argv = [python, "{workers}", "sim.server", "--port", str(port), *options.arguments(FLAGS)]
        return ServerSpec(
            engine="sim", argv=tuple(argv), url=f"http://127.0.0.1:{port}", model="sim"
        )
