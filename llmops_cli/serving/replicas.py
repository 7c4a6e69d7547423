"""A model and an engine's name become a running server's URL, kept running until the block ends."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from llmops_cli.core.errors import LlmopsError
from llmops_cli.core.progress import Progress
from llmops_cli.core.spec import ServerSpec
from llmops_cli.engines import checked_options, load_engine
from llmops_cli.models.prepare import for_engine, with_parts
from llmops_cli.runtime.env import ensure_env, find_env
from llmops_cli.runtime.server import free_port, running

PARALLEL = 16
LOOK_S = 0.5
PAUSE_MOST_S = 60.0
STABLE_S = 60.0


@contextmanager
def started(
    model: str,
    backend: str,
    options: Mapping[str, str],
    folder: Path,
    *,
    replicas: int = 1,
    progress: Progress,
    on_wait: Callable[[float], None],
    say: Callable[[str], None],
) -> Iterator[list[str]]:
    """The URLs of the engine's replicas, ready. One that ends is started again at the same address,
    after a pause that grows; all are stopped when the block ends. Their logs are in `folder`.
    """
    engine = load_engine(backend)
    checked = checked_options(backend, engine, dict(options))
    if engine.environment:
        ensure_env(engine.environment, on_line=say)
    artifact = with_parts(
        engine,
        for_engine(engine, model, progress=progress),
        checked,
        progress=progress,
    )
    env = find_env(engine.environment) if engine.environment else None
    with ExitStack() as stack:
        urls = []
        for number in range(replicas):
            spec = engine.server(
                artifact, options=checked, env=env, port=free_port(), parallel=PARALLEL
            )
            log = folder / f"{spec.engine}-{number}.log"
            urls.append(stack.enter_context(_kept(spec, log, on_wait=on_wait, say=say)))
        yield urls


@contextmanager
def _kept(
    spec: ServerSpec, log: Path, *, on_wait: Callable[[float], None], say: Callable[[str], None]
) -> Iterator[str]:
    """A server that is started again when it ends. The first start must succeed."""
    if not spec.argv:
        with running(spec, log_path=log, on_wait=on_wait) as server:
            yield server.url
        return
    over = threading.Event()
    ready = threading.Event()
    failure: list[BaseException] = []

    def look_after() -> None:
        pause_s = 1.0
        while not over.is_set():
            began = time.monotonic()
            try:
                with running(
                    spec, log_path=log, on_wait=None if ready.is_set() else on_wait
                ) as server:
                    ready.set()
                    while not over.wait(LOOK_S):
                        server.check_alive()
            except LlmopsError as error:
                if not ready.is_set():
                    failure.append(error)
                    ready.set()
                    return
                pause_s = (
                    1.0 if time.monotonic() - began > STABLE_S else min(PAUSE_MOST_S, pause_s * 2)
                )
                say(f"{error.message}; it is started again in {pause_s:.0f} s")
                over.wait(pause_s)

    keeper = threading.Thread(target=look_after, name=f"keeps {spec.engine}", daemon=True)
    keeper.start()
    try:
        ready.wait()
        if failure:
            raise failure[0]
        yield spec.url
    finally:
        over.set()
        keeper.join()
