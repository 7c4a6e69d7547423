"""Where recipe values come from: flags, LLMOPS_* variables, a recipe file or a saved report."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TypeVar

import msgspec

from llmops_cli.cli.screen import say
from llmops_cli.core.errors import UsageError
from llmops_cli.core.resolve import resolve

RecipeT = TypeVar("RecipeT", bound=msgspec.Struct)


def resolve_flags(
    kind: type[RecipeT], flags: dict[str, object], *, file: Path | None = None, key: str
) -> tuple[RecipeT, dict[str, str]]:
    """`key` is the command's name: a recipe file may hold several commands' recipes under theirs."""
    found = resolve(
        kind,
        command=key,
        file=_read(file, key) if file else None,
        environ=os.environ,
        flags=flags,
    )
    for warning in found.warnings:
        say(f"warning: {warning}")
    return found.recipe, found.origins


def _read(path: Path, key: str) -> dict[str, object]:
    import yaml

    if path.is_dir():
        path /= "report.json"
    try:
        loaded = yaml.safe_load(path.read_text())  # JSON is YAML
    except FileNotFoundError:
        raise UsageError(f"no recipe at {path}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not YAML or JSON: {str(error).splitlines()[0]}") from error
    if isinstance(loaded, dict) and str(loaded.get("schema", "")).startswith("llmops."):
        return dict(loaded["manifest"]["recipe"])
    if not isinstance(loaded, dict):
        raise UsageError(f"{path} holds no recipe")
    return dict(loaded.get(key, loaded))


def parse_set(pairs: list[str] | None) -> dict[str, str] | None:
    """`--set key=value` options as a table; None if none was given."""
    if not pairs:
        return None
    table = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals:
            raise UsageError(f"--set {pair}: not key=value")
        table[key.strip().replace("-", "_")] = value.strip()
    return table


def parse_share(text: str | None, flag: str) -> float | None:
    """`3%` or `0.03` as 0.03."""
    if text is None:
        return None
    try:
        return float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        raise UsageError(f"{flag} {text}: not a share", hint="for example 3%") from None


def parse_bytes(text: str | None, flag: str) -> int | None:
    """`6GiB`, `500MB` or a plain number of bytes."""
    if text is None:
        return None
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)b?", text.strip().lower())
    if match is None:
        raise UsageError(f"{flag} {text}: not a size", hint="for example 6GiB")
    return int(float(match[1]) * (1024 if match[3] else 1000) ** " kmgt".index(match[2] or " "))


def parse_body(pairs: list[str] | None) -> dict[str, object] | None:
    """`--body key=JSON` fields; what is no JSON is taken as text. None if none was given."""
    import json

    if not pairs:
        return None
    fields: dict[str, object] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key.strip():
            raise UsageError(f"--body {pair}: not key=JSON", hint="--body top_p=0.9")
        try:
            fields[key.strip()] = json.loads(value)
        except ValueError:
            fields[key.strip()] = value
    return fields


def engine_options(pairs: list[str] | None, **flags: object) -> dict[str, str] | None:
    """`--set` pairs and the engine flags that were given, as one table of text; None if there are
    none.
    """
    table = parse_set(pairs) or {}
    for name, value in flags.items():
        if value is None or value == []:
            continue
        if isinstance(value, list):
            table[name] = ",".join(value)
        else:
            table[name] = str(value).lower() if isinstance(value, bool) else str(value)
    return table or None
