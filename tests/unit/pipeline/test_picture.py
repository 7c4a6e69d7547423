"""The README's picture of a terminal shows the reference run as `llmops run` prints it now."""

from __future__ import annotations

import html
import io
import re
from pathlib import Path

from rich.console import Console

from llmops_cli.runtime.runs import load_report
from llmops_cli.show.runs import table_of

ROOT = Path(__file__).parents[3]
PICTURE = ROOT / "docs" / "images" / "quickstart.svg"
REFERENCE = ROOT / "results" / "reference"
COMMAND = "llmops run quickstart"
WIDTH = 124


def drawn() -> str:
    console = Console(width=WIDTH, record=True, file=io.StringIO(), force_terminal=True)
    console.print(f"$ {COMMAND}", highlight=False)
    console.print(table_of(load_report(REFERENCE), width=WIDTH))
    svg = console.export_svg(title="llmops", unique_id="quickstart")
    plain = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)  # from the web
    return "\n".join(line.rstrip() for line in plain.splitlines()) + "\n"


def words_of(svg: str) -> list[str]:
    texts = re.findall(r"<text[^>]*>([^<]*)</text>", svg)
    return [html.unescape(text).strip() for text in texts]


def test_the_picture_shows_the_reference_run_as_its_table_is_now() -> None:
    """After a change of the table: python -m tests.unit.pipeline.test_picture"""
    assert words_of(PICTURE.read_text()) == words_of(drawn())
    assert f"![{COMMAND}]" in (ROOT / "README.md").read_text()


if __name__ == "__main__":
    PICTURE.write_text(drawn())
