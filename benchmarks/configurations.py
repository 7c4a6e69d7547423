"""Fills tests/data/configurations.json: parameters of each configuration by Transformers itself.

    python -m benchmarks.configurations

Models are made on torch's meta device, where a tensor has a shape and no memory. The configurations
are read from the file, and only the counts are written; a unit test compares ours with them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

PATH = Path(__file__).parent.parent / "tests" / "data" / "configurations.json"


class Configuration(msgspec.Struct, kw_only=True):
    """`parameters`: of the text model with its head, each tensor once."""

    name: str
    source: str
    config: dict[str, Any]  # Any: each architecture has fields of its own
    counted_by: str = ""
    parameters: int = 0


def main() -> None:
    rows = msgspec.json.decode(PATH.read_bytes(), type=list[Configuration])
    counted = [_counted(row) for row in rows]
    text = msgspec.json.format(msgspec.json.encode(counted), indent=1)
    PATH.write_bytes(text + b"\n")


def _counted(row: Configuration) -> Configuration:
    import torch
    import transformers
    from transformers.initialization import no_init_weights

    fields = dict(row.config)
    config = transformers.AutoConfig.for_model(fields.pop("model_type"), **fields)
    with torch.device("meta"), no_init_weights():
        maker = transformers.AutoModelForCausalLM
        model = maker.from_config(config)  # type: ignore[no-untyped-call]
    model.tie_weights()
    count = sum(each.numel() for each in model.parameters())
    return msgspec.structs.replace(
        row,
        counted_by=f"{type(model).__name__}, Transformers {transformers.__version__}",
        parameters=count,
    )


if __name__ == "__main__":
    main()
