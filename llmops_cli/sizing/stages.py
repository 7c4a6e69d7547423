"""Where a pipeline is cut, and how many passes each of its devices holds at once."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import accumulate

import msgspec

from llmops_cli.sizing.architecture import Architecture
from llmops_cli.sizing.layout import Layout
from llmops_cli.sizing.parameters import EMBEDDING, HEAD, Tensor, tensors_of


class Stage(msgspec.Struct, frozen=True, kw_only=True):
    """What one device of a pipeline has: blocks, with the embeddings or the head at the ends.

    in_flight: passes whose activations it holds at once, in units of all that it has.
    """

    number: int
    blocks: tuple[int, ...]
    tensors: tuple[Tensor, ...]
    is_first: bool
    is_last: bool
    in_flight: float


def stages_of(architecture: Architecture, layout: Layout) -> tuple[Stage, ...]:
    """One for each device of the line; interleaved, a device has every so many-th cut."""
    tensors = tensors_of(architecture)
    count = layout.pipeline * layout.chunks
    cuts = [0, *balanced(_sizes(architecture, tensors), count), len(architecture.blocks)]
    stages = []
    for number in range(layout.pipeline):
        blocks: list[int] = []
        for cut in range(number, count, layout.pipeline):
            blocks += range(cuts[cut], cuts[cut + 1])
        is_first = number == 0
        is_last = number == layout.pipeline - 1
        stage = Stage(
            number=number,
            blocks=tuple(blocks),
            tensors=_tensors_in(tensors, blocks, is_first=is_first, is_last=is_last),
            is_first=is_first,
            is_last=is_last,
            in_flight=in_flight(layout, number),
        )
        stages.append(stage)
    return tuple(stages)


def in_flight(layout: Layout, number: int) -> float:
    """GPipe holds all (arXiv:1811.06965); 1F1B as many as stages lie behind (arXiv:2006.09503).

    Interleaved chunks are (stages - number - 1) * 2 + (chunks - 1) * stages + 1, each a part of
    what the device has (arXiv:2104.04473, section 2.2).
    """
    stages = layout.pipeline
    if stages == 1:
        return 1.0
    if layout.schedule == "gpipe":
        return float(layout.micro_batches)
    behind = stages - number
    if layout.schedule == "1f1b":
        return float(min(layout.micro_batches, behind))
    pieces = (behind - 1) * 2 + (layout.chunks - 1) * stages + 1
    return min(pieces, layout.micro_batches * layout.chunks) / layout.chunks


def _tensors_in(
    tensors: Sequence[Tensor],
    blocks: Sequence[int],
    *,
    is_first: bool,
    is_last: bool,
) -> tuple[Tensor, ...]:
    """A head that is tied to the embeddings of words is a second copy of them."""
    has_head = any(each.role == HEAD for each in tensors)
    words = tensors[0]
    numbers = set(blocks)
    own = []
    for tensor in tensors:
        if tensor.layer is not None:
            is_own = tensor.layer in numbers
        elif tensor.role == EMBEDDING:
            is_copy = tensor is words and not has_head
            is_own = is_first or (is_last and is_copy)
        else:
            is_own = is_last
        if is_own:
            own.append(tensor)
    return tuple(own)


def _sizes(architecture: Architecture, tensors: Sequence[Tensor]) -> tuple[int, ...]:
    """Parameters of each block; embeddings go with the first, norm and head with the last."""
    sizes = [0] * len(architecture.blocks)
    for tensor in tensors:
        if tensor.layer is not None:
            sizes[tensor.layer] += tensor.elements
        elif tensor.role == EMBEDDING:
            sizes[0] += tensor.elements
        else:
            sizes[-1] += tensor.elements
    if architecture.is_tied:
        sizes[-1] += tensors[0].elements
    return tuple(sizes)


@cache
def balanced(sizes: tuple[int, ...], count: int) -> tuple[int, ...]:
    """Where to cut so that the largest of `count` consecutive groups is as small as can be.

    Fewer sizes than groups leave the last groups empty.
    """
    total = len(sizes)
    count = min(count, total)
    ends = (0, *accumulate(sizes))
    # best[n]: of the first n sizes, the largest group, and where the last group begins
    best = [(ends[number], 0) for number in range(total + 1)]
    begins = []
    for group in range(1, count):
        best = [_best_end(ends, best, group, number) for number in range(total + 1)]
        begins.append([begin for _, begin in best])
    cuts = []
    end = total
    for each in reversed(begins):
        end = each[end]
        cuts.append(end)
    return tuple(reversed(cuts))


def _best_end(
    ends: tuple[int, ...],
    best: list[tuple[int, int]],
    group: int,
    number: int,
) -> tuple[int, int]:
    """Of `number` sizes in `group` + 1 groups: the largest one, and where the last begins."""
    if number <= group:
        return ends[-1] + 1, number
    choices = []
    for begin in range(group, number):
        largest = max(best[begin][0], ends[number] - ends[begin])
        choices.append((largest, begin))
    return min(choices)
