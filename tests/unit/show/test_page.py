"""A page is one file, and nothing that a run says becomes a part of its code."""

from __future__ import annotations

from xml.etree import ElementTree

from llmops_cli.show.gates import ConditionOutcome, JudgedCondition, gate_junit
from llmops_cli.show.page import html_facts, html_item, page_shell

HOSTILE = "</script><script>alert(1)</script>"


def test_what_a_run_says_is_no_code() -> None:
    page = page_shell(title=HOSTILE, body=html_item(HOSTILE), data={"name": HOSTILE})
    assert HOSTILE not in page
    assert "__" + "BODY__" not in page
    assert HOSTILE not in html_facts({HOSTILE: HOSTILE})


def test_a_gate_that_cannot_tell_is_a_failure_in_junit() -> None:
    judged = [
        JudgedCondition(condition="error_rate > 1%", load="burst", outcome=outcome, text="0.5%")
        for outcome in ConditionOutcome
    ]
    suite = ElementTree.fromstring(gate_junit(judged).partition("\n")[2])
    assert (suite.get("tests"), suite.get("failures")) == ("4", "2")
