"""Every metric stands on the page, and the page is the current one."""

from __future__ import annotations

from pathlib import Path

from llmops_cli.serve.watch.families import COUNTERS, GAUGES, HISTOGRAMS, LABELS
from llmops_cli.serve.watch.info_board import INFOS
from llmops_cli.serve.watch.machine_board import GPUS
from llmops_cli.serve.watch.member_board import MEMBERS
from llmops_cli.serve.watch.metrics import PREFIX, Metrics
from llmops_cli.serve.watch.page import page

PAGE = Path(__file__).parents[4] / "docs" / "GATEWAY_METRICS.md"


def test_the_page_is_the_current_one() -> None:
    """After a deliberate change: python -m llmops_cli.serve.watch.page > docs/GATEWAY_METRICS.md"""
    assert PAGE.read_text() == page()


def test_every_metric_and_label_stands_on_it() -> None:
    text = page()
    for family in Metrics().collected().collect():
        assert f"`{PREFIX}{family.name.removeprefix(PREFIX)}" in text
    counted = [*COUNTERS.values(), *HISTOGRAMS.values(), *GAUGES.values()]
    families = [*counted, *MEMBERS.values(), *INFOS.values(), *GPUS.values()]
    assert {label for family in families for label in family.labels} == set(LABELS)
    assert all(family.text for family in families)
