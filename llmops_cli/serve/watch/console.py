"""What an operator looks at: the state as JSON, for `/ui` and `llmops top`, and the page itself."""

from __future__ import annotations

import time
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

import msgspec

from llmops_cli import __version__
from llmops_cli.gateway_file.model import ModelConfig
from llmops_cli.serve.accounts.budget import Budgets, Spending, month_now
from llmops_cli.serve.accounts.keys import KeyStore
from llmops_cli.serve.door.openapi import document
from llmops_cli.serve.endpoints import OPENAPI, PageEndpoint
from llmops_cli.serve.refusal import Headers
from llmops_cli.serve.snapshot import Snapshot
from llmops_cli.serve.upstreams.canaries import Canaries
from llmops_cli.serve.upstreams.canary import CanaryState, SideStats
from llmops_cli.serve.watch.aside import Aside
from llmops_cli.serve.watch.metrics import Metrics
from llmops_cli.serve.watch.samples import Samples
from llmops_cli.serve.watch.state import Json, KeyPage, Summary, keys, models, summary_of, upstreams

CONTENT_POLICY = (
    b"default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline';"
    b" connect-src 'self'; img-src data:; frame-ancestors 'none'; base-uri 'none'"
)
PAGE_HEADERS = [
    (b"content-security-policy", CONTENT_POLICY),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
]


class Console:
    """Numbers come from the metrics, so that all workers are in them.

    With many keys they are tens of thousands: they are read beside the loop.
    """

    def __init__(
        self,
        folder: Path,
        metrics: Metrics,
        budgets: Budgets,
        canaries: Canaries,
    ) -> None:
        self._folder = folder
        self._metrics = metrics
        self._budgets = budgets
        self._canaries = canaries
        self._aside = Aside()
        self._keys: KeyStore | None = None
        self._began = time.time()
        self._page: bytes | None = None

    def page(self, page: PageEndpoint, snapshot: Snapshot) -> tuple[bytes, bytes, Headers]:
        """Its body, type and headers."""
        if page is OPENAPI:
            return (
                msgspec.json.encode(document(snapshot.endpoints, prompts=bool(snapshot.prompts))),
                b"application/json",
                [],
            )
        if self._page is None:
            self._page = _dashboard()
        return self._page, b"text/html; charset=utf-8", PAGE_HEADERS

    async def metrics(self) -> bytes:
        """For Prometheus."""
        return await self._aside.shared("metrics", self._metrics.text)

    async def state(self, snapshot: Snapshot, page: KeyPage) -> bytes:
        """Everything on one page: counts since the start, of which a reader makes rates."""
        month = month_now()
        spent = await self._budgets.spent(month)
        summary = await self._aside.shared("summary", self._summary)
        now = time.time()
        names = snapshot.router.names()
        state: Json = {
            "at": now,
            "version": __version__,
            "uptime_s": now - self._began,
            "month": month,
            "canaries": self._all_canaries(snapshot),
        }

        def whole() -> bytes:
            summed = {
                **state,
                **summary.totals,
                **models(names, summary),
                "upstreams": upstreams(snapshot, summary, self._metrics.members.rows()),
                **self._keys_page(spent, summary, page),
            }
            return msgspec.json.encode(summed)

        return await self._aside.run(whole)

    def close(self) -> None:
        self._aside.close()

    def _summary(self) -> Summary:
        return summary_of(Samples(self._metrics.collected()))

    def _keys_page(
        self,
        spent: Mapping[str, Spending],
        summary: Summary,
        page: KeyPage,
    ) -> Json:
        """By a connection of the thread's own: one of SQLite's belongs to the thread it is in."""
        if self._keys is None:
            self._keys = KeyStore(self._folder)
        found = keys(self._keys.all(), spent, summary, page)
        found["keys_damaged"] = sum(not row.revoked for row in self._keys.damaged())
        return found

    def _all_canaries(self, snapshot: Snapshot) -> Json:
        shown = {}
        for name, state in self._canaries.states().items():
            model = snapshot.config.models.get(name)
            shown[name] = self._canary(name, state, model)
        return shown

    def _canary(
        self,
        name: str,
        state: CanaryState,
        model: ModelConfig | None,
    ) -> Json:
        steps: list[int] = []
        if model is not None and model.canary is not None:
            steps = model.canary.steps
        sides = {}
        for side, stats in state.sides.items():
            sides[side] = _side(stats)
        return {
            "state": state.state,
            "reason": state.reason,
            "percent": self._canaries.percent(name),
            "since": state.since,
            "steps": steps,
            "sides": sides,
        }


def _dashboard() -> bytes:
    """One page without references, so that its policy can forbid everything else."""
    folder = files("llmops_cli.serve.watch").joinpath("ui")
    page = folder.joinpath("page.html").read_text(encoding="utf-8")
    for name, file in (("{style}", "style.css"), ("{script}", "script.js")):
        text = folder.joinpath(file).read_text(encoding="utf-8")
        page = page.replace(name, text)
    return page.encode()


def _side(stats: SideStats) -> Json:
    return {
        "requests": stats.requests,
        "errors": stats.errors,
        "ttft_s": stats.median_ttft_s(),
    }
