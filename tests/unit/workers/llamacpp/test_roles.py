"""Which tensors are measured together."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from llamacpp.roles import groups_of, role_of

ROLES = ("attn_q.weight", "ffn_down.weight", "ffn_up.weight")


def names(layers: int) -> list[str]:
    inside = [f"blk.{layer}.{role}" for layer in range(layers) for role in ROLES]
    return ["token_embd.weight", *inside]


@given(st.integers(1, 70), st.integers(1, 250))
def test_each_tensor_is_in_one_group_of_its_role_and_of_neighbours(layers: int, most: int) -> None:
    groups = groups_of(names(layers), most=most)
    together = [name for group in groups for name in group.tensors]
    assert sorted(together) == sorted(names(layers))
    assert len({group.name for group in groups}) == len(groups)
    for group in groups:
        assert len({role_of(name) for name in group.tensors}) == 1
        places = [int(name.split(".")[1]) for name in group.tensors if name.startswith("blk")]
        assert places == list(range(min(places, default=0), min(places, default=0) + len(places)))


@given(st.integers(1, 70), st.integers(4, 250))
def test_there_are_no_more_groups_than_asked_and_few_layers_together(
    layers: int, most: int
) -> None:
    groups = groups_of(names(layers), most=most)
    assert len(groups) <= most
    if len(names(layers)) <= most:
        assert all(len(group.tensors) == 1 for group in groups)
