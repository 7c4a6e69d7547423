"""Fills tests/data: parameters of each configuration by Transformers itself.

    python -m benchmarks.configurations

Models are made on torch's meta device, where a tensor has a shape and no memory. The configurations
are read from the files, and only the counts are written; a unit test compares ours with them.
`configurations.json`: of text models with their heads. `towers.json`: of what a multi-modal model
has beside its text model.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

DATA = Path(__file__).parent.parent / "tests" / "data"
PATH = DATA / "configurations.json"
TOWERS_PATH = DATA / "towers.json"
Fields = dict[str, Any]  # Any: each architecture has fields of its own


class Configuration(msgspec.Struct, kw_only=True, omit_defaults=True):
    """`parameters`: each tensor once, tied ones too. text_parameters: without a head."""

    name: str
    source: str
    config: Fields
    counted_by: str = ""
    parameters: int = 0
    text_parameters: int = 0


def main() -> None:
    _fill(PATH, _text_model)
    _fill(TOWERS_PATH, _tower)


def _fill(path: Path, counted: Any) -> None:  # Any: a function of a row
    rows = msgspec.json.decode(path.read_bytes(), type=list[Configuration])
    text = msgspec.json.format(msgspec.json.encode([counted(row) for row in rows]), indent=1)
    path.write_bytes(text + b"\n")


def _text_model(row: Configuration) -> Configuration:
    import transformers

    model = _made(transformers.AutoModelForCausalLM, _config(row.config))
    return _filled(row, model, _count(model))


def _tower(row: Configuration) -> Configuration:
    import transformers

    whole = _made(transformers.AutoModelForImageTextToText, _config(row.config))
    sizes = {name: each.numel() for name, each in whole.named_parameters()}
    head = sum(count for name, count in sizes.items() if "lm_head" in name)
    text = sum(count for name, count in sizes.items() if "language_model" in name)
    text -= sum(count for name, count in sizes.items() if "language_model.lm_head" in name)
    filled = _filled(row, whole, sum(sizes.values()) - text - head)
    return msgspec.structs.replace(filled, text_parameters=text)


def _config(fields: Fields) -> Any:  # Any: Transformers' own
    import transformers

    rest = dict(fields)
    return transformers.AutoConfig.for_model(rest.pop("model_type"), **rest)


def _made(maker: Any, config: Any) -> Any:  # Any: Transformers' own
    import torch
    from transformers.initialization import no_init_weights

    with torch.device("meta"), no_init_weights():
        model = maker.from_config(config)
    model.tie_weights()
    return model


def _count(model: Any) -> int:  # Any: a module
    return sum(each.numel() for each in model.parameters())


def _filled(row: Configuration, model: Any, count: int) -> Configuration:  # Any: a module
    import transformers

    return msgspec.structs.replace(
        row,
        counted_by=f"{type(model).__name__}, Transformers {transformers.__version__}",
        parameters=count,
    )


if __name__ == "__main__":
    main()
