"""What quantization asks for."""

from __future__ import annotations

from typing import Annotated

import msgspec

from llmops_cli.core.fields import Positive


class QuantizeRecipe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One method, or a `sweep` of METHOD[:SCHEME][@QUANTIZER]. Options that are null are the
    method's own defaults.

    `imatrix` (gguf) is auto, none or a file. `calibration` is builtin (the model's own
    calibration.jsonl if it has one, else the text that ships with the toolkit), generated (the
    model's own words) or a file of text, JSONL or Parquet. `ignore` names layers to leave alone
    beside lm_head and routers. `eval` names tasks: lm-eval:TASK.
    """

    model: str = "demo"
    method: str = "gguf"
    engine: str | None = None
    scheme: list[str] = []
    bits: Annotated[int, msgspec.Meta(ge=1, le=8)] | None = None
    group_size: Annotated[int, msgspec.Meta(ge=-1)] | None = None
    symmetric: bool | None = None
    ignore: list[str] = []
    calibration: str = "builtin"
    samples: Positive | None = None
    seq_len: Positive = 512
    seed: int = 0
    imatrix: str = "auto"
    sweep: list[str] = []
    eval_text: str | None = None
    eval_tokens: Positive = 8192
    eval: list[str] = []
    fit_bytes: Positive | None = None
    quality: bool = True
    verify: bool = True
    max_perplexity_increase: Annotated[float, msgspec.Meta(ge=0)] | None = None
    threads: Positive | None = None
