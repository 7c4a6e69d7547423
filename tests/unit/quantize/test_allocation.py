"""Laws of choosing a type for each tensor under a size."""

from __future__ import annotations

from itertools import pairwise, product

from hypothesis import given
from hypothesis import strategies as st

from llmops_cli.quantize.allocation import (
    Option,
    allocate,
    hull,
    least_loss,
    loss_of,
    size_of,
    smallest_choice,
    uniform_choices,
)

LADDER = {"A": 2.5, "B": 3.5, "C": 4.5, "D": 4.5, "E": 6.5, "F": 8.5}
"""Types and their bits: two of them have as many."""


@st.composite
def tensors(draw: st.DrawFn) -> dict[str, list[Option]]:
    """Tensors of many sizes, each with some of the types; losses need not fall."""
    found = {}
    for number in range(draw(st.integers(1, 6))):
        weights = draw(st.sampled_from([32, 64, 256, 4096]))
        types = draw(st.lists(st.sampled_from(sorted(LADDER)), min_size=1, unique=True))
        found[f"t{number}"] = [
            Option(
                type=name,
                bits_per_weight=LADDER[name],
                size_bytes=int(weights * LADDER[name] / 8),
                loss=draw(st.floats(0, 1)),
            )
            for name in types
        ]
    return found


room = st.integers(0, 20_000)


@given(tensors(), room)
def test_it_is_never_over_the_size_and_each_tensor_has_one_of_its_types(
    options: dict[str, list[Option]], room_bytes: int
) -> None:
    found = allocate(options, room_bytes)
    if found is None:
        return
    assert found.size_bytes == size_of(found.chosen) <= room_bytes
    assert found.chosen.keys() == options.keys()
    assert all(found.chosen[name] in options[name] for name in options)


@given(tensors(), room)
def test_nothing_is_found_only_where_nothing_fits(
    options: dict[str, list[Option]], room_bytes: int
) -> None:
    smallest_bytes = size_of(smallest_choice(options))
    assert (allocate(options, room_bytes) is None) == (room_bytes < smallest_bytes)
    assert allocate(options, smallest_bytes) is not None


@given(tensors(), room, st.integers(0, 5000))
def test_more_room_never_loses_more(
    options: dict[str, list[Option]], room_bytes: int, more_bytes: int
) -> None:
    small = allocate(options, room_bytes)
    large = allocate(options, room_bytes + more_bytes)
    if small is not None:
        assert large is not None
        assert large.loss <= small.loss


@given(tensors(), room)
def test_it_is_no_worse_than_the_best_uniform_type_that_fits(
    options: dict[str, list[Option]], room_bytes: int
) -> None:
    found = allocate(options, room_bytes)
    for choice in uniform_choices(options):
        if size_of(choice) <= room_bytes:
            assert found is not None
            assert found.loss <= loss_of(choice)


@given(tensors(), room)
def test_no_choice_at_all_is_below_the_bound_that_it_tells(
    options: dict[str, list[Option]], room_bytes: int
) -> None:
    found = allocate(options, room_bytes)
    if found is None:
        return
    best = min(
        sum(option.loss for option in picked)
        for picked in product(*options.values())
        if sum(option.size_bytes for option in picked) <= room_bytes
    )
    assert found.least_loss <= best + 1e-9
    assert best <= found.loss + 1e-9


@given(tensors())
def test_with_room_for_all_it_is_the_best_of_each(options: dict[str, list[Option]]) -> None:
    found = allocate(options, 10**9)
    assert found is not None
    best = sum(min(option.loss for option in able) for able in options.values())
    assert abs(found.loss - best) < 1e-9
    assert abs(least_loss(options, 10**9) - best) < 1e-9


@given(tensors())
def test_each_step_of_a_hull_saves_less_for_a_byte(options: dict[str, list[Option]]) -> None:
    for able in options.values():
        kept = hull(able)
        assert kept[0].size_bytes == min(option.size_bytes for option in able)
        assert kept[-1].loss == min(option.loss for option in able)
        worths = [
            (one.loss - next_one.loss) / (next_one.size_bytes - one.size_bytes)
            for one, next_one in pairwise(kept)
        ]
        assert worths == sorted(worths, reverse=True)


def test_bytes_go_to_the_tensor_that_needs_them() -> None:
    def tensor(sensitivity: float) -> list[Option]:
        return [
            Option(type="small", bits_per_weight=4, size_bytes=400, loss=sensitivity),
            Option(type="large", bits_per_weight=8, size_bytes=800, loss=sensitivity / 16),
        ]

    options = {"dull": tensor(0.01), "tender": tensor(0.5), "third": tensor(0.02)}
    found = allocate(options, 1600)
    assert found is not None
    assert {name: option.type for name, option in found.chosen.items()} == {
        "dull": "small",
        "tender": "large",
        "third": "small",
    }
