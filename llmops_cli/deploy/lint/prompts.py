"""Prompts of a gateway's file: they must lie where it reads them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from llmops_cli.core.errors import UsageError
from llmops_cli.deploy.knob import Manifest
from llmops_cli.deploy.lint.finding import Finding, Found, pods_in
from llmops_cli.prompt_file.library import read_library
from llmops_cli.runtime.yaml_text import UNREADABLE, load_yaml

FILE = "gateway.yaml"
RULE = "prompts"
TARGETS = ("compose", "systemd")


def wrong_mounts(objects: Sequence[Found]) -> Iterator[Finding]:
    """Keys of ConfigMaps that a pod mounts and that are not there, and prompts that none brings."""
    maps = {found.name: found for found in objects if found.kind == "ConfigMap"}
    for found in objects:
        for pod in pods_in(found):
            for volume in (pod.get("spec") or {}).get("volumes") or []:
                source = volume.get("configMap") or {}
                config = maps.get(source.get("name", ""))
                if config is not None:
                    yield from _mounted(found, config, source)


def _mounted(found: Found, config: Found, source: Manifest) -> Iterator[Finding]:
    data = config.value.get("data") or {}
    items = source.get("items")
    paths = list(data) if items is None else [str(item.get("path", "")) for item in items]
    for item in items or []:
        if item.get("key") not in data:
            yield found.wrong(RULE, f"mounts {item.get('key')}, which {config.title} lacks")
    if FILE not in data or FILE not in paths:
        return
    folder = _named(data[FILE])
    if folder and not any(PurePosixPath(path).is_relative_to(folder) for path in paths):
        yield found.wrong(RULE, f"its gateway.yaml reads prompts in {folder}, and mounts none")


def without_prompts(folder: Path) -> Iterator[Finding]:
    """Of targets that are files of one machine. What is no prompt is told by its line."""
    for target in TARGETS:
        path = folder / target / FILE
        if not path.is_file():
            continue
        named = _named(path.read_text(encoding="utf-8", errors="replace"))
        if not named:
            continue
        file = f"{target}/{FILE}"
        try:
            found = read_library(path.parent / named)
        except UsageError as error:
            yield Finding(file=file, rule=RULE, message=error.message)
            continue
        if not found:
            yield Finding(file=file, rule=RULE, message=f"no prompt in {named}")


def _named(text: str) -> str | None:
    """The folder that a gateway's file names."""
    try:
        value = load_yaml(text)
    except UNREADABLE:
        return None
    named = value.get("prompts") if isinstance(value, dict) else None
    return str(named) if named else None
