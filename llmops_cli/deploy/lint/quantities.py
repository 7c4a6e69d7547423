"""Requests and limits of containers: a limit below its request is refused by the cluster."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from decimal import Decimal

from llmops_cli.deploy.knob import Manifest
from llmops_cli.deploy.lint.finding import Finding, Found, containers_in, pods_in

QUANTITY = re.compile(r"([+-]?\d+(?:\.\d*)?|[+-]?\.\d+)([eE][+-]?\d+|[KMGTPE]i|[numkMGTPE]?)")
POWERS = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
DECIMAL = {name: Decimal(10) ** power for name, power in POWERS.items()}
BINARY = {f"{name}i": Decimal(1024) ** power for power, name in enumerate("KMGTPE", start=1)}
SIZES = DECIMAL | BINARY
CARD = re.compile(r"[^/]+/.+")
"""What only a node's plug-in knows: it is not shared, so both figures are one."""


def wrong_quantities(objects: Sequence[Found]) -> Iterator[Finding]:
    for found in objects:
        for pod in pods_in(found):
            for container in containers_in(pod):
                for message in _wrong(container.get("resources") or {}):
                    yield found.wrong("resources", f"container {container.get('name')}: {message}")


def quantity_of(text: object) -> Decimal | None:
    """`500m` is 0.5, `1Ki` is 1024. None: it is no quantity of Kubernetes.

    Not in binary fractions, in which 9m is more than 0.009.
    """
    match = QUANTITY.fullmatch(str(text))
    if match is None:
        return None
    number, suffix = match.groups()
    if suffix[:1] in ("e", "E") and suffix[1:].lstrip("+-").isdecimal():
        return Decimal(f"{number}{suffix}")
    return Decimal(number) * SIZES[suffix]


def _wrong(resources: Manifest) -> Iterator[str]:
    requests = _table(resources.get("requests"))
    limits = _table(resources.get("limits"))
    for part in (requests, limits):
        for name, text in part.items():
            if quantity_of(text) is None:
                yield f"{name} {text} is no quantity"
    for name, text in requests.items():
        limit = limits.get(name)
        is_card = CARD.fullmatch(str(name)) is not None
        if limit is None:
            if is_card:
                yield f"{name} has a request and no limit"
            continue
        least = quantity_of(text)
        most = quantity_of(limit)
        if least is None or most is None:
            continue
        if least > most or (is_card and least != most):
            yield f"{name} asks for {text} and may have {limit}"


def _table(value: object) -> Manifest:
    return value if isinstance(value, dict) else {}
