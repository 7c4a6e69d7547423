"""What is asked of a training step, and the number formats that it is done in."""

from __future__ import annotations

import msgspec

FORMAT_BYTES = {"f32": 4, "bf16": 2, "fp16": 2}
AUTO = "auto"


class Work(msgspec.Struct, frozen=True, kw_only=True):
    """One optimizer step.

    batch_size: rows over all devices; each device takes its part of them in `accumulate` passes.
    parameter_format: f32 unless the run is all in low precision. checkpointing: none, full,
    selective (products and attention are kept), or alternate (every second product, as torchtitan).
    """

    sequence_length: int
    batch_size: int
    accumulate: int = 1
    precision: str = "bf16"
    parameter_format: str = "f32"
    optimizer: str = "adamw"
    checkpointing: str = "none"
    attention: str = "sdpa"
    has_ema: bool = False
    is_packed: bool = False
    is_compiled: bool = False
    matmul_format: str | None = None
    """`float8`: its matrices are multiplied in 8 bits, all else stays."""


class Numbers(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes of one element.

    weight: as it is kept; stream: of the hidden states between blocks; compute: inside a block.
    is_autocast: each matrix multiplication casts its inputs for itself, and keeps the casts.
    """

    weight: int
    gradient: int
    stream: int
    compute: int
    is_autocast: bool = False

    @property
    def casts(self) -> bool:
        """Weights are kept in one format and multiplied in another."""
        return self.weight != self.compute


def numbers_of(work: Work, *, casts_whole_model: bool) -> Numbers:
    """By who casts.

    casts_whole_model: the strategy gives the model weights in the compute format (FSDP's mixed
    precision), so its hidden states have that format too; else torch.autocast does.
    """
    compute = FORMAT_BYTES[work.precision]
    weight = FORMAT_BYTES[work.parameter_format]
    if weight <= compute:
        return Numbers(weight=weight, gradient=weight, stream=compute, compute=compute)
    if casts_whole_model:
        return Numbers(weight=weight, gradient=weight, stream=compute, compute=compute)
    return Numbers(weight=weight, gradient=weight, stream=weight, compute=compute, is_autocast=True)


def batches_that_divide(batch_size: int, *, shares: int, accumulate: int) -> str:
    """What to ask for in place of a batch that does not divide: the options nearest to it."""
    parts = shares * accumulate
    whole = -(-batch_size // parts) * parts
    found = [f"--batch-size {whole}"]
    rows = batch_size // shares
    if batch_size % shares == 0 and accumulate > 1:
        divisors = [count for count in range(1, rows + 1) if rows % count == 0]
        nearest = min(divisors, key=lambda count: (abs(count - accumulate), count))
        found.insert(0, f"--accumulate {nearest}")
    return ", or ".join(found)
