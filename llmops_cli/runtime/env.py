"""Named environments: which Python has an engine's libraries.

In order: the user's envs.yaml (name -> {python: PATH}), the environment that we made from
recipes/envs/NAME.txt, the current Python if the engine is importable there. NAME-cuda.txt is taken
instead where there is an NVIDIA GPU. Lines beginning with `#:` in those files are for us: modules,
download, uninstall, metadata.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import msgspec
import yaml

from llmops_cli.core.errors import EngineFailed, EnvironmentMissing, UsageError, unknown_name
from llmops_cli.core.spec import Env
from llmops_cli.runtime.hardware import probe_gpus
from llmops_cli.runtime.paths import cache_dir, config_dir, recipes_dir
from llmops_cli.runtime.store import cannot_write, locked, size_of

CUDA = "-cuda"
CHECK_TIMEOUT_S = 60.0
FINISHED = "llmops-finished"
"""A file in an environment whose installation came to its end."""


class Requirements(msgspec.Struct, frozen=True, kw_only=True):
    """recipes/envs/NAME.txt and its `#:` lines: what must be importable, what a creation fetches,
    and what is put right after the installation.
    """

    name: str
    path: Path
    modules: tuple[str, ...] = ()
    download: str = ""
    uninstall: tuple[str, ...] = ()
    metadata: tuple[str, ...] = ()

    @property
    def folder(self) -> Path:
        """Where its environment lies; another content or Python has another place."""
        key = hashlib.sha256(self.path.read_bytes() + sys.version.encode()).hexdigest()[:12]
        return cache_dir() / "envs" / f"{self.path.stem}-{key}"


class EnvStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One row of `llmops env list`: `python` is None where nothing provides the environment, and
    `problem` says why.
    """

    name: str
    requirements: str
    origin: str
    python: str | None
    problem: str | None = None
    download: str = ""


def known_environments() -> dict[str, Requirements]:
    """Environment name -> its requirements on this machine. Files of the user's own add to ours, or
    replace them.
    """
    folders = (recipes_dir() / "envs", config_dir() / "envs")
    files = {path.stem: path for folder in folders for path in sorted(folder.glob("*.txt"))}
    files.pop("constraints", None)
    names = [name for name in files if not name.endswith(CUDA)]
    with_gpu = any(name + CUDA in files for name in names) and bool(probe_gpus())
    return {
        name: _read(name, files.get(name + CUDA, files[name]) if with_gpu else files[name])
        for name in names
    }


def _read(name: str, path: Path) -> Requirements:
    fields: dict[str, str] = {}
    for line in path.read_text().splitlines():
        if line.startswith("#:"):
            key, _, value = line[2:].strip().partition(" ")
            fields[key] = value
    return Requirements(
        name=name,
        path=path,
        modules=tuple(fields.get("modules", "").split()),
        download=fields.get("download", ""),
        uninstall=tuple(fields.get("uninstall", "").split()),
        metadata=tuple(fields.get("metadata", "").split()),
    )


def find_env(name: str) -> Env:
    """The Python for environment `name`.

    Raises: EnvironmentMissing with the command that makes it; UsageError for an unknown name.
    """
    known = known_environments()
    configured = _configured()
    if name not in known and name not in configured:
        raise unknown_name("environment", name, [*known, *configured])
    if name in configured:
        python = configured[name]
        if not Path(python).exists():
            raise EnvironmentMissing(
                f"environment '{name}': no Python at {python}", hint=f"mend {_config_file()}"
            )
        return Env(name=name, python=python, origin="user")
    wanted = known[name]
    if wanted.folder.exists():
        problem = _problem(wanted)
        if problem is None:
            return Env(name=name, python=str(_python(wanted)), origin="venv")
        raise EnvironmentMissing(
            f"environment '{name}' is broken: {problem}", hint=f"llmops env create {name}"
        )
    missing = [module for module in wanted.modules if find_spec(module) is None]
    if missing:
        raise EnvironmentMissing(
            f"environment '{name}' is missing: {sys.executable} has no {', '.join(missing)}",
            hint=f"llmops env create {name} (downloads about {wanted.download or 'some packages'})",
        )
    return Env(name=name, python=sys.executable, origin="current")


def ensure_env(name: str, *, on_line: Callable[[str], None]) -> Env:
    """`find_env`, making or mending the environment first if need be; `on_line` is told what that
    fetches.

    Raises: EnvironmentMissing if LLMOPS_ENV_CREATE is 0, or if what the user configured is not
    there.
    """
    try:
        return find_env(name)
    except EnvironmentMissing as missing:
        if name in _configured() or name not in known_environments():
            raise
        if os.environ.get("LLMOPS_ENV_CREATE", "1").lower() in ("0", "false", "no"):
            raise
        on_line(f"{missing.message}; making it now")
        return create_env(name, on_line=on_line)


def list_envs() -> list[EnvStatus]:
    """Every known environment and what provides it now."""
    rows = []
    known = known_environments()
    for name in sorted({*known, *_configured()}):
        env = None
        problem = None
        try:
            env = find_env(name)
        except EnvironmentMissing as error:
            problem = error.message
        rows.append(
            EnvStatus(
                name=name,
                requirements=known[name].path.name if name in known else "-",
                origin=env.origin if env else "missing",
                python=env.python if env else None,
                problem=problem,
                download=known[name].download if name in known else "",
            )
        )
    return rows


def create_env(name: str, *, on_line: Callable[[str], None]) -> Env:
    """Makes the virtual environment from recipes/envs/NAME.txt with uv or pip, or returns the one
    already made.

    `on_line` sees their output. Raises: EngineFailed if the installation fails; nothing half made
    is used.
    """
    known = known_environments()
    if name not in known:
        raise unknown_name("environment", name, known)
    wanted = known[name]
    with locked(wanted.folder):
        if not wanted.folder.exists() or _problem(wanted) is not None:
            on_line(
                f"creating environment '{name}' from {wanted.path.name} in {wanted.folder}: "
                f"downloads about {wanted.download or 'some packages'}, once"
            )
            _make(wanted, on_line)
    return Env(name=name, python=str(_python(wanted)), origin="venv")


def _make(wanted: Requirements, on_line: Callable[[str], None]) -> None:
    """In place, since console scripts hold their own path; the finished mark comes last."""
    shutil.rmtree(wanted.folder, ignore_errors=True)
    uv = shutil.which("uv")
    try:
        venv.create(wanted.folder, with_pip=uv is None, symlinks=True)
    except (OSError, subprocess.CalledProcessError) as error:
        shutil.rmtree(wanted.folder, ignore_errors=True)
        if isinstance(error, OSError):
            raise cannot_write(wanted.folder, error) from error
        raise EngineFailed(
            f"cannot create {wanted.folder}", hint="Debian: apt-get install python3-venv"
        ) from error
    python = str(_python(wanted))
    tool = [uv, "pip"] if uv else [python, "-m", "pip"]
    into = ["--python", python] if uv else ["--disable-pip-version-check"]
    try:
        _run([*tool, "install", *into, "-r", str(wanted.path)], wanted, on_line)
        if wanted.uninstall:
            _run(
                [*tool, "uninstall", *into, *([] if uv else ["-y"]), *wanted.uninstall],
                wanted,
                on_line,
            )
        if wanted.metadata:
            _write_metadata(python, *wanted.metadata)
        problem = _problem(wanted, finished=False)
        if problem is not None:
            raise EngineFailed(f"environment '{wanted.name}' was installed and still {problem}")
    except BaseException:
        shutil.rmtree(wanted.folder, ignore_errors=True)
        raise
    (wanted.folder / FINISHED).touch()


def _run(argv: list[str], wanted: Requirements, on_line: Callable[[str], None]) -> None:
    find_links = os.environ.get("UV_FIND_LINKS") or os.environ.get("PIP_FIND_LINKS")
    env = {**os.environ, **({"UV_FIND_LINKS": find_links} if find_links else {})}
    with subprocess.Popen(
        argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=env
    ) as process:
        assert process.stdout is not None
        tail: list[str] = []
        for line in process.stdout:
            tail = [*tail[-5:], line.rstrip()]
            on_line(line.rstrip())
    if process.returncode:
        raise EngineFailed(f"could not install {wanted.path}", hint="\n".join(tail))


def _write_metadata(python: str, package: str, version: str) -> None:
    code = "import sysconfig; print(sysconfig.get_paths()['purelib'])"
    place = subprocess.run(
        [python, "-c", code], capture_output=True, text=True, check=True
    ).stdout.strip()
    folder = Path(place) / f"{package}-{version}.dist-info"
    folder.mkdir(exist_ok=True)
    (folder / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n"
    )


def _problem(wanted: Requirements, *, finished: bool = True) -> str | None:
    """What is wrong with an environment that we made; None if it can be used."""
    if finished and not (wanted.folder / FINISHED).exists():
        return "its installation did not come to an end"
    code = f"import importlib.util as u; print(*[m for m in {wanted.modules!r} if u.find_spec(m) is None])"
    try:
        run = subprocess.run(
            [str(_python(wanted)), "-c", code],
            capture_output=True,
            text=True,
            timeout=CHECK_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"its Python cannot be started ({error})"
    if run.returncode:
        return f"its Python fails ({run.stderr.strip().splitlines()[-1:]})"
    return f"it has no {', '.join(run.stdout.split())}" if run.stdout.strip() else None


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


def _python(wanted: Requirements) -> Path:
    return wanted.folder / "bin" / "python"


def _config_file() -> Path:
    return config_dir() / "envs.yaml"


def _configured() -> dict[str, str]:
    try:
        loaded = yaml.safe_load(_config_file().read_text())
    except FileNotFoundError:
        return {}
    except yaml.YAMLError as error:
        raise UsageError(f"{_config_file()} is not YAML: {error}") from error
    try:
        table = msgspec.convert(loaded or {}, dict[str, dict[str, str]])
        return {name: str(Path(entry["python"]).expanduser()) for name, entry in table.items()}
    except (msgspec.ValidationError, KeyError) as error:
        raise UsageError(
            f"{_config_file()}: each entry must be NAME: {{python: PATH}} ({error})"
        ) from error
