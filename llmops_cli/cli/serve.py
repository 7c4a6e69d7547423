"""`llmops serve`."""

from __future__ import annotations

from pathlib import Path

import typer


def register(app: typer.Typer) -> None:
    app.command()(serve)


def serve(
    model: str = typer.Argument(None, help="A folder, a .gguf file, a hub name, or demo.  [default: demo]"),
    backend: str = typer.Option(None, help="The engine that is started for it.  [default: llamacpp]"),
    upstream: str = typer.Option(None, help="Front this endpoint instead: http://127.0.0.1:9000/v1"),
    host: str = typer.Option("127.0.0.1", help="Wider addresses need a key to exist."),
    port: int = typer.Option(8080, min=1, max=65535, help="Where to listen."),
    keys: bool = typer.Option(True, "--keys/--no-keys", help="Ask for a key; without only on 127.0.0.1."),
    guard: str = typer.Option(None, help="Judge prompts and answers: default, or a policy file."),
    audit: bool = typer.Option(True, "--audit/--no-audit", help="A line a request in LLMOPS_STATE_DIR/audit.jsonl."),
    upstream_key_env: str = typer.Option(None, help="The variable that holds the upstream's own key."),
    tls_cert: Path = typer.Option(None, help="PEM certificate; serves HTTPS."),
    tls_key: Path = typer.Option(None, help="Its private key."),
    set_: list[str] = typer.Option(None, "--set", help="key=value for the engine. May be repeated."),
) -> None:
    """A gateway with keys, limits, guard, metrics and audit log, in front of an endpoint or of an engine it starts."""
    import os
    from contextlib import ExitStack
    from tempfile import TemporaryDirectory

    from llmops_cli.cli.screen import Progress, say
    from llmops_cli.cli.settings import parse_set
    from llmops_cli.core.errors import EnvironmentMissing, UsageError
    from llmops_cli.pipeline.engine import started
    from llmops_cli.serve.run import serve as run

    if upstream and (model or backend):
        raise UsageError("--upstream fronts what runs already, without MODEL or --backend")
    if upstream and not upstream.startswith(("http://", "https://")):
        raise UsageError(f"--upstream {upstream} is no URL", hint="http://127.0.0.1:9000/v1")
    if bool(tls_cert) != bool(tls_key):
        raise UsageError("--tls-cert and --tls-key go together")
    upstream_key = None
    if upstream_key_env:
        upstream_key = os.environ.get(upstream_key_env, "").strip()
        if not upstream_key:
            raise EnvironmentMissing(f"the environment variable {upstream_key_env} is not set")
    with TemporaryDirectory(prefix="llmops-") as scratch, ExitStack() as stack:
        url = upstream
        if url is None:
            with Progress() as progress:
                url = stack.enter_context(started(
                    model or "demo", backend or "llamacpp", parse_set(set_) or {}, Path(scratch), say=say,
                    on_event=progress.event, on_wait=lambda s: progress.update("starting, seconds", round(s), 0),
                ))  # fmt: skip
        run(url, host=host, port=port, keys_required=keys, guard=guard, audit=audit, upstream_key=upstream_key,
            tls=(tls_cert, tls_key) if tls_cert and tls_key else None, say=say)  # fmt: skip
