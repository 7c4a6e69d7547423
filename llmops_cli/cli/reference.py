"""docs/REFERENCE.md, made from the recipes' fields: `python -m llmops_cli.cli.reference`."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import msgspec

from llmops_cli.cli.variables import VARIABLES
from llmops_cli.core.fields import Flag, choices_of, flag_of, plain_type
from llmops_cli.core.names import load_object
from llmops_cli.core.said import variable_of
from llmops_cli.engines import ENGINES, load_engine
from llmops_cli.engines.options import COMMON

RECIPES = {
    "train": "llmops_cli.train.recipe:TrainRecipe",
    "convert": "llmops_cli.convert.recipe:ConvertRecipe",
    "quantize": "llmops_cli.quantize.recipe:QuantizeRecipe",
    "bench": "llmops_cli.bench.recipe:BenchRecipe",
    "generate": "llmops_cli.generate.recipe:GenerateRecipe",
    "redteam": "llmops_cli.redteam.recipe:RedteamRecipe",
    "plan": "llmops_cli.plan.recipe:PlanRecipe",
    "prompt-run": "llmops_cli.prompt.technique_run.recipe:PromptRunRecipe",
    "prompt-eval": "llmops_cli.prompt.evals.recipe:EvalRecipe",
    "prompt-optimize": "llmops_cli.prompt.optimize.recipe:OptimizeRecipe",
    "serve": "llmops_cli.serve.recipe:ServeRecipe",
    "engines-start": "llmops_cli.serving.recipe:EngineRecipe",
    "deploy": "llmops_cli.deploy.recipe:RenderRecipe",
}
"""Command -> "module:object" of the struct that it resolves."""

HEAD = """# Reference

Made from the code by `python -m llmops_cli.cli.reference`; a test keeps it so.

A value comes from the nearest of: the flag, the environment variable, the recipe file
(`--recipe`), the default. In a recipe file a field has its own name, below the command's name
or alone. A saved report is a recipe.
"""


def reference() -> str:
    """The page."""
    parts = [HEAD]
    for command, place in RECIPES.items():
        kind = load_object(place)
        assert isinstance(kind, type)
        lines = _command(command, kind)
        parts.append("\n".join(lines))
    options = _engine_options()
    parts.append("\n".join(options))
    variables = _variables()
    parts.append("\n".join(variables))
    return "\n".join(parts)


def _command(command: str, kind: type[msgspec.Struct]) -> Iterator[str]:
    yield f"## llmops {command}\n"
    yield _row(["field", "flag", "environment", "value", "default", "what it is"])
    yield _row(["---"] * 6)
    hints = get_type_hints(kind, include_extras=True)
    for field in msgspec.structs.fields(kind):
        hint = hints[field.name]
        flag = flag_of(hint)
        variable = variable_of(command, field.name)
        words = flag.help if flag else "only in recipes"
        cells = [
            f"`{field.name}`",
            _spelling(field.name, flag),
            f"`{variable}`",
            _value(hint),
            _default(field, flag),
            words,
        ]
        yield _row(cells)
    yield ""


def _engine_options() -> Iterator[str]:
    facts = {name: load_engine(name).facts for name in ENGINES}
    yield "## Engine options\n"
    yield "`llmops bench` has a flag for each; elsewhere they are `--set name=value`.\n"
    yield _row(["option", "what it is", "for example", "engines"])
    yield _row(["---"] * 4)
    for name, flag in COMMON.items():
        having = [engine for engine, each in facts.items() if name in each.options]
        cells = [
            f"`{name}`",
            flag.help,
            f"`{flag.example}`",
            ", ".join(having),
        ]
        yield _row(cells)
    yield ""
    yield "What only one engine has:\n"
    for engine, each in facts.items():
        own = [f"`{option}`" for option in each.options if option not in COMMON]
        if own:
            names = ", ".join(own)
            yield f"- {engine}: {names}"
    yield ""


def _variables() -> Iterator[str]:
    yield "## Variables of all commands\n"
    yield _row(["variable", "what it is"])
    yield _row(["---"] * 2)
    for name, words in VARIABLES.items():
        yield _row([f"`{name}`", words])
    yield ""


def _row(cells: Sequence[str]) -> str:
    escaped = [cell.replace("|", "\\|") for cell in cells]
    inner = " | ".join(escaped)
    return f"| {inner} |"


def _spelling(name: str, flag: Flag | None) -> str:
    if flag is None or flag.hidden:
        return ""
    if flag.argument:
        return name.upper()
    if flag.names:
        return f"`{flag.names[0]}`"
    usual = name.replace("_", "-")
    return f"`--{usual}`"


def _value(hint: Any) -> str:  # Any: an annotation
    """Choices, a list of something, or a type with its bounds."""
    choices = choices_of(hint)
    if choices:
        return ", ".join(choices)
    plain = plain_type(hint)
    if get_origin(plain) is list:
        parts = get_args(plain)
        return f"list of {_value(parts[0])}"
    is_union = get_origin(plain) in (Union, UnionType)
    name = str(plain) if is_union else getattr(plain, "__name__", str(plain))
    words = [name, *_bounds(hint)]
    return " ".join(words)


def _bounds(hint: Any) -> list[str]:
    """What msgspec checks of a number, wherever in the annotation it stands."""
    found = []
    if get_origin(hint) is Annotated:
        for extra in hint.__metadata__:
            if isinstance(extra, msgspec.Meta):
                found += _limits(extra)
    for part in get_args(hint):
        if get_origin(part) is Annotated or get_args(part):
            found += _bounds(part)
    return list(dict.fromkeys(found))


def _limits(meta: msgspec.Meta) -> list[str]:
    limits = {
        ">=": meta.ge,
        ">": meta.gt,
        "<=": meta.le,
    }
    found = []
    for sign, limit in limits.items():
        if limit is not None:
            found.append(f"{sign} {limit:g}")
    return found


def _default(field: msgspec.structs.FieldInfo, flag: Flag | None) -> str:
    if flag is not None and flag.default is not None:
        return flag.default
    default = field.default
    if default is msgspec.NODEFAULT or default is None:
        return ""
    return str(default)


if __name__ == "__main__":
    sys.stdout.write(reference())
