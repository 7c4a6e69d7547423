"""A compose file that would not start, or with more rights than it needs: names, images, rights."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from llmops_cli.deploy.cluster_names import is_floating
from llmops_cli.deploy.lint.finding import Finding
from llmops_cli.runtime.yaml_text import LOADER, UNREADABLE, reason_of, require_shallow

FILE = "compose/compose.yaml"
SECRETS = "./secrets"
"""A folder that whoever has them fills where it runs."""
Json = dict[str, Any]  # Any: a file's, as somebody may have changed it


def wrong_compose(folder: Path) -> Iterator[Finding]:
    path = folder / FILE
    if not path.exists():
        return
    try:
        text = path.read_text(encoding="utf-8")
        require_shallow(text)
        whole = yaml.load(text, Loader=LOADER)  # noqa: S506 - a safe loader
    except OSError as error:
        yield _finding("yaml", str(error.strerror))
        return
    except UNREADABLE as error:
        yield _finding("yaml", reason_of(error))
        return
    services = _table(_table(whole).get("services"))
    if not services:
        yield _finding("form", "has no services")
    volumes = _table(_table(whole).get("volumes"))
    for name, service in services.items():
        for rule, message in _wrong(folder, _table(service), set(services), set(volumes)):
            yield _finding(rule, f"service {name}: {message}")


def _finding(rule: str, message: str) -> Finding:
    return Finding(file=FILE, rule=rule, message=message)


def _table(value: object) -> Json:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _wrong(
    folder: Path,
    service: Json,
    services: set[str],
    volumes: set[str],
) -> Iterator[tuple[str, str]]:
    """Rule and message."""
    image = str(service.get("image", ""))
    if is_floating(image):
        yield "floating-tag", f"image {image!r} can be another one tomorrow"
    for other in _list(service.get("depends_on")):
        if other not in services:
            yield "reference", f"waits for {other}, which is no service"
    for source in map(_source, _list(service.get("volumes"))):
        if source.startswith("."):
            if source != SECRETS and not (folder / FILE).parent.joinpath(source).exists():
                yield "reference", f"{source} is not there"
        elif source and not source.startswith("/") and source not in volumes:
            yield "volume", f"{source} is no volume of this file"
    if service.get("privileged") or "ALL" not in _list(service.get("cap_drop")):
        yield "security", "has rights of root that it does not need"
    if not service.get("read_only"):
        yield "security", "may write everywhere in its container"


def _source(mount: object) -> str:
    """Of a short or a long one; empty: none of a place or a volume."""
    if isinstance(mount, str):
        return mount.partition(":")[0]
    return str(_table(mount).get("source") or "")
