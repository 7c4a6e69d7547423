"""Every model that a plan knows by name."""

from __future__ import annotations

import msgspec

from llmops_cli.sizing.public_models import CONFIGS, config_named
from llmops_cli.sizing.served import kv_bytes_per_token
from llmops_cli.sizing.served_models import served_model
from llmops_cli.sizing.towers import VISION


class ModelRow(msgspec.Struct, frozen=True, kw_only=True):
    """A model as the table has it. `parameters`: with its tower for pictures.

    kv_bytes_per_token: in 16 bits, while no window is full. positions: None where several models
    of that name have others.
    """

    name: str
    family: str
    parameters: int
    active_parameters: int
    kv_bytes_per_token: float
    positions: int | None


def model_rows() -> list[ModelRow]:
    """By name."""
    return [_row(name) for name in sorted(CONFIGS)]


def _row(name: str) -> ModelRow:
    model = served_model(config_named(name), name=name, source=name)
    return ModelRow(
        name=name,
        family=model.model_type,
        parameters=model.parameters_total + model.extra_parameters.get(VISION, 0),
        active_parameters=model.parameters_active,
        kv_bytes_per_token=kv_bytes_per_token(model),
        positions=model.context,
    )
