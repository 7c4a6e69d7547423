"""An engine by itself, without a gateway, until it is told to stop."""

from __future__ import annotations

import shutil
import signal
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import msgspec

from llmops_cli.core.errors import EngineFailed, EnvironmentMissing, UsageError
from llmops_cli.core.progress import Progress
from llmops_cli.runtime.endings import heard_endings
from llmops_cli.runtime.paths import at_home, cache_dir
from llmops_cli.runtime.server import HOST
from llmops_cli.serving.recipe import EngineRecipe
from llmops_cli.serving.start import RunningServer, started
from llmops_cli.serving.target import REMOTE, EngineTarget, check_target

LOOK_EVERY_S = 0.2


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """An engine that answers now. `versions`: of the packages that make it."""

    url: str
    model: str
    engine: str
    log: str
    versions: dict[str, str]


Tell = Callable[[Standing], None]


def run_engine(recipe: EngineRecipe, *, progress: Progress, tell: Tell) -> None:
    """Until Ctrl-C or SIGTERM once it answers; nothing of it is left then.

    Raises: UsageError and EnvironmentMissing before anything is started, EngineFailed.
    """
    target = _target(recipe)
    if recipe.port is not None:
        require_free(recipe.port)
    if recipe.logs is not None:
        _serve(recipe, target, _kept_folder(recipe.logs), progress=progress, tell=tell)
        return
    with _passing_folder() as folder:
        _serve(recipe, target, folder, progress=progress, tell=tell)


def _serve(
    recipe: EngineRecipe,
    target: EngineTarget,
    folder: Path,
    *,
    progress: Progress,
    tell: Tell,
) -> None:
    engine = started(
        target,
        folder=folder,
        parallel=recipe.parallel,
        progress=progress,
        port=recipe.port,
    )
    with engine as server, _interrupts() as end:
        tell(_standing(server))
        while not end.is_asked:
            time.sleep(LOOK_EVERY_S)
            server.check_alive()


class _End:
    """A plain field: the signal may come while a lock is held, which an Event's handler awaits."""

    def __init__(self) -> None:
        self.is_asked = False

    def ask(self, _number: int, _frame: FrameType | None) -> None:
        self.is_asked = True


@contextmanager
def _interrupts() -> Iterator[_End]:
    """Ctrl-C and SIGTERM ask for it: an exception is lost where one is passed over (finalizers)."""
    end = _End()
    before = {each: signal.signal(each, end.ask) for each in heard_endings()}
    try:
        yield end
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def _target(recipe: EngineRecipe) -> EngineTarget:
    """Raises: UsageError for an engine or options that there are not."""
    if recipe.engine is None:
        raise UsageError("which engine?", hint="llmops engines start llamacpp --model demo")
    if recipe.engine == REMOTE:
        raise UsageError(
            "remote is a server that runs already, so there is nothing to start",
            hint="llmops serve --upstream URL puts a gateway before it",
        )
    target = EngineTarget(backend=recipe.engine, model=recipe.model, options=recipe.options)
    check_target(target)
    return target


def require_free(port: int) -> None:
    """Raises: EnvironmentMissing for a port that somebody has."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise EnvironmentMissing(
                f"cannot listen at {HOST}:{port}: {error.strerror}", hint="choose another --port"
            ) from None


@contextmanager
def _passing_folder() -> Iterator[Path]:
    """For a log that goes with the engine, unless the engine failed: the error names the log."""
    logs = cache_dir() / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="engine-", dir=logs))
    try:
        yield folder
    except EngineFailed:
        raise
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    shutil.rmtree(folder, ignore_errors=True)


def _kept_folder(chosen: str) -> Path:
    """Raises: UsageError for a path that is no folder."""
    folder = at_home(chosen)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise UsageError(f"{chosen} is a file", hint="--logs FOLDER") from None
    return folder


def _standing(server: RunningServer) -> Standing:
    return Standing(
        url=f"{server.url}/v1",
        model=server.model,
        engine=server.engine,
        log=str(server.log),
        versions=server.versions(),
    )
