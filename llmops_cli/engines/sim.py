"""A server with scripted delays: the ruler that measurements are checked against. Runs no model."""

from __future__ import annotations

import sys
from collections.abc import Mapping

from llmops_cli.core.artifact import Artifact
from llmops_cli.core.spec import Env, ServerSpec


class Sim:
    formats = ()
    environment = None
    options = (
        "ttft_ms",
        "itl_ms",
        "prefill_tokens_per_s",
        "crowding",
        "jitter",
        "max_num_seqs",
        "kv_tokens",
        "queue",
        "tokens",
        "tokens_per_chunk",
        "seed",
        "start_s",
        "leak_kb",
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
    numbers = options
    bench_body: Mapping[str, object] = {}

    def server(
        self,
        artifact: Artifact,
        *,
        options: Mapping[str, str],
        env: Env | None,
        port: int,
        parallel: int,
    ) -> ServerSpec:
        argv = [
            env.python if env else sys.executable,
            "{workers}",
            "sim.server",
            "--port",
            str(port),
        ]
        for name, value in options.items():
            argv += [f"--{name.replace('_', '-')}", value]
        return ServerSpec(
            engine="sim", argv=tuple(argv), url=f"http://127.0.0.1:{port}", model="sim"
        )
