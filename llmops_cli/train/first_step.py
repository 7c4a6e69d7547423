"""The plan of a run's first step as it was: rows are rarely as long as they may be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from llmops_cli.sizing.devices import Cluster
from llmops_cli.sizing.families import architecture_of
from llmops_cli.sizing.memory import largest_parts, passes
from llmops_cli.train.dry_run import DryRun, PerDeviceBytes, per_device


def planned_for_pass(
    found: DryRun,
    config: Mapping[str, Any],  # Any: each architecture has fields of its own
    cluster: Cluster,
    *,
    strategy: str,
    rows: int,
    tokens: int,
) -> PerDeviceBytes | None:
    """What a pass of `rows` rows of `tokens` tokens needs; None for a strategy without a layout."""
    plan = found.strategies.get(strategy)
    if plan is None or plan.layout is None:
        return None
    layout = plan.layout
    batch_size = rows * layout.shares * passes(found.work, layout)
    work = msgspec.structs.replace(found.work, sequence_length=tokens, batch_size=batch_size)
    parts = largest_parts(
        architecture_of(config),
        work,
        layout,
        framework_bytes=cluster.device.framework_bytes(layout.devices),
        on_cpu=cluster.device.is_cpu,
    )
    return per_device(parts)
