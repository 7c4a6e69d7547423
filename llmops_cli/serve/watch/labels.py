"""Values of metrics' labels, from sets that no client and no upstream can make grow."""

from __future__ import annotations

from http import HTTPStatus

from llmops_cli.serve.endpoints import ENDPOINTS, FEEDBACK, PAGES
from llmops_cli.serve.passed_endpoints import PASSED

OTHER = "other"
ROUTES = frozenset((*ENDPOINTS, *PASSED, *PAGES, FEEDBACK.path))
BEYOND_THE_STANDARD = (499, 520, 521, 522, 523, 524, 529)
"""Statuses that nginx, Cloudflare and Anthropic have added."""
STATUSES = frozenset((*HTTPStatus, *BEYOND_THE_STANDARD))
VALUES_MOST = 200
"""Of a label whose values are others' to choose: an operator's tags, a policy's rules."""


def route_label(path: str, status: int) -> str:
    """A path that there is."""
    if status == HTTPStatus.NOT_FOUND or path not in ROUTES:
        return OTHER
    return path


def status_label(status: int) -> str:
    """A status that somebody has given a meaning, else its class."""
    if status in STATUSES:
        return str(int(status))
    return class_label(status)


def class_label(status: int) -> str:
    """2xx to 5xx; anything else is no answer of HTTP."""
    hundreds = status // 100
    return f"{hundreds}xx" if 1 <= hundreds <= 5 else OTHER


def failure_label(failure: Exception | int) -> str:
    """What kind of failure, never its words: those may hold anything."""
    if isinstance(failure, int):
        return status_label(failure)
    return type(failure).__name__


class BoundedValues:
    """Whoever has thousands of values for one name has its later ones together."""

    def __init__(self) -> None:
        self._seen: dict[str, set[str]] = {}

    def label(self, name: str, value: str) -> str:
        seen = self._seen.setdefault(name, set())
        if value in seen:
            return value
        if len(seen) >= VALUES_MOST:
            return OTHER
        seen.add(value)
        return value
