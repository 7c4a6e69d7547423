"""How many connections a worker has room for: each may need a second one, to an upstream."""

from __future__ import annotations

import logging
import resource

LOG = logging.getLogger("llmops.gateway")
APART = 256
"""Open files beside clients' and upstreams': the database, logs, pipes, libraries."""
LEAST = 16


def connections_that_fit(wanted: int) -> int:
    """`wanted`, or as many as this process may have files for. Its limit is raised if it can be."""
    needed = APART + 2 * wanted
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return wanted
    if soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(hard, needed)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return fitting(wanted, files=soft)


def fitting(wanted: int, *, files: int) -> int:
    found = min(wanted, max(LEAST, (files - APART) // 2))
    if found < wanted:
        told = f"it takes {found:,} connections, not limits.connections: {wanted:,}"
        LOG.warning("this process may have %s open files, so %s (ulimit -n)", f"{files:,}", told)
    return found
