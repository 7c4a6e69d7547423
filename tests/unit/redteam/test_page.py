"""The page."""

from __future__ import annotations

from llmops_cli.redteam.page import redteam_page
from tests.unit.redteam.reports import report


def test_the_page_escapes_what_it_shows() -> None:
    page = redteam_page(report(1, 10))
    assert "<script>" not in page
    assert "default-src 'none'" in page
