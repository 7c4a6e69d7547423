"""The page and the table, of names and answers that try to break them."""

from __future__ import annotations

import io

import msgspec
import pytest
from rich.console import Console

from llmops_cli.core.report import Manifest
from llmops_cli.redteam.export import redteam_junit
from llmops_cli.redteam.page import redteam_page
from llmops_cli.redteam.report import RedteamExample, RedteamReport
from llmops_cli.redteam.sarif import redteam_sarif
from llmops_cli.redteam.show import redteam_table
from tests.unit.redteam.reports import report

HOSTILE = "x\x1b[2J\x07\u202e\u2066y\x9b[/red]\u2028<b>\U000e0041"
UNSEEN = ("\x1b", "\x07", "\u202e", "\u2066", "\x9b", "\u2028", "\U000e0041")


def hostile() -> RedteamReport:
    """The same bad text in every place that a server or a suite fills."""
    found = report(1, 10)
    example = RedteamExample(
        family=HOSTILE, attack=HOSTILE, prompt=HOSTILE, answer=HOSTILE, why=HOSTILE
    )
    return msgspec.structs.replace(
        found,
        manifest=Manifest(recipe={"model": HOSTILE, "url": "http://127.0.0.1:1"}),
        families={HOSTILE: found.overall},
        examples=[example],
        error_kinds={HOSTILE: 1},
    )


def test_the_page_escapes_what_it_shows() -> None:
    page = redteam_page(report(1, 10))
    assert "<script>" not in page
    assert "default-src 'none'" in page


@pytest.mark.parametrize("char", UNSEEN, ids=lambda char: f"U+{ord(char):04X}")
def test_nothing_unseen_reaches_the_page_the_terminal_or_junit(char: str) -> None:
    found = hostile()
    out = io.StringIO()
    Console(file=out, width=300, color_system=None).print(redteam_table(found))
    for text in (redteam_page(found), out.getvalue(), redteam_junit(found)):
        assert char not in text
        assert f"&lt;U+{ord(char):04X}&gt;" in text or f"<U+{ord(char):04X}>" in text


def test_a_server_at_a_url_is_called_by_its_model_and_host() -> None:
    found = msgspec.structs.replace(
        report(1, 10), manifest=Manifest(recipe={"model": "m", "url": "http://127.0.0.1:81/v1"})
    )
    example = RedteamExample(family="extraction", attack="a", prompt="p", answer="a", why="w")
    found = msgspec.structs.replace(found, examples=[example])
    title = "m at 127.0.0.1:81"
    assert f"<title>{title}" in redteam_page(found)
    assert str(redteam_table(found).title).startswith(title)
    assert title in redteam_junit(found)
    assert title.encode() in redteam_sarif(found, found.examples)
