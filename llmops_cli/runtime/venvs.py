"""Making virtual environments with uv or pip: whole or not at all, and gone with us if we die."""

from __future__ import annotations

import os
import shutil
import subprocess
import venv
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from llmops_cli.core.errors import EngineFailed, EnvironmentMissing, UsageError, unknown_name
from llmops_cli.core.progress import Progress
from llmops_cli.runtime.files import cannot_write, locked, size_of
from llmops_cli.runtime.imports import missing_modules
from llmops_cli.runtime.process import Supervised
from llmops_cli.runtime.requirements import Requirements, known_environments

FINISHED = "llmops-finished"
"""A file in an environment whose installation came to its end."""
LOOK_EVERY_S = 0.2
LEAST_FREE_BYTES = 50_000_000
"""With less, a failed installation is one of a full disk."""


def problem_of(
    wanted: Requirements,
    *,
    anew: bool = False,
    imported: Collection[str] = (),
) -> str | None:
    """What is wrong with an environment that we made; None if it can be used.

    `imported`: modules that its Python was just seen to import. Raises: EnvironmentMissing for
    one that its maker keeps to itself, which must not be made again.
    """
    if not _is_there(wanted, wanted.folder / FINISHED):
        return "its installation did not come to an end"
    python = str(wanted.python)
    missing = missing_modules(python, wanted.modules, anew=anew, imported=imported)
    if not missing:
        return None
    return f"its Python {missing}"


def is_begun(wanted: Requirements) -> bool:
    """Whether there is a folder of it. Raises: EnvironmentMissing where that cannot be seen."""
    return _is_there(wanted, wanted.folder)


def _is_there(wanted: Requirements, place: Path) -> bool:
    try:
        place.stat()  # Path.exists says no of what may not be seen, from Python 3.14 on
    except PermissionError as error:
        raise EnvironmentMissing(
            f"environment '{wanted.name}' cannot be read: {wanted.folder} is its maker's alone",
            hint=f"its maker: chmod -R a+rX {wanted.folder.parent}; or set XDG_CACHE_HOME to a "
            "folder of yours",
        ) from error
    except OSError:
        return False
    return True


def make_venv(wanted: Requirements, progress: Progress) -> None:
    """Makes it, or leaves the one that is there if its libraries can be imported."""
    with locked(wanted.folder):
        if is_begun(wanted) and problem_of(wanted, anew=True) is None:
            return
        progress.say(
            f"creating environment '{wanted.name}' from {wanted.path.name} in {wanted.folder}: "
            f"downloads about {wanted.download or 'some packages'}, once"
        )
        shutil.rmtree(wanted.folder, ignore_errors=True)
        try:
            _make(wanted, progress)
        except BaseException:
            shutil.rmtree(wanted.folder, ignore_errors=True)
            raise


def remove_env(name: str) -> tuple[Path, int]:
    """Deletes the environment that `create_env` made; its place and size in bytes."""
    known = known_environments()
    if name not in known:
        raise unknown_name("environment", name, known)
    target = known[name].folder
    with locked(target):
        if not target.exists():
            raise UsageError(
                f"environment '{name}' was not created by llmops", hint="llmops env list"
            )
        size = size_of(target)
        shutil.rmtree(target)
    return target, size


def _make(wanted: Requirements, progress: Progress) -> None:
    """In place, since console scripts hold their own path; the finished mark comes last."""
    uv = shutil.which("uv")
    _create_folder(wanted, with_pip=uv is None)
    python = str(wanted.python)
    tool = [uv, "pip"] if uv else [python, "-m", "pip"]
    into = ["--python", python] if uv else ["--disable-pip-version-check"]
    install = _Installer(wanted, progress)
    install([*tool, "install", *into, "-r", str(wanted.path)])
    if wanted.uninstall:
        yes = [] if uv else ["-y"]
        install([*tool, "uninstall", *into, *yes, *wanted.uninstall])
    if wanted.metadata:
        _write_metadata(python, *wanted.metadata)
    missing = missing_modules(python, wanted.modules, anew=True)
    if missing:
        raise EngineFailed(
            f"environment '{wanted.name}' was installed and still its Python {missing}"
        )
    (wanted.folder / FINISHED).touch()


def _create_folder(wanted: Requirements, *, with_pip: bool) -> None:
    try:
        venv.create(wanted.folder, with_pip=with_pip, symlinks=True)
    except OSError as error:
        raise cannot_write(wanted.folder, error) from error
    except subprocess.CalledProcessError as error:
        raise _full_disk(wanted) or EngineFailed(
            f"cannot create {wanted.folder}", hint="Debian: apt-get install python3-venv"
        ) from error


class _Installer:
    """Runs pip or uv so that it ends with us, its lines as progress."""

    def __init__(self, wanted: Requirements, progress: Progress) -> None:
        self._wanted = wanted
        self._progress = progress
        self._log = wanted.folder.with_name(f".{wanted.folder.name}.log")
        self._lines = 0

    def __call__(self, argv: Sequence[str]) -> None:
        """Raises: EngineFailed with the tool's last lines; EnvironmentMissing for a full disk."""
        self._log.unlink(missing_ok=True)
        process = Supervised(argv, env=_find_links(), log_path=self._log)
        try:
            code = None
            read = _tail(self._log, self._show)
            while code is None:
                code = process.wait(LOOK_EVERY_S)
                read()
        finally:
            process.stop()
        if code:
            raise _full_disk(self._wanted) or EngineFailed(
                f"could not install {self._wanted.path}", hint=process.log_tail(6)
            )
        self._log.unlink(missing_ok=True)

    def _show(self, line: str) -> None:
        self._lines += 1
        said = line.strip()
        if said:
            stage = f"environment {self._wanted.name}"
            self._progress.update(stage, self._lines, note=said[:90])


def _tail(path: Path, on_line: Callable[[str], None]) -> Callable[[], None]:
    """Each call shows the whole lines that were added since the last."""
    offset = 0

    def read() -> None:
        nonlocal offset
        with path.open("rb") as file:
            file.seek(offset)
            block = file.read()
        end = block.rfind(b"\n") + 1
        offset += end
        text = block[:end].decode(errors="replace")
        for line in text.splitlines():
            on_line(line)

    return read


def _find_links() -> dict[str, str]:
    """What uv should know by its own name, not pip's."""
    links = os.environ.get("UV_FIND_LINKS") or os.environ.get("PIP_FIND_LINKS")
    if not links:
        return {}
    return {"UV_FIND_LINKS": links}


def _full_disk(wanted: Requirements) -> EnvironmentMissing | None:
    place = wanted.folder if wanted.folder.exists() else wanted.folder.parent
    if shutil.disk_usage(place).free > LEAST_FREE_BYTES:
        return None
    return EnvironmentMissing(
        f"no space left making environment '{wanted.name}' in {wanted.folder.parent}",
        hint="free some space, or set XDG_CACHE_HOME to a folder on another disk",
    )


def _write_metadata(
    python: str,
    package: str,
    version: str,
) -> None:
    code = "import sysconfig; print(sysconfig.get_paths()['purelib'])"
    run = subprocess.run(
        [python, "-c", code],
        capture_output=True,
        text=True,
        check=True,
    )
    folder = Path(run.stdout.strip()) / f"{package}-{version}.dist-info"
    folder.mkdir(exist_ok=True)
    (folder / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n", encoding="utf-8"
    )
