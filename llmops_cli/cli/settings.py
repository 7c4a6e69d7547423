"""Where recipe values come from: flags, LLMOPS_* variables, a recipe file or a saved report."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import msgspec
import typer

from llmops_cli.cli.screen import say
from llmops_cli.cli.variables import VARIABLES
from llmops_cli.core.errors import GateFailed, UsageError
from llmops_cli.core.problem import Problem, summary
from llmops_cli.core.resolve import Resolved, resolve
from llmops_cli.core.said import of_no_command, variable_of

RecipeT = TypeVar("RecipeT", bound=msgspec.Struct)

RECIPE = typer.Option(
    None, help="A YAML recipe, the name of one (llmops recipes list), or a saved report to repeat."
)
OUTPUT = typer.Option(None, "-o", "--output", help="Folder for the run.  [default: results/...]")
JSON = typer.Option(False, "--json", help="Print the report on stdout and nothing else.")


class SavedRecipe(msgspec.Struct, frozen=True, kw_only=True):
    """What a file holds. `defaults`: of a report, fields that nobody had asked for in its run."""

    values: dict[str, object] = {}
    defaults: tuple[str, ...] | None = None


def resolved(
    kind: type[RecipeT],
    given: Mapping[str, object],
    *,
    command: str,
    file: Path | None = None,
    old_names: bool = True,
) -> Resolved[RecipeT]:
    """The command's recipe; a file may hold several commands' recipes under their names."""
    fields = kind.__struct_fields__
    saved = _read(file, command, fields) if file else SavedRecipe()
    found = resolve(
        kind,
        command=command,
        file=saved.values,
        saved_defaults=saved.defaults,
        environ=os.environ,
        flags=given,
        old_names=old_names,
    )
    strangers = _strangers(command, fields, old_names=old_names)
    for warning in (*found.warnings, *strangers):
        say(f"warning: {warning}")
    return found


def _strangers(
    command: str,
    fields: Sequence[str],
    *,
    old_names: bool,
) -> list[str]:
    """Variables that look like ours and set nothing; a gateway's files may name any."""
    from llmops_cli.cli.app import COMMANDS

    if command in ("serve", "deploy"):
        return []
    known = [variable_of(command, field) for field in fields]
    known += VARIABLES
    if old_names:
        known += [f"LLMOPS_{field.upper()}" for field in fields]
    return of_no_command(os.environ, commands=COMMANDS, known=known)


def refuse_invalid(problems: Sequence[Problem], *, hint: str) -> None:
    """Raises: GateFailed if there is a problem."""
    if problems:
        raise GateFailed(f"INVALID: {summary(problems)}", hint=hint)


def _read(path: Path, command: str, fields: Sequence[str]) -> SavedRecipe:
    from llmops_cli.runtime.recipes import recipe_file, refuse_other_commands
    from llmops_cli.runtime.rows import read_text
    from llmops_cli.runtime.yaml_text import UNREADABLE, load_yaml, reason_of

    path = recipe_file(path)
    if path.is_dir():
        path /= "report.json"
    try:
        loaded = load_yaml(read_text(path))  # JSON is YAML
    except FileNotFoundError:
        raise UsageError(f"no recipe at {path}") from None
    except UNREADABLE as error:
        raise UsageError(f"{path} is not YAML or JSON: {reason_of(error)}") from error
    if not isinstance(loaded, dict):
        raise UsageError(f"{path} holds no recipe")
    schema = str(loaded.get("schema", ""))
    if schema.startswith("llmops."):
        return _of_report(path, loaded)
    recipe = loaded.get(command, loaded)
    if not isinstance(recipe, dict):
        raise UsageError(f"{path}: {command} holds no recipe")
    if recipe is loaded:
        refuse_other_commands(path, recipe, command=command, known=fields)
    return SavedRecipe(values=dict(recipe))


def _of_report(path: Path, report: Mapping[str, object]) -> SavedRecipe:
    """A saved report is a recipe: its manifest has it."""
    manifest = report.get("manifest")
    if not isinstance(manifest, dict):
        manifest = {}
    recipe = manifest.get("recipe")
    if not isinstance(recipe, dict):
        raise UsageError(f"{path} is a broken report: it holds no recipe")
    origins = manifest.get("origins") or {}
    defaults = [name for name, origin in origins.items() if origin == "default"]
    return SavedRecipe(values=dict(recipe), defaults=tuple(defaults))
