"""Which texts a notice says become other tokens."""

from __future__ import annotations

import pytest

from llamacpp.notices import COMPOSED, FIRST_SPACE, TAKEN_AS_SPECIAL, is_told


@pytest.mark.parametrize(
    ("text", "kind", "is_said"),
    [
        (" leading", FIRST_SPACE, True),
        ("\u2581lower block \u0120 \u010a Ġ Ċ", FIRST_SPACE, True),
        ("one <s> two", FIRST_SPACE, True),
        ("trailing ", FIRST_SPACE, False),
        ("one <s> two", TAKEN_AS_SPECIAL, True),
        (" leading", TAKEN_AS_SPECIAL, False),
        (" leading", COMPOSED, False),
        ("one <s> two", COMPOSED, False),
    ],
    ids=["space", "mark", "token", "behind", "special", "other-kind", "nfc", "nfc-token"],
)
def test_only_what_its_kind_is_about(text: str, kind: str, is_said: bool) -> None:
    assert is_told(text, {kind}) is is_said
    assert not is_told(text, set())
