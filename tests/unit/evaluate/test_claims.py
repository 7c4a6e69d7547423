"""What a document says of a claim, and how often a reader of claims is right."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmops_cli.evaluate.claim_rates import OWN, rates_of, read_labelled
from llmops_cli.evaluate.claims import ClaimReading, ClaimVerdict, claims_of, read_claim

DOCUMENT = (
    "The tower was finished in 1889. It is 330 metres high and is open every day. "
    "Tickets cost 29 euros. Dogs are not admitted. Rosa Vale designed the lifts."
)


@pytest.mark.parametrize(
    ("claim", "verdict"),
    [
        ("The tower was finished in 1889.", ClaimVerdict.SUPPORTED),
        ("Dogs are not admitted.", ClaimVerdict.SUPPORTED),
        ("The tower is 330 metres high.", ClaimVerdict.SUPPORTED),
        ("The tower was finished in 1899.", ClaimVerdict.CONTRADICTED),
        ("Tickets cost 19 euros.", ClaimVerdict.CONTRADICTED),
        ("Dogs are admitted.", ClaimVerdict.CONTRADICTED),
        ("The tower is closed every day.", ClaimVerdict.CONTRADICTED),
        ("Peter Stone designed the lifts.", ClaimVerdict.CONTRADICTED),
        ("The lifts are painted brown.", ClaimVerdict.NOT_SAID),
        ("Gustave had three sons.", ClaimVerdict.NOT_SAID),
    ],
)
def test_numbers_names_negation_and_opposites(claim: str, verdict: ClaimVerdict) -> None:
    assert read_claim(DOCUMENT, claim).verdict is verdict


def test_a_contradiction_names_the_sentence_that_says_otherwise() -> None:
    found = read_claim(DOCUMENT, "Tickets cost 19 euros.")
    assert found.sentence == "Tickets cost 29 euros."


def test_questions_claim_nothing() -> None:
    assert claims_of("It is 7. Is that so? Yes.") == ["It is 7.", "Yes."]


@given(st.text(max_size=200), st.text(max_size=80))
def test_no_text_raises(document: str, claim: str) -> None:
    assert read_claim(document, claim).verdict in ClaimVerdict


def test_our_labels_are_balanced_and_the_reader_is_as_good_as_told() -> None:
    """The half `held` was not adjusted to; docs/GUARD.md has its figures."""
    labelled = [one for one in read_labelled(OWN) if one.half == "held"]
    readings = [read_claim(one.document, one.claim) for one in labelled]
    rates = rates_of(labelled, readings)
    assert len(read_labelled(OWN)) >= 120
    assert {one.labelled for one in rates.verdicts.values()} == {len(labelled) // 3}
    assert rates.accuracy >= 0.7
    contradicted = rates.verdicts["contradicted"]
    assert contradicted.precision is not None
    assert contradicted.precision >= 0.8


def test_what_was_not_decided_is_not_right() -> None:
    labelled = read_labelled(OWN)[:2]
    right = ClaimReading(claim=labelled[0].claim, verdict=labelled[0].verdict)
    rates = rates_of(labelled, [right, None])
    assert (rates.undecided, rates.accuracy) == (1, 0.5)
