"""Engines behind a gateway: several of one kind, each started again at its address when it ends."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from llmops_cli.core.errors import LlmopsError
from llmops_cli.core.progress import Progress, Silent
from llmops_cli.core.spec import Cause, ServerSpec
from llmops_cli.engines.causes import explain
from llmops_cli.runtime.server import ReadyServer, free_port, running
from llmops_cli.serving.target import EngineTarget, prepare_target

PARALLEL = 16
LOOK_S = 0.5
FIRST_PAUSE_S = 1.0
PAUSE_MOST_S = 60.0
STABLE_S = 60.0
"""An engine that lived so long is started again after the first pause, not the next longer one."""


class StartedEngines(NamedTuple):
    """`digest`: of the model that all of them have; empty: not known."""

    urls: list[str]
    digest: str


@contextmanager
def replicas(
    target: EngineTarget,
    *,
    count: int,
    folder: Path,
    progress: Progress,
) -> Iterator[StartedEngines]:
    """`count` engines, ready; all are stopped when the block ends.

    One that ends is started again at the same address, after a pause that grows. Their logs stay
    in `folder`. Raises: what the first start of one raises.
    """
    prepared = prepare_target(target, progress=progress)
    causes = prepared.facts.causes
    with ExitStack() as stack:
        urls = []
        for number in range(count):
            spec = prepared.spec(port=free_port(), parallel=PARALLEL)
            log = folder / f"{spec.engine}-{number}.log"
            keeper = _Keeper(spec, log, causes, progress)
            url = stack.enter_context(keeper.kept())
            urls.append(url)
        yield StartedEngines(urls, prepared.artifact.digest or "")


class _Keeper:
    """Looks after one server in a thread."""

    def __init__(
        self,
        spec: ServerSpec,
        log: Path,
        causes: tuple[Cause, ...],
        progress: Progress,
    ) -> None:
        self._spec = spec
        self._log = log
        self._causes = causes
        self._progress = progress
        self._over = threading.Event()
        self._settled = threading.Event()
        """Set once the first start has succeeded or failed."""
        self._failure: BaseException | None = None

    @contextmanager
    def kept(self) -> Iterator[str]:
        """Its URL. The first start must succeed."""
        if not self._spec.argv:
            with self._running(self._progress) as server:
                yield server.url
            return
        thread = threading.Thread(
            target=self._look_after,
            name=f"keeps {self._spec.engine}",
            daemon=True,
        )
        thread.start()
        try:
            self._settled.wait()
            if self._failure is not None:
                raise self._failure
            yield self._spec.url
        finally:
            self._over.set()
            thread.join()

    def _look_after(self) -> None:
        pause_s = FIRST_PAUSE_S / 2
        while not self._over.is_set():
            began = time.monotonic()
            try:
                self._run_once()
            except BaseException as error:  # the main thread raises it
                if not self._settled.is_set():
                    self._failure = error
                    self._settled.set()
                    return
                if not isinstance(error, LlmopsError):
                    raise
                lived_s = time.monotonic() - began
                pause_s = _next_pause_s(pause_s, lived_s)
                self._progress.warn(f"{error.message}; it is started again in {pause_s:.0f} s")
                self._over.wait(pause_s)

    def _run_once(self) -> None:
        """Until it ends or all is over."""
        watcher = Silent() if self._settled.is_set() else self._progress
        with self._running(watcher) as server:
            self._settled.set()
            while not self._over.wait(LOOK_S):
                server.check_alive()

    def _running(self, progress: Progress) -> AbstractContextManager[ReadyServer]:
        return running(
            self._spec,
            log_path=self._log,
            progress=progress,
            explain=self._explain,
        )

    def _explain(self, log: str) -> Cause | None:
        return explain(log, self._causes)


def _next_pause_s(pause_s: float, lived_s: float) -> float:
    """Twice the last one, but for an engine that had lived long."""
    if lived_s > STABLE_S:
        return FIRST_PAUSE_S
    return min(PAUSE_MOST_S, pause_s * 2)
