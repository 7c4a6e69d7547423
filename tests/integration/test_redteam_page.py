"""The page of a red-team run on a narrow screen."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmops_cli.core.report import decode_report
from llmops_cli.redteam.page import redteam_page
from llmops_cli.redteam.report import RedteamReport
from tests.browser import Browser

GOLDEN = Path(__file__).parents[1] / "golden" / "reports" / "llmops.redteam-1.json"


@pytest.mark.parametrize("width", [360, 768, 1280])
def test_a_wide_table_scrolls_in_its_own_box(width: int, tmp_path: Path) -> None:
    report = decode_report(GOLDEN.read_bytes())
    assert isinstance(report, RedteamReport)
    path = tmp_path / "page.html"
    path.write_text(redteam_page(report))
    with Browser() as browser:
        browser.size(width, 900)
        browser.open(path.as_uri())
        assert browser.run("document.documentElement.scrollWidth <= window.innerWidth")
        assert browser.run("document.querySelectorAll('table').length") == 2
