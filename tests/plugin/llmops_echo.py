"""An engine in a package of its own, as a plugin's author would write it."""

from __future__ import annotations

import sys
from collections.abc import Mapping

from llmops_cli.core.artifact import Artifact
from llmops_cli.core.spec import Env, ServerSpec


class Echo:
    formats = ()
    environment = None
    options = ("max_num_seqs",)
    bench_body: Mapping[str, object] = {}

    def server(
        self, artifact: Artifact, *, options: Mapping[str, str], env: Env | None, port: int, parallel: int
    ) -> ServerSpec:
        python = env.python if env else sys.executable
        argv = (python, "{workers}/sim_server.py", "--port", str(port), "--ttft-ms", "3", "--itl-ms", "1",
                "--max-num-seqs", options.get("max_num_seqs", str(parallel)))  # fmt: skip
        return ServerSpec(engine="echo", argv=argv, url=f"http://127.0.0.1:{port}", model="sim")
