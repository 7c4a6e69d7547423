"""Measurements as observations for a fit: rows of published values."""

from __future__ import annotations

from collections.abc import Iterable

from llmops_cli.core.errors import LlmopsError
from llmops_cli.plan.answers_speed import ENGINES, RawSpeed
from llmops_cli.plan.answers_train import raw_memory, raw_speed, trained
from llmops_cli.plan.references import Reference, Unanswered, published_number
from llmops_cli.sizing.calibration import Group, Observation, fit
from llmops_cli.sizing.placement import is_spilled
from llmops_cli.sizing.training_bands import ENGINE, MEMORY, SPEED, kind_of


def groups_of(rows: Iterable[Reference], *, is_tuned: bool) -> tuple[Group, ...]:
    """Of the rows that are speeds and can be predicted; what lies partly in main memory is none."""
    observations = []
    for row in rows:
        found = None
        if row.quantity in ENGINES:
            found = observation_of(row, is_tuned=is_tuned)
        elif row.quantity in TRAINING:
            found = _of_training(row)
        if found is not None:
            observations.append(found)
    return fit(observations)


def observation_of(row: Reference, *, is_tuned: bool) -> Observation | None:
    truth = published_number(row.value)
    try:
        raw = RawSpeed(row, is_tuned=is_tuned)
    except (Unanswered, LlmopsError):
        return None
    if truth is None or truth <= 0 or is_spilled(raw.load, raw.place) or raw.load.expert_bytes:
        return None
    return Observation(
        engine=raw.engine,
        machine=raw.machine,
        quantity=raw.kind,
        ratio=truth / raw.value,
        source=row.source,
    )


TRAINING = {
    "train_tps_per_gpu": (SPEED, raw_speed),
    "train_memory_per_gpu": (MEMORY, raw_memory),
}


def _of_training(row: Reference) -> Observation | None:
    truth = published_number(row.value)
    quantity, raw_of = TRAINING[row.quantity]
    try:
        found = trained(row)
    except (Unanswered, LlmopsError):
        return None
    if truth is None or truth <= 0:
        return None
    unit = 1.0 if isinstance(row.value, str) else row.unit_size
    return Observation(
        engine=ENGINE,
        machine=found.cluster.device.name,
        quantity=kind_of(found.layout, quantity),
        ratio=truth * unit / raw_of(found),
        source=row.source,
    )
