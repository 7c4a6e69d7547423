"""Kubernetes' own schemas, of its last three minors, where kubernetes-validate is installed."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Sequence
from typing import Any

from llmops_cli.deploy.lint.finding import Finding, Found

PACKAGE = "kubernetes_validate"
MINORS = 3
MOST_CHARS = 300


def is_installed() -> bool:
    return importlib.util.find_spec(PACKAGE) is not None


def wrong_by_schema(objects: Sequence[Found]) -> Iterator[Finding]:
    from kubernetes_validate import utils as library

    for found in objects:
        for minor in _minors(library):
            message = _said(library, found, minor)
            if message:
                yield found.wrong(f"kubernetes {minor}", message[:MOST_CHARS])


def without_schema(objects: Sequence[Found]) -> list[str]:
    """Kinds of which nobody here has a schema; only our own lint looks at those."""
    from kubernetes_validate import utils as library

    latest = _minors(library)[-1]
    kinds = {found.kind: found for found in objects}
    return sorted(kind for kind, found in kinds.items() if _said(library, found, latest) is None)


def _minors(library: Any) -> list[str]:  # Any: it has no types
    known = {library.major_minor(version): None for version in library.all_versions()}
    return list(known)[-MINORS:]


def _said(library: Any, found: Found, minor: str) -> str | None:  # Any: as above
    """What is wrong; empty: nothing; None: the kind is unknown."""
    try:
        library.validate(found.value, minor, strict=True)
    except library.SchemaNotFoundError:
        return None
    except library.ValidationError as error:
        place = ".".join(str(step) for step in error.absolute_path)
        return f"{place}: {error.message}"
    return ""
