"""What a key of another trainer's file means here: an option, nothing, or a refusal."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from typing import NamedTuple

from llmops_cli.core.errors import UsageError
from llmops_cli.train.foreign.lines import AUTO, Leaf, Leaves

Values = dict[str, object]
Rule = Callable[[Leaf, Leaves], Values]
"""A leaf, and all leaves beside it, to fields of our recipe. Raises: UsageError."""
Rules = Mapping[str, Rule]


class Foreign(NamedTuple):
    """Fields of our recipe that a file sets. origins: field -> FILE:LINE.

    notes: a sentence for each key that is left out because it changes no result.
    """

    values: Values
    origins: dict[str, str]
    notes: tuple[str, ...]


def apply(leaves: Leaves, rules: Rules) -> Foreign:
    """Raises: UsageError with file, line and key of the first that has no counterpart here."""
    values: Values = {}
    origins: dict[str, str] = {}
    notes = []
    for leaf in leaves.values():
        rule = _rule_of(leaf, rules)
        if leaf.value in (AUTO, None, {}):
            continue
        taken = rule(leaf, leaves)
        if rule is quiet:
            notes.append(f"{leaf.origin}: '{leaf.path}' changes no result and is left out")
        for field, value in taken.items():
            _refuse_contradiction(leaf, field, value, values, origins)
            values[field] = value
            origins[field] = leaf.origin
    return Foreign(values, origins, tuple(notes))


def _rule_of(leaf: Leaf, rules: Rules) -> Rule:
    """By its path, or by `SECTION.*` of one of its sections."""
    if leaf.path in rules:
        return rules[leaf.path]
    parts = leaf.path.split(".")
    for length in range(len(parts), 0, -1):
        pattern = ".".join([*parts[:length], "*"])
        if pattern in rules:
            return rules[pattern]
    near = difflib.get_close_matches(leaf.path, rules, 1)
    hint = f"did you mean '{near[0]}'?" if near else "leave it out, and say it by our own options"
    raise refusal(leaf, "has no counterpart here", hint)


def _refuse_contradiction(
    leaf: Leaf,
    field: str,
    value: object,
    values: Values,
    origins: dict[str, str],
) -> None:
    if field in values and values[field] != value:
        why = f"is at odds with {origins[field]}, which says {values[field]} for {field}"
        raise refusal(leaf, why)


def refusal(leaf: Leaf, why: str, hint: str | None = None) -> UsageError:
    return UsageError(f"{leaf.origin}: '{leaf.path}: {leaf.value}' {why}", hint=hint)


def quiet(leaf: Leaf, leaves: Leaves) -> Values:
    """It changes how fast something is, or what is printed."""
    del leaf, leaves
    return {}


def integer(field: str) -> Rule:
    def rule(leaf: Leaf, leaves: Leaves) -> Values:
        del leaves
        if isinstance(leaf.value, bool) or not isinstance(leaf.value, int):
            raise refusal(leaf, "is no whole number")
        return {field: leaf.value}

    return rule


def number(field: str) -> Rule:
    def rule(leaf: Leaf, leaves: Leaves) -> Values:
        del leaves
        return {field: float_of(leaf)}

    return rule


def float_of(leaf: Leaf) -> float:
    """YAML reads 1e-5 as text. Raises: UsageError."""
    if isinstance(leaf.value, bool) or not isinstance(leaf.value, (int, float, str)):
        raise refusal(leaf, "is no number")
    try:
        return float(leaf.value)
    except ValueError as error:
        raise refusal(leaf, "is no number") from error


def only(*allowed: object, hint: str | None = None) -> Rule:
    """A key whose other values ask for what is not here."""

    def rule(leaf: Leaf, leaves: Leaves) -> Values:
        del leaves
        if not any(same(leaf.value, value) for value in allowed):
            raise refusal(leaf, "has no counterpart here", hint)
        return {}

    return rule


def same(value: object, other: object) -> bool:
    """Text in any case; True is not 1."""
    if isinstance(value, str) and isinstance(other, str):
        return value.lower() == other.lower()
    return type(value) is type(other) and value == other


def choice(field: str, table: Mapping[str, object], hint: str | None = None) -> Rule:
    """A word that is another one here."""

    def rule(leaf: Leaf, leaves: Leaves) -> Values:
        del leaves
        word = str(leaf.value).lower()
        if word not in table:
            raise refusal(leaf, "has no counterpart here", hint or f"known: {', '.join(table)}")
        return {field: table[word]}

    return rule


def switch(field: str, value: object) -> Rule:
    """`value` where it is true, nothing where it is false."""

    def rule(leaf: Leaf, leaves: Leaves) -> Values:
        del leaves
        if leaf.value is True:
            return {field: value}
        if leaf.value is False:
            return {}
        raise refusal(leaf, "is neither true nor false")

    return rule
