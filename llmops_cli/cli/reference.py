"""docs/REFERENCE.md, made from the recipes' fields: `python -m llmops_cli.cli.reference`."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import msgspec

from llmops_cli.core.fields import Flag, choices_of, flag_of, plain_type
from llmops_cli.core.names import load_object
from llmops_cli.core.resolve import variable_of
from llmops_cli.engines import ENGINES, load_engine
from llmops_cli.engines.options import COMMON

RECIPES = {
    "train": "llmops_cli.train.recipe:TrainRecipe",
    "quantize": "llmops_cli.quantize.recipe:QuantizeRecipe",
    "bench": "llmops_cli.bench.recipe:BenchRecipe",
    "redteam": "llmops_cli.redteam.recipe:RedteamRecipe",
    "serve": "llmops_cli.serve.recipe:ServeRecipe",
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
        parts.append("\n".join(_command(command, kind)))
    parts.append("\n".join(_engine_options()))
    return "\n".join(parts)


def _command(command: str, kind: type[msgspec.Struct]) -> Iterator[str]:
    yield f"## llmops {command}\n"
    yield _row(["field", "flag", "environment", "value", "default", "what it is"])
    yield _row(["---"] * 6)
    hints = get_type_hints(kind, include_extras=True)
    for field in msgspec.structs.fields(kind):
        hint = hints[field.name]
        flag = flag_of(hint)
        yield _row(
            [
                f"`{field.name}`",
                _spelling(field.name, flag),
                f"`{variable_of(command, field.name)}`",
                _value(hint),
                _default(field, flag),
                flag.help if flag else "only in recipes",
            ]
        )
    yield ""


def _engine_options() -> Iterator[str]:
    facts = {name: load_engine(name).facts for name in ENGINES}
    yield "## Engine options\n"
    yield "`llmops bench` has a flag for each; elsewhere they are `--set name=value`.\n"
    yield _row(["option", "what it is", "for example", "engines"])
    yield _row(["---"] * 4)
    for name, flag in COMMON.items():
        having = [engine for engine, each in facts.items() if name in each.options]
        yield _row([f"`{name}`", flag.help, f"`{flag.example}`", ", ".join(having)])
    yield ""
    yield "What only one engine has:\n"
    for engine, each in facts.items():
        own = [f"`{option}`" for option in each.options if option not in COMMON]
        if own:
            yield f"- {engine}: {', '.join(own)}"
    yield ""


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _spelling(name: str, flag: Flag | None) -> str:
    if flag is None or flag.hidden:
        return ""
    if flag.argument:
        return name.upper()
    return f"`{(flag.names or ('--' + name.replace('_', '-'),))[0]}`"


def _value(hint: Any) -> str:  # Any: an annotation
    """Choices, a list of something, or a type with its bounds."""
    choices = choices_of(hint)
    if choices:
        return ", ".join(choices)
    plain = plain_type(hint)
    if get_origin(plain) is list:
        return f"list of {_value(get_args(plain)[0])}"
    name = getattr(plain, "__name__", str(plain))
    return " ".join([name, *_bounds(hint)])


def _bounds(hint: Any) -> list[str]:
    """What msgspec checks of a number, wherever in the annotation it stands."""
    found = []
    if get_origin(hint) is Annotated:
        for extra in hint.__metadata__:
            if isinstance(extra, msgspec.Meta):
                found += [
                    f"{sign} {limit:g}"
                    for sign, limit in ((">=", extra.ge), (">", extra.gt), ("<=", extra.le))
                    if limit is not None
                ]
    for part in get_args(hint):
        if get_origin(part) is Annotated or get_args(part):
            found += _bounds(part)
    return list(dict.fromkeys(found))


def _default(field: msgspec.structs.FieldInfo, flag: Flag | None) -> str:
    if flag is not None and flag.default is not None:
        return flag.default
    default = field.default
    if default is msgspec.NODEFAULT or default is None:
        return ""
    return str(default)


if __name__ == "__main__":
    sys.stdout.write(reference())
