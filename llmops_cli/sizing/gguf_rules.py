"""Which type a tensor gets in a mixture, by its category, its layer and the model's shape.

Source: llama_tensor_get_type_impl in src/llama-quant.cpp of llama.cpp, branch by branch.
"""

from __future__ import annotations

import msgspec

SMALLEST = frozenset({"IQ2_XXS", "IQ2_XS", "IQ1_S", "IQ1_M", "IQ2_S", "IQ2_M"})
MIDDLE = frozenset({"IQ2_S", "IQ2_M"})
EIGHT_EXPERT_OUTPUTS = frozenset(
    {
        "Q2_K",
        "IQ3_XS",
        "IQ3_XXS",
        "Q3_K_S",
        "Q3_K_M",
        "IQ4_NL",
        "Q4_K_S",
        "Q4_K_M",
        "IQ3_S",
        "IQ3_M",
        "IQ4_XS",
    }
)
WIDER_DOWNS = {"Q2_K": "Q3_K", "Q3_K_L": "Q5_K"}
OUTPUTS = {"Q2_K": "Q3_K", "IQ3_XXS": "IQ3_S", "Q3_K_M": "Q4_K", "Q3_K_L": "Q5_K", "IQ3_M": "Q4_K"}
GROUPED = 4
"""Query heads for each key-value head from which values get more bits."""
EIGHT = 8
"""Experts of Mixtral, for which the rules have branches of their own."""


class Counters(msgspec.Struct, kw_only=True):
    """What the quantizer counts while it goes through a model; `values`: all that it will meet."""

    values: int
    values_seen: int = 0
    downs_seen: int = 0


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """All that the rules ask about one tensor. `row`: numbers of a row; `block`: of the default."""

    scheme: str
    default: str
    category: str
    layer: int
    layers: int
    is_stacked: bool
    row: int
    block: int
    gqa: int
    experts: int
    is_wide: bool
    is_tied: bool
    is_falcon: bool
    has_matrix: bool


def typed(place: Place, counters: Counters) -> str:
    """A type's name, before what its row's length may change."""
    if place.category == "output" or (place.is_tied and place.category == "embedding"):
        return _head(place)
    if place.scheme == "MXFP4_MOE":
        return "MXFP4" if place.is_stacked else "Q8_0"
    if place.category == "embedding":
        return _embedding(place)
    if place.scheme in SMALLEST:
        return _smallest(place, counters)
    return _usual(place, counters)


def _usual(place: Place, counters: Counters) -> str:
    if place.category in {"v", "qkv", "kv_b"}:
        found = _value(place, counters.values_seen, counters.values)
        counters.values_seen += 1
        return found
    if place.category in {"k", "q"}:
        return _key(place)
    if place.category == "down":
        layer = place.layer if place.experts > 1 else counters.downs_seen
        counters.downs_seen += 1
        return _down(place, layer)
    if place.category == "o":
        return _attention_output(place)
    return _other(place)


def uses_more_bits(layer: int, layers: int) -> bool:
    """The first and the last eighth, and every third between."""
    eighth = layers // 8
    return layer < eighth or layer >= 7 * layers // 8 or (layer - eighth) % 3 == 2


def _head(place: Place) -> str:
    if place.scheme == "MXFP4_MOE" or place.is_falcon or place.row % place.block:
        return "Q8_0"
    if place.scheme in SMALLEST or place.scheme == "IQ3_XXS":
        return "Q5_K"
    return "Q8_0" if place.default == "Q8_0" else "Q6_K"


def _embedding(place: Place) -> str:
    if place.scheme in MIDDLE or place.scheme == "IQ3_XXS":
        return "IQ3_S"
    if place.scheme in SMALLEST:
        return "Q2_K"
    return "Q4_K" if place.scheme in {"TQ1_0", "TQ2_0"} else place.default


def _smallest(place: Place, counters: Counters) -> str:
    wider = "IQ3_S" if place.scheme in MIDDLE else "Q2_K"
    if place.category in {"v", "qkv", "kv_b"}:
        return "Q4_K" if place.gqa >= GROUPED or place.experts >= GROUPED else wider
    if place.category == "k" and place.experts == EIGHT:
        return "Q4_K"
    if place.category == "down":
        counters.downs_seen += 1
        return wider if counters.downs_seen <= place.layers // 8 else place.default
    if place.category == "o":
        return _smallest_output(place)
    return place.default


def _smallest_output(place: Place) -> str:
    if place.experts == EIGHT:
        return "Q5_K"
    if place.scheme in {"IQ1_S", "IQ1_M"}:
        return "IQ2_XXS"
    return "IQ3_S" if place.scheme in MIDDLE else place.default


def _value(place: Place, seen: int, count: int) -> str:
    found = _value_by_scheme(place, seen, count)
    if place.is_wide and found in {"Q3_K", "Q4_K"}:
        found = "Q5_K"
    return "Q8_0" if place.experts == EIGHT else found


def _value_by_scheme(place: Place, seen: int, count: int) -> str:  # noqa: PLR0911
    scheme = place.scheme
    is_grouped = place.gqa >= GROUPED
    if scheme == "Q2_K":
        return "Q4_K" if is_grouped else "Q3_K"
    if scheme in {"Q2_K_S", "IQ3_XS", "IQ3_S"} and is_grouped:
        return "Q4_K"
    if scheme == "IQ3_XXS":
        narrow = "IQ3_XXS" if place.has_matrix else "IQ3_S"
        return "Q4_K" if is_grouped else narrow
    if scheme == "IQ3_M":
        return "Q4_K"
    if scheme == "Q3_K_M":
        return "Q5_K" if seen < 2 else "Q4_K"
    if scheme == "Q3_K_L" or (scheme in {"IQ4_NL", "IQ4_XS"} and is_grouped):
        return "Q5_K"
    if scheme in {"Q4_K_M", "Q5_K_M"} and uses_more_bits(seen, count):
        return "Q6_K"
    if scheme == "Q4_K_S" and seen < 4:
        return "Q5_K"
    return place.default


def _key(place: Place) -> str:
    if place.category == "k" and place.experts == EIGHT:
        return "Q8_0"
    if place.scheme == "IQ3_XS":
        return "IQ3_XXS"
    return "IQ2_S" if place.scheme == "IQ3_XXS" else place.default


def _down(place: Place, layer: int) -> str:  # noqa: PLR0911
    scheme = place.scheme
    is_early = layer < place.layers // 8
    needs_more = uses_more_bits(layer, place.layers)
    if scheme in WIDER_DOWNS:
        return "Q4_K" if place.is_falcon and scheme == "Q3_K_L" else WIDER_DOWNS[scheme]
    if scheme == "Q2_K_S":
        return _more(place, "Q4_K", is_early)
    if scheme == "IQ3_XXS" and not place.has_matrix:
        return "Q4_K" if is_early else "Q3_K"
    if scheme == "Q3_K_M":
        return _middle_down(place, layer)
    if scheme == "IQ3_M":
        return _more(place, "Q4_K", is_early or (place.experts == EIGHT and needs_more))
    if scheme == "Q4_K_M":
        return _falcon_down(place, layer) if place.is_falcon else _more(place, "Q6_K", needs_more)
    if scheme in {"IQ4_NL", "IQ4_XS"}:
        return _more(place, "Q5_K", is_early and not place.has_matrix)
    if scheme == "Q5_K_M":
        return _more(place, "Q6_K", needs_more)
    if scheme == "Q4_K_S":
        return _more(place, "Q5_K", is_early and not place.is_falcon)
    if scheme in {"Q4_0", "Q5_0"}:
        return _more(place, f"{scheme[:-1]}1", is_early and place.has_matrix)
    return place.default


def _middle_down(place: Place, layer: int) -> str:
    if layer < place.layers // 16:
        return "Q5_K"
    is_wider = not place.is_falcon or uses_more_bits(layer, place.layers)
    return "Q4_K" if is_wider else "Q3_K"


def _falcon_down(place: Place, layer: int) -> str:
    if layer < place.layers // 16:
        return "Q6_K"
    return "Q5_K" if uses_more_bits(layer, place.layers) else "Q4_K"


def _more(place: Place, wider: str, is_wider: bool) -> str:  # noqa: FBT001
    return wider if is_wider else place.default


def _attention_output(place: Place) -> str:
    if place.is_falcon:
        return "Q4_K" if place.scheme == "Q3_K_L" else place.default
    if place.experts == EIGHT:
        return "Q5_K" if place.scheme in EIGHT_EXPERT_OUTPUTS else place.default
    return OUTPUTS.get(place.scheme, place.default)


def _other(place: Place) -> str:
    """Gates and ups: less in the middle layers of IQ3_XS."""
    if place.scheme != "IQ3_XS" or place.category not in {"gate", "up"}:
        return place.default
    layers = place.layers
    is_middle = layers // 8 <= place.layer < 7 * layers // 8
    return "IQ3_XXS" if is_middle else place.default
