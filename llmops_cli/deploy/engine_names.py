"""Upstreams whose objects would have the names of other parts of the same deployment."""

from __future__ import annotations

from collections.abc import Mapping

from llmops_cli.core.errors import UsageError

OF_OTHERS = ("gateway", "gateway-pods", "redis", "default", "nightly")
"""What no engine can be called beside: objects of the same kind have those names."""
WORKER = "-worker"
"""Behind the name of an engine of several machines, of those that do not lead."""


def require_own_names(nodes: Mapping[str, int]) -> None:
    """`nodes`: machines of a replica, by upstream. Raises: UsageError."""
    for name, count in nodes.items():
        if name in OF_OTHERS:
            raise UsageError(
                f"upstream {name} would be called as another part of the cluster is",
                hint=f"another name than {', '.join(OF_OTHERS)}",
            )
        if count > 1 and f"{name}{WORKER}" in nodes:
            raise UsageError(
                f"upstream {name}{WORKER} would be called as the workers of upstream {name} are",
                hint="another name for one of them",
            )
