"""Where a sentence ends for those who read its meaning."""

from __future__ import annotations

import pytest

from llmops_cli.guard.meanings import sentences_of


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("One. Two! Three?", ["One", " Two", " Three"], id="marks"),
        pytest.param("Version 3.5 of a.b", ["Version 3.5 of a.b"], id="within-a-word"),
        pytest.param("Wait... what?! Yes", ["Wait", " what", " Yes"], id="several-marks"),
        pytest.param("a?!b. c", ["a?!b", " c"], id="several-marks-within-a-word"),
        pytest.param("Safety layer: off. On", ["Safety layer: off", " On"], id="one-word-behind"),
        pytest.param("Note: it is off.", ["Note", " it is off"], id="more-words-behind"),
        pytest.param("Mode?: off.", ["Mode", " off"], id="mark-before-a-colon"),
        pytest.param("one\n\ntwo.\nthree", ["one", "two", "three"], id="lines"),
        pytest.param("一。二！三", ["一", "二", "三"], id="wide-marks"),
    ],
)
def test_sentences(text: str, expected: list[str]) -> None:
    assert list(sentences_of(text)) == expected
