"""A model and an engine's name become a running server's URL."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from llmops_cli.engines import checked_options, load_engine
from llmops_cli.pipeline.models import OnEvent, for_engine, with_parts
from llmops_cli.runtime.env import ensure_env, find_env
from llmops_cli.runtime.server import free_port, running

PARALLEL = 16


@contextmanager
def started(
    model: str, backend: str, options: Mapping[str, str], folder: Path, *, on_event: OnEvent,
    on_wait: Callable[[float], None], say: Callable[[str], None],
) -> Iterator[str]:  # fmt: skip
    """The URL of the engine, ready; stopped when the block ends. Its log is in `folder`."""
    engine = load_engine(backend)
    checked = checked_options(backend, engine, dict(options))
    if engine.environment:
        ensure_env(engine.environment, on_line=say)
    artifact = with_parts(engine, for_engine(engine, model, on_event=on_event, warn=say), checked, on_event=on_event,
                          warn=say)  # fmt: skip
    env = find_env(engine.environment) if engine.environment else None
    spec = engine.server(artifact, options=checked, env=env, port=free_port(), parallel=PARALLEL)
    with running(spec, log_path=folder / f"{spec.engine}.log", on_wait=on_wait) as server:
        yield server.url
