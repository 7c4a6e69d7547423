"""Named environments: which Python has an engine's libraries.

In order: the user's envs.yaml (name -> {python: PATH}), the environment that we made from
recipes/envs/NAME.txt, the current Python if the libraries are importable there. NAME-cuda.txt is
taken instead where there is an NVIDIA GPU. Making them is `runtime.venvs`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import msgspec

from llmops_cli.core.errors import EnvironmentMissing, UsageError, unknown_name
from llmops_cli.core.misfit import misfit_of
from llmops_cli.core.progress import Progress
from llmops_cli.core.spec import Env
from llmops_cli.runtime.imports import imported_together, missing_modules
from llmops_cli.runtime.paths import at_home, config_dir
from llmops_cli.runtime.requirements import Requirements, known_environments
from llmops_cli.runtime.rows import read_text
from llmops_cli.runtime.venvs import is_begun, make_venv, problem_of
from llmops_cli.runtime.yaml_text import UNREADABLE, load_yaml, reason_of


class _OwnPython(msgspec.Struct, frozen=True, kw_only=True):
    """An entry of the user's envs.yaml; what else stands there is passed over."""

    python: str


class EnvStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One row of `llmops env list`.

    `python` is None where nothing provides the environment, and `problem` says why.
    """

    name: str
    requirements: str
    origin: str
    python: str | None
    problem: str | None = None
    download: str = ""


_MOST_AT_ONCE = 4
"""Pythons that import their libraries side by side; each takes up to a gigabyte meanwhile."""


def find_env(
    name: str,
    *,
    anew: bool = False,
    imported: Mapping[str, Collection[str]] = {},
) -> Env:
    """The Python for environment `name`.

    `anew`: its libraries are imported again, whatever an earlier look found, but for those of
    `imported` (Python -> modules), which somebody just did.

    Raises: EnvironmentMissing with the command that makes it; UsageError for an unknown name.
    """
    known = known_environments()
    configured = _configured()
    if name in configured:
        python = configured[name]
        return _of_the_user(name, python, known.get(name), anew=anew, imported=imported)
    if name not in known:
        raise unknown_name("environment", name, [*known, *configured])
    wanted = known[name]
    if is_begun(wanted):
        able = imported.get(str(wanted.python), ())
        problem = problem_of(wanted, anew=anew, imported=able)
        if problem is not None:
            raise EnvironmentMissing(
                f"environment '{name}' is broken: {problem}", hint=f"llmops env create {name}"
            )
        return Env(name=name, python=str(wanted.python), origin="venv")
    able = imported.get(sys.executable, ())
    missing = missing_modules(sys.executable, wanted.modules, anew=anew, imported=able)
    if missing:
        raise EnvironmentMissing(
            f"environment '{name}' is missing: {sys.executable} {missing}",
            hint=_how_to_make(wanted),
        )
    return Env(name=name, python=sys.executable, origin="current")


def ensure_env(name: str, *, progress: Progress) -> Env:
    """`find_env`, making or mending the environment first if need be.

    `progress` is told what that fetches.

    Raises: EnvironmentMissing if LLMOPS_ENV_CREATE is 0, or if what the user configured is not
    there.
    """
    try:
        return find_env(name)
    except EnvironmentMissing as missing:
        if name in _configured() or name not in known_environments():
            raise
        if not _may_make():
            raise
        progress.say(f"{missing.message}; making it now")
        return create_env(name, progress=progress)


def _may_make() -> bool:
    wish = os.environ.get("LLMOPS_ENV_CREATE", "1")
    return wish.lower() not in ("0", "false", "no")


def create_env(name: str, *, progress: Progress) -> Env:
    """Makes the virtual environment of recipes/envs/NAME.txt, or leaves one that works.

    Raises: EngineFailed if the installation fails; nothing half made is used.
    """
    known = known_environments()
    if name not in known:
        raise unknown_name("environment", name, known)
    wanted = known[name]
    make_venv(wanted, progress)
    return Env(name=name, python=str(wanted.python), origin="venv")


def list_envs(*, anew: bool = False) -> list[EnvStatus]:
    """Every known environment and what provides it now."""
    known = known_environments()
    names = known.keys() | _configured().keys()
    imported = _imported_anew(known) if anew else {}
    found = []
    for name in sorted(names):
        wanted = known.get(name)
        status = _status(name, wanted, anew=anew, imported=imported)
        found.append(status)
    return found


def _imported_anew(known: Mapping[str, Requirements]) -> dict[str, set[str]]:
    """Python -> what it can import of what its environments need: each Python once."""
    needs: dict[str, list[str]] = {}
    configured = _configured()
    for name, wanted in known.items():
        python = configured.get(name) or _python_of(wanted)
        needs.setdefault(python, []).extend(wanted.modules)
    at_once = min(_MOST_AT_ONCE, os.cpu_count() or 1)
    with ThreadPoolExecutor(at_once) as pool:
        able = pool.map(imported_together, needs, map(_once, needs.values()))
        return dict(zip(needs, able, strict=True))


def _python_of(wanted: Requirements) -> str:
    """Its own where it is made, else this one."""
    with suppress(EnvironmentMissing):  # one that cannot be read is told by itself
        if is_begun(wanted):
            return str(wanted.python)
    return sys.executable


def _once(modules: Iterable[str]) -> list[str]:
    """Each of them, where it comes first."""
    return list(dict.fromkeys(modules))


def _status(
    name: str,
    wanted: Requirements | None,
    *,
    anew: bool,
    imported: Mapping[str, Collection[str]],
) -> EnvStatus:
    env = None
    problem = None
    try:
        env = find_env(name, anew=anew, imported=imported)
    except EnvironmentMissing as error:
        problem = error.message
    return EnvStatus(
        name=name,
        requirements=wanted.path.name if wanted else "-",
        origin=env.origin if env else "missing",
        python=env.python if env else None,
        problem=problem,
        download=wanted.download if wanted else "",
    )


def _how_to_make(wanted: Requirements) -> str:
    size = wanted.download or "some packages"
    return f"llmops env create {wanted.name} (downloads about {size})"


def _of_the_user(
    name: str,
    python: str,
    wanted: Requirements | None,
    *,
    anew: bool,
    imported: Mapping[str, Collection[str]],
) -> Env:
    if not Path(python).exists():
        raise EnvironmentMissing(
            f"environment '{name}': no Python at {python}", hint=f"mend {_config_file()}"
        )
    modules = wanted.modules if wanted else ()
    able = imported.get(python, ())
    missing = missing_modules(python, modules, anew=anew, imported=able)
    if missing:
        raise EnvironmentMissing(
            f"environment '{name}': {python} {missing}",
            hint=f"install it there, or leave {name} out of {_config_file()}",
        )
    return Env(name=name, python=python, origin="user")


def _config_file() -> Path:
    return config_dir() / "envs.yaml"


def _configured() -> dict[str, str]:
    """Environment name -> the user's own Python."""
    try:
        loaded = load_yaml(read_text(_config_file()))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except UNREADABLE as error:
        raise UsageError(f"{_config_file()} is not YAML: {reason_of(error)}") from error
    misfit = misfit_of(loaded or {}, dict[str, _OwnPython])
    if misfit is not None:
        raise UsageError(
            f"{_config_file()}: {misfit.told}", hint="each entry is NAME: {python: PATH}"
        )
    table = msgspec.convert(loaded or {}, dict[str, _OwnPython])
    return {name: str(at_home(entry.python)) for name, entry in table.items()}
