"""Which manifests a kustomization applies: all that are there, and each of them is."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from llmops_cli.deploy.lint.finding import Finding, Found
from llmops_cli.runtime.yaml_text import UNREADABLE, load_yaml, reason_of

FILE = "manifests/kustomization.yaml"
RULE = "kustomization"
WAYS_IN = ("HTTPRoute", "Ingress")
"""`--route` says which of them is applied."""
FROM_AFAR = re.compile(r"[a-z][a-z0-9+.-]*::?.*|[^/]*@.*|[^./][^/]*\.[a-z]+/.*|.*\?.*")
"""Addresses of all the forms that kustomize takes: a scheme, git@host, a host without either."""
PATCHES = ("patches", "patchesStrategicMerge", "components", "transformers", "generators")


def wrong_kustomizations(folder: Path, objects: Sequence[Found]) -> Iterator[Finding]:
    path = folder / FILE
    if not path.is_file():
        return
    try:
        value: Any = load_yaml(path.read_text(encoding="utf-8"))  # Any: YAML
    except UNREADABLE as error:
        yield _finding(reason_of(error))
        return
    except OSError as error:
        yield _finding(str(error.strerror))
        return
    listed = value.get("resources") if isinstance(value, dict) else None
    if not isinstance(listed, list):
        yield _finding("lists no resources")
        return
    for name in listed:
        if not FROM_AFAR.fullmatch(str(name)) and not (path.parent / str(name)).exists():
            yield _finding(f"lists {name}, which is not there")
    for file in sorted(_left_out(objects, _used(value))):
        yield _finding(f"leaves {file} out, so that nobody applies it")


def _used(kustomization: dict[str, Any]) -> set[str]:
    """`./gateway.yaml` is gateway.yaml. A patch is no object, and is used too."""
    used = set()
    for part in ("resources", *PATCHES):
        for each in kustomization.get(part) or []:
            name = each.get("path", "") if isinstance(each, dict) else each
            used.add(str(PurePosixPath(str(name))))
    return used


def _left_out(objects: Sequence[Found], listed: set[str]) -> set[str]:
    files = set()
    for found in objects:
        folder, _, name = found.file.rpartition("/")
        if folder == "manifests" and name not in listed and found.kind not in WAYS_IN:
            files.add(name)
    return files


def _finding(message: str) -> Finding:
    return Finding(file=FILE, rule=RULE, message=message)
