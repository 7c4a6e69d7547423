"""Named environments: which Python has an engine's libraries.

In order: the user's envs.yaml (name -> {python: PATH}), the environment that `llmops env create NAME` made,
the current Python if the engine is importable there.
"""

from __future__ import annotations

import hashlib
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
from llmops_cli.runtime.paths import cache_dir, config_dir, recipes_dir
from llmops_cli.runtime.store import locked

REQUIRED_MODULES = {"llamacpp": ("llama_cpp", "gguf", "uvicorn"), "train": ("torch", "transformers")}
"""What must be importable for an environment of that name to be complete."""


class EnvStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One row of `llmops env list`: `python` is None where nothing provides the environment."""

    name: str
    requirements: str
    origin: str
    python: str | None


def requirement_files() -> dict[str, Path]:
    """Environment name -> recipes/envs/NAME.txt."""
    return {path.stem: path for path in sorted((recipes_dir() / "envs").glob("*.txt")) if path.stem != "constraints"}


def find_env(name: str) -> Env:
    """The Python for environment `name`.

    Raises: EnvironmentMissing with the command that makes it; UsageError for an unknown name.
    """
    known = requirement_files()
    configured = _configured()
    if name not in known and name not in configured:
        raise unknown_name("environment", name, [*known, *configured])
    if name in configured:
        python = configured[name]
        if not Path(python).exists():
            raise EnvironmentMissing(f"environment '{name}': no Python at {python}", hint=f"mend {_config_file()}")
        return Env(name=name, python=python, origin="user")
    made = _venv_python(known[name])
    if made.exists():
        return Env(name=name, python=str(made), origin="venv")
    missing = [module for module in REQUIRED_MODULES.get(name, ()) if find_spec(module) is None]
    if missing:
        raise EnvironmentMissing(
            f"environment '{name}' is missing: {sys.executable} has no {', '.join(missing)}",
            hint=f"llmops env create {name}, or pip install 'llmops-cli[{name}]'",
        )
    return Env(name=name, python=sys.executable, origin="current")


def list_envs() -> list[EnvStatus]:
    """Every known environment and what provides it now."""
    rows = []
    for name in sorted({*requirement_files(), *_configured()}):
        requirements = requirement_files().get(name)
        try:
            env: Env | None = find_env(name)
        except EnvironmentMissing:
            env = None
        rows.append(
            EnvStatus(
                name=name,
                requirements=str(requirements or "-"),
                origin=env.origin if env else "missing",
                python=env.python if env else None,
            )
        )
    return rows


def create_env(name: str, *, on_line: Callable[[str], None]) -> Env:
    """Makes the virtual environment from recipes/envs/NAME.txt, or returns the one already made.

    `on_line` sees pip's output. Raises: EngineFailed if pip does; nothing half made is left.
    """
    known = requirement_files()
    if name not in known:
        raise unknown_name("environment", name, known)
    target = _venv_python(known[name]).parent.parent
    with locked(target):
        if not (target / "bin" / "python").exists():
            partial = target.with_name(f"{target.name}.partial")
            shutil.rmtree(partial, ignore_errors=True)
            on_line(f"creating {target}")
            venv.create(partial, with_pip=True, symlinks=True)
            _pip_install(partial / "bin" / "python", known[name], on_line)
            partial.rename(target)
            # console scripts keep the partial path in their first line; `python -m` does not need them
    return Env(name=name, python=str(target / "bin" / "python"), origin="venv")


def _pip_install(python: Path, requirements: Path, on_line: Callable[[str], None]) -> None:
    argv = [str(python), "-m", "pip", "install", "--disable-pip-version-check", "-r", str(requirements)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as pip:
        assert pip.stdout is not None
        tail: list[str] = []
        for line in pip.stdout:
            tail = [*tail[-5:], line.rstrip()]
            on_line(line.rstrip())
    if pip.returncode:
        raise EngineFailed(f"pip could not install {requirements}", hint="\n".join(tail))


def remove_env(name: str) -> Path:
    """Deletes the environment that `create_env` made."""
    known = requirement_files()
    if name not in known:
        raise unknown_name("environment", name, known)
    target = _venv_python(known[name]).parent.parent
    if not target.exists():
        raise UsageError(f"environment '{name}' was not created by llmops", hint="llmops env list")
    shutil.rmtree(target)
    return target


def _venv_python(requirements: Path) -> Path:
    key = hashlib.sha256(requirements.read_bytes() + sys.version.encode()).hexdigest()[:12]
    return cache_dir() / "envs" / f"{requirements.stem}-{key}" / "bin" / "python"


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
        raise UsageError(f"{_config_file()}: each entry must be NAME: {{python: PATH}} ({error})") from error
