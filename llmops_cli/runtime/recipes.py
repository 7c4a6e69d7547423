"""The recipes that come with llmops, by name: `quickstart` for recipes/quickstart.yaml.

The first line of each says what it is for; the lines of commands below it say how it is run.
"""

from __future__ import annotations

import shutil
from collections.abc import Collection
from pathlib import Path

import msgspec

from llmops_cli.core.calls import call
from llmops_cli.core.errors import (
    EnvironmentMissing,
    UsageError,
    close_name,
    nearest_name,
    unknown_name,
)
from llmops_cli.runtime.near_path import near_path
from llmops_cli.runtime.paths import recipes_dir

SUFFIX = ".yaml"
COMMAND = "#   llmops "
STEPS = ("train", "quantize", "bench")
"""Keys of a recipe of steps that are commands, too."""
ONLY_OF_STEPS = frozenset(("engines", "evaluate"))
OF_MANY = frozenset(("model", "seed"))
"""Keys that tell no command."""


class PackagedRecipe(msgspec.Struct, frozen=True, kw_only=True):
    """A file of recipes/. `commands`: how it is run, without the `llmops` before it."""

    name: str
    summary: str
    commands: tuple[str, ...]
    path: str


def packaged_recipes() -> list[PackagedRecipe]:
    """All that come with llmops, by name."""
    return [_read(path) for path in sorted(recipes_dir().glob(f"*{SUFFIX}"))]


def packaged_recipe(name: str) -> PackagedRecipe:
    """Raises: UsageError for a name that none has, with the nearest one."""
    known = {recipe.name: recipe for recipe in packaged_recipes()}
    found = known.get(name)
    if found is None:
        raise unknown_name("recipe", name, known)
    return found


def recipe_file(
    given: Path,
    *,
    kind: str = "recipe",
    hint: str | None = None,
) -> Path:
    """The file that a user means: a path, or the name of a recipe that comes with llmops.

    `kind`: what the file is to the command, for the error, and `hint` how one gets it. What exists
    goes before a name. Raises: UsageError where there is neither.
    """
    if given.exists():
        return given
    packaged = {recipe.name: Path(recipe.path) for recipe in packaged_recipes()}
    if str(given) in packaged:
        return packaged[str(given)]
    named = "" if given.suffix or len(given.parts) > 1 else close_name(str(given), packaged)
    otherwise = hint or nearest_name(given.stem, packaged)
    raise UsageError(f"no {kind} at {given}", hint=named or near_path(given, otherwise))


def gateway_path(given: Path) -> Path:
    """As `recipe_file`, of a gateway's file. Raises: UsageError."""
    hint = "llmops recipes copy gateway writes one to begin with"
    return recipe_file(given, kind="gateway file", hint=hint)


def refuse_other_commands(
    path: Path,
    keys: Collection[str],
    *,
    command: str,
    known: Collection[str],
) -> None:
    """`known`: keys of the command's own recipes. Raises: UsageError for another command's file.

    One key that is the command's own makes it its file, and another one a misspelt key.
    """
    own = set(known) - OF_MANY
    if all(key in known for key in keys) or not own.isdisjoint(keys):
        return
    call = _call_of(path, keys)
    if call:
        raise UsageError(f"{path} is no recipe of llmops {command}", hint=call)


def _call_of(path: Path, keys: Collection[str]) -> str:
    """How llmops is called with such a file; empty where its keys do not tell."""
    for recipe in packaged_recipes():
        if Path(recipe.path) == path and recipe.commands:
            return f"llmops {recipe.commands[-1]}"
    if "upstreams" in keys:
        return call("serve", "--config", path)
    if "plan" in keys:
        return call("plan", "serve", "--recipe", path)
    steps = [step for step in STEPS if step in keys]
    if len(steps) > 1 or not ONLY_OF_STEPS.isdisjoint(keys):
        return call("run", path)
    return call(steps[0], "--recipe", path) if steps else ""


def copy_recipe(name: str, target: Path) -> Path:
    """Writes the recipe there (a folder takes it under its own name) and says where.

    Raises: UsageError for an unknown name or a file that is there; EnvironmentMissing for a place
    that cannot be written.
    """
    source = Path(packaged_recipe(name).path)
    if target.is_dir():
        target /= source.name
    try:
        with target.open("xb") as file:
            file.write(source.read_bytes())
    except FileExistsError:
        raise UsageError(f"{target} is there already", hint="name another file") from None
    except OSError as error:
        reason = error.strerror
        hint = "name a file in a folder that is there, and may be written"
        raise EnvironmentMissing(f"cannot write {target}: {reason}", hint=hint) from error
    shutil.copymode(source, target)
    return target


def _read(path: Path) -> PackagedRecipe:
    lines = path.read_text(encoding="utf-8").splitlines()
    commands = [line.removeprefix(COMMAND) for line in lines if line.startswith(COMMAND)]
    return PackagedRecipe(
        name=path.stem,
        summary=lines[0].removeprefix("# "),
        commands=tuple(commands),
        path=str(path),
    )
