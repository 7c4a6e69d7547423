"""The objects of a folder, with what is no YAML as a finding."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import yaml

from llmops_cli.deploy.lint.finding import Finding, Found
from llmops_cli.runtime.yaml_text import LOADER, UNREADABLE, reason_of, require_shallow

SUFFIXES = (".yaml", ".yml")


class Folder(NamedTuple):
    objects: list[Found]
    findings: list[Finding]


def read_folder(folder: Path, below: str) -> Folder:
    """Kustomizations are no objects of a cluster and are left out."""
    objects: list[Found] = []
    findings: list[Finding] = []
    for path in sorted((folder / below).glob("*")):
        if path.suffix not in SUFFIXES or path.name == "kustomization.yaml":
            continue
        name = path.relative_to(folder).as_posix()
        try:
            text = path.read_text(encoding="utf-8")
            require_shallow(text)
            documents = list(yaml.load_all(text, Loader=LOADER))
        except OSError as error:
            findings.append(Finding(file=name, rule="yaml", message=str(error.strerror)))
            continue
        except UNREADABLE as error:
            findings.append(Finding(file=name, rule="yaml", message=reason_of(error)))
            continue
        for value in documents:
            if isinstance(value, dict) and value.get("kind"):
                objects.append(Found(name, value))
            elif value is not None:
                findings.append(Finding(file=name, rule="yaml", message="holds no object"))
    return Folder(objects, findings)
