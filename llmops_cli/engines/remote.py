"""A server that already runs somewhere and answers OpenAI-style HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from llmops_cli.core.artifact import Artifact
from llmops_cli.core.errors import UsageError
from llmops_cli.core.spec import Env, ServerSpec


class Remote:
    formats = ()
    environment = None
    options = ("url",)
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
        url = options.get("url", "").rstrip("/").removesuffix("/v1")
        if not url:
            raise UsageError("backend 'remote' needs a server", hint="--url http://127.0.0.1:8000")
        if not url.startswith(("http://", "https://")):
            raise UsageError(f"'{url}' is no http(s) URL", hint="--url http://127.0.0.1:8000")
        if "@" in urlsplit(url).netloc:
            raise UsageError(
                "a password in --url would be saved in the report",
                hint="--header 'Authorization: $MY_AUTH' instead",
            )
        return ServerSpec(
            engine="remote",
            argv=(),
            url=url,
            model=artifact.reference,
        )
