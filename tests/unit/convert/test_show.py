"""A conversion's page holds its facts, escaped, and no script."""

from __future__ import annotations

from pathlib import Path

import msgspec

from llmops_cli.convert.report import ConvertReport
from llmops_cli.show.runs import OpenedRun, page_of, show_of

GOLDEN = Path(__file__).parents[2] / "golden" / "reports" / "llmops.convert-1.json"


def test_the_page_says_what_the_table_says() -> None:
    report = msgspec.json.decode(GOLDEN.read_bytes(), type=ConvertReport)
    odd = {**report.manifest.recipe, "model": "<b>x</b>"}
    manifest = msgspec.structs.replace(report.manifest, recipe=odd)
    report = msgspec.structs.replace(report, manifest=manifest)
    page = page_of([OpenedRun(name="run", path=Path("run"), report=report)])
    assert "&lt;b&gt;x&lt;/b&gt;: hf to gguf" in page
    assert "4 of model.vision_tower" in page
    assert "<script" not in page
    table = show_of(report).table(report, "", 100)
    cells = [str(cell) for column in table.columns for cell in column.cells]
    assert all(cell in page for cell in cells)
