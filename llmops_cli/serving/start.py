"""The one way to a running server, whoever needs one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from llmops_cli.core.errors import UsageError
from llmops_cli.core.progress import Progress
from llmops_cli.core.report import Memory, StartUp
from llmops_cli.core.spec import Cause
from llmops_cli.engines import EngineFacts
from llmops_cli.engines.causes import explain
from llmops_cli.runtime.http import Http
from llmops_cli.runtime.page_cache import cached_share
from llmops_cli.runtime.runs import RunFolder
from llmops_cli.runtime.server import ReadyServer, ReadyTimes, free_port, running
from llmops_cli.serving.recognise import recognise, served_model
from llmops_cli.serving.target import EngineTarget, PreparedTarget, prepare_target

NO_LOG = Path("unused")
"""A server that we did not start writes none."""


class RunningServer:
    """A server that answers now.

    `server_name`: what a server that we did not start says it is. `log`, `startup`: None for such a
    one.
    """

    def __init__(
        self,
        ready: ReadyServer,
        prepared: PreparedTarget,
        *,
        server_name: str | None,
        log: Path | None,
        startup: StartUp | None = None,
    ) -> None:
        self._ready = ready
        self.startup = startup
        self.prepared = prepared
        self.server_name = server_name
        self.log = log

    @property
    def url(self) -> str:
        """Without a final /v1."""
        return self._ready.url

    @property
    def model(self) -> str:
        """The name by which requests ask for it."""
        return self._ready.spec.model

    @property
    def engine(self) -> str:
        return self._ready.spec.engine

    @property
    def facts(self) -> EngineFacts:
        return self.prepared.facts

    @property
    def python(self) -> str | None:
        """The engine's interpreter; None if it needs none of its own."""
        env = self.prepared.env
        if env is None:
            return None
        return env.python

    @property
    def pid(self) -> int | None:
        return self._ready.pid

    def versions(self) -> dict[str, str]:
        """Of the packages that can change its numbers, and the server's own word."""
        found = self.prepared.versions()
        if self.server_name:
            found["server"] = self.server_name
        return found

    def check_alive(self) -> None:
        """Raises: EngineFailed with the last log lines if the engine has ended."""
        self._ready.check_alive()

    def memory(self) -> Memory:
        """Peaks, once the block has ended; nothing for a server that we did not start."""
        return self._ready.memory()


@contextmanager
def started(
    target: EngineTarget | PreparedTarget,
    *,
    folder: Path | RunFolder,
    parallel: int,
    progress: Progress,
    log_name: str | None = None,
    http: Http | None = None,
    port: int | None = None,
) -> Iterator[RunningServer]:
    """A model and a backend, or a URL, as a running server; stopped when the block ends.

    `parallel`: requests at once that it should be able to compute. Its log, named after the engine
    or `log_name`, stays in `folder`. `http` reaches a server that runs already.
    `port`: where it listens; None for a free one.
    Raises: UsageError (also for a server that lists no models where nobody named one),
    EnvironmentMissing (also when nothing answers at a URL), EngineFailed.
    """
    if isinstance(target, EngineTarget):
        target = prepare_target(target, progress=progress)
    caller = http or Http()
    spec = target.spec(port=port or free_port(), parallel=parallel)
    causes = target.facts.causes
    server_name = None
    is_nameless = False
    log = None
    if spec.argv:
        log = _place_of(folder) / (log_name or f"{spec.engine}.log")
    else:
        server_name = recognise(caller, spec.url)
        if target.target.model is None:
            model = served_model(spec.url, caller)
            is_nameless = model is None
            spec = msgspec.structs.replace(spec, model=model or spec.model)

    def known(text: str) -> Cause | None:
        return explain(text, causes)

    share = None
    if spec.argv and target.artifact.path is not None:
        share = cached_share(Path(target.artifact.path))
    server = running(
        spec,
        log_path=log or NO_LOG,
        progress=progress,
        explain=known,
        http=caller,
        loads_at=target.facts.loads_at,
    )
    with server as ready:
        if is_nameless:
            raise UsageError(f"{spec.url} lists no models", hint="name one: --model NAME")
        startup = _startup_of(ready.times, share)
        yield RunningServer(ready, target, server_name=server_name, log=log, startup=startup)


def _startup_of(times: ReadyTimes | None, share: float | None) -> StartUp | None:
    if times is None:
        return None
    load_s = times.ready_s - (times.loading_s or 0.0)
    return StartUp(process_s=times.loading_s, load_s=load_s, cached_share=share)


def _place_of(folder: Path | RunFolder) -> Path:
    """A run's folder is made when this is asked."""
    if isinstance(folder, RunFolder):
        return folder.path
    return folder
