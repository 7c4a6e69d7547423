"""What is trained where nobody said otherwise: the demo, a new model, a model of the user's."""

from __future__ import annotations

from llmops_cli.core.errors import UsageError

Values = dict[str, object]
Origins = dict[str, str]

DEMO = "demo"

OF_ANY_OTHER: Values = {
    "accumulate": 1,
    "optimizer": "adamw",
    "schedule": "cosine",
    "warmup_steps": None,
    "least_rate": 0.1,
    "prompt_loss_weight": 0.0,
    "too_long": "cut",
    "checkpoint_every": 500,
}
OF_A_CONFIGURATION: Values = {
    **OF_ANY_OTHER,
    "learning_rate": 3e-4,
    "weight_decay": 0.1,
}
"""Pre-training as the field does it (Llama 2, arXiv:2307.09288, section 2.2)."""
OF_A_MODEL: Values = {
    **OF_ANY_OTHER,
    "steps": None,
    "epochs": 1.0,
    "batch_size": 16,
    "learning_rate": 2e-5,
    "weight_decay": 0.0,
}
"""Full fine-tuning as the field does it."""


def settle_defaults(values: Values, origins: Origins) -> None:
    """The defaults of what is trained, where nobody asked for another value.

    Raises: UsageError where two wishes exclude one another, or data are missing.
    """
    _refuse_contradictions(values, origins)
    chosen = _defaults(values)
    asked = {name for name, origin in origins.items() if origin != "default"}
    if "steps" in asked:
        chosen = {**chosen, "epochs": None}
    elif "epochs" in asked:
        chosen = {**chosen, "steps": None}
    for name, value in chosen.items():
        if name not in asked:
            values[name] = value


def _defaults(values: Values) -> Values:
    if values.get("model"):
        return OF_A_MODEL
    if values.get("init"):
        return OF_A_CONFIGURATION
    return {}


def _refuse_contradictions(values: Values, origins: Origins) -> None:
    model = values.get("model")
    init = values.get("init")
    if model and init:
        raise UsageError(
            "MODEL is trained further and --init begins from scratch: give one of them",
            hint=f"llmops train {model}, or llmops train --init {init}",
        )
    begins = model or init
    if begins and not values.get("data"):
        raise UsageError(
            f"{begins} needs data to be trained on",
            hint="--data FILE (JSONL, Parquet, text or a dataset folder), or --data demo",
        )
    if origins.get("steps") == "flag" and origins.get("epochs") == "flag":
        raise UsageError(
            "--steps and --epochs both say how long",
            hint="give one of them",
        )
