"""What a report tells of a mix: each tensor's type, what it costs, and why it is not another."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from llmops_cli.quantize.allocation import Allocation, Option, Options, hull


class NextType(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The next larger or smaller type that is ever worth it: bytes and nats against the chosen."""

    type: str
    bytes: int
    loss: float

    @property
    def nats_per_mb(self) -> float:
        """What a megabyte more saves, or a megabyte less costs."""
        return abs(self.loss) / abs(self.bytes) * 1e6


class MixedTensor(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`loss` is the KL divergence that this type alone is predicted to cost, in nats."""

    name: str
    type: str
    bits_per_weight: float
    size_bytes: int
    loss: float
    larger: NextType | None = None
    smaller: NextType | None = None


class Mixture(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The choice for a whole file, and what it rests on.

    `predicted_loss`: the sum over all tensors, of the calibration text; no choice of types of this
    size has less than `least_loss`. `groups`: how many losses were measured.
    """

    room_bytes: int
    size_bytes: int
    predicted_loss: float
    least_loss: float
    groups: int
    tensors: list[MixedTensor]

    @property
    def counts(self) -> dict[str, int]:
        """How many tensors have each type, the widest type first."""
        found: dict[str, int] = {}
        for tensor in sorted(self.tensors, key=lambda each: -each.bits_per_weight):
            found[tensor.type] = found.get(tensor.type, 0) + 1
        return found


def mixture_of(
    options: Options,
    found: Allocation,
    *,
    room_bytes: int,
    fixed_bytes: int,
    groups: int,
) -> Mixture:
    tensors = []
    for name, chosen in found.chosen.items():
        tensors.append(_mixed(name, chosen, options[name]))
    return Mixture(
        room_bytes=room_bytes,
        size_bytes=found.size_bytes + fixed_bytes,
        predicted_loss=found.loss,
        least_loss=found.least_loss,
        groups=groups,
        tensors=tensors,
    )


def _mixed(name: str, chosen: Option, options: Sequence[Option]) -> MixedTensor:
    kept = hull(options)
    larger = [option for option in kept if option.size_bytes > chosen.size_bytes]
    smaller = [option for option in kept if option.size_bytes < chosen.size_bytes]
    return MixedTensor(
        name=name,
        type=chosen.type,
        bits_per_weight=chosen.bits_per_weight,
        size_bytes=chosen.size_bytes,
        loss=chosen.loss,
        larger=_next(chosen, larger[0]) if larger else None,
        smaller=_next(chosen, smaller[-1]) if smaller else None,
    )


def _next(chosen: Option, other: Option) -> NextType:
    return NextType(
        type=other.type,
        bytes=other.size_bytes - chosen.size_bytes,
        loss=other.loss - chosen.loss,
    )
