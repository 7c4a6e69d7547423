"""The page of training runs in a browser: small figures are said, and nothing lies over another."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from llmops_cli.core.report import decode_report
from llmops_cli.show.runs import OpenedRun, page_of
from tests.browser import Browser

GOLDEN = Path(__file__).parents[1] / "golden" / "reports" / "llmops.train-1.json"
RATE = 2e-5
MIDDLE = """
(() => {
  const over = document.querySelector("#rate .u-over");
  const box = over.getBoundingClientRect();
  const at = {clientX: box.left + box.width / 2, clientY: box.top + box.height / 2, bubbles: true};
  over.dispatchEvent(new MouseEvent("mouseenter", at));
  over.dispatchEvent(new MouseEvent("mousemove", at));
})()
"""

RIGHTS = """
(() => {
  const right = (element) => element.getBoundingClientRect().right;
  const legends = [...document.querySelectorAll("#norm .u-series")].map(right);
  return {legends, plot: right(document.getElementById("norm"))};
})()
"""


@pytest.fixture
def page(tmp_path: Path) -> str:
    report = decode_report(GOLDEN.read_bytes())
    steps = range(1, 5)
    named = f"results/20261127T224001Z-train-{'mine' * 3}"
    runs = []
    for name in (f"{named}-a", f"{named}-b"):
        changed = msgspec.structs.replace(
            report,
            loss_curve=[(step, 6.0) for step in steps],
            learning_rate_curve=[(step, RATE) for step in steps],
            grad_norm_curve=[(step, 1.0) for step in steps],
        )
        runs.append(OpenedRun(name=name, path=GOLDEN.parent, report=changed))
    path = tmp_path / "page.html"
    path.write_text(page_of(runs))
    return path.as_uri()


def test_small_rates_are_said_and_legends_stay_in_their_plot(page: str) -> None:
    with Browser() as browser:
        browser.size(1200, 1400)
        browser.open(page)
        browser.until("document.body.dataset.ready === 'yes'")
        browser.run(MIDDLE)
        values = "[...document.querySelectorAll('#rate .u-value')].map((e) => e.textContent)"
        browser.until(f"{values}.includes('2e-5')")
        assert browser.run("document.documentElement.scrollWidth <= window.innerWidth")
        ends = browser.run(RIGHTS)
        assert max(ends["legends"]) <= ends["plot"]
        assert browser.errors == []


DRAWN = """
(() => {
  const canvas = document.querySelector("#loss canvas");
  const {data} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  let found = 0;
  for (let at = 0; at < data.length; at += 4)
    if (data[at] === 0x25 && data[at + 1] === 0x63 && data[at + 2] === 0xeb) found += 1;
  return found;
})()
"""


def test_a_run_of_one_step_is_a_point(tmp_path: Path) -> None:
    """A line needs two: with one the plots stood empty."""
    report = decode_report(GOLDEN.read_bytes())
    once = msgspec.structs.replace(report, loss_curve=[(1, 6.0)], validation=[])
    path = tmp_path / "page.html"
    path.write_text(page_of([OpenedRun(name="run", path=GOLDEN.parent, report=once)]))
    with Browser() as browser:
        browser.size(1200, 1400)
        browser.open(path.as_uri())
        browser.until("document.body.dataset.ready === 'yes'")
        browser.until(f"{DRAWN.strip()} > 4")
        assert browser.errors == []
