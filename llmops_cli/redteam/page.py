"""A red-team run as one HTML file, without scripts; what was said stands in it escaped."""

from __future__ import annotations

from html import escape
from pathlib import Path

from llmops_cli.core.counted import counted
from llmops_cli.core.visible import visible
from llmops_cli.redteam.gates import decided_of
from llmops_cli.redteam.report import FamilyResult, RedteamExample, RedteamReport
from llmops_cli.redteam.results import Interval
from llmops_cli.redteam.target import target_title
from llmops_cli.show.page import html_about
from llmops_cli.show.words import percent, percent_interval

STYLE = Path(__file__).with_name("data") / "page.css"
POLICY = "default-src 'none'; style-src 'unsafe-inline'"
ALONE = "#c2410c"
GUARDED = "#0f766e"
"""Colours of shares without a guard, and with one."""


def redteam_page(report: RedteamReport) -> str:
    """Shares with intervals, mappings, and examples that unfold."""
    title = f"{target_title(report.manifest.recipe)}: {counted(report.attempts, 'attempt')}"
    has_guard = report.overall.guarded_asr is not None
    mappings = "OWASP LLM Top 10 (2025), MITRE ATLAS, CWE"
    parts = [
        f"<h1>llmops redteam: {shown(title)}</h1>",
        f"<p>{shown(_summary(report))}</p>",
        _results("Families", report.families, has_guard=has_guard),
        _results(mappings, report.mappings, has_guard=has_guard) if report.mappings else "",
        "<h2>Successes</h2>" if report.examples else "<p>No attempt succeeded.</p>",
        *(_example(example) for example in report.examples),
        html_about(report.manifest),
    ]
    return (
        "<!doctype html><html lang=en><meta charset=utf-8>"
        "<meta name=viewport content='width=device-width'>"
        f'<meta http-equiv=Content-Security-Policy content="{POLICY}">'
        f"<title>{shown(title)}</title><style>{STYLE.read_text(encoding='utf-8')}</style>"
        f"<body>{''.join(parts)}</body></html>\n"
    )


def shown(text: str) -> str:
    """Any text as the page may hold it: escaped, and what nobody sees written out."""
    return escape(visible(text))


def attack_words(example: RedteamExample) -> str:
    """The attack, and how its goal was written."""
    if not example.transform:
        return example.attack
    return f"{example.attack} ({example.transform})"


def _summary(report: RedteamReport) -> str:
    overall = report.overall
    interval = percent_interval(overall.ci95)
    text = f"{overall.successes} of {decided_of(overall)} decided attempts succeed"
    text += f" ({percent(overall.asr)}, {interval})"
    if overall.guarded_asr is not None:
        text += f"; with the guard {overall.guarded_successes} ({percent(overall.guarded_asr)})"
    if overall.errors or overall.undecided:
        text += f"; {overall.errors} failed, {overall.undecided} undecided"
    twins = report.twins
    if twins is not None:
        text += f". Honest questions: {twins.attempts}, refused {twins.refused}"
        if twins.blocked is not None:
            text += f", stopped by the guard {twins.blocked}"
    return text + "."


def _results(
    title: str,
    results: dict[str, FamilyResult],
    *,
    has_guard: bool,
) -> str:
    head = "<th class=l>name<th>planned<th>decided<th>succeed<th>share<th>95 %<th>"
    if has_guard:
        head += "<th>with guard<th>guard 95&nbsp;%<th>"
    rows = [_row(name, result, has_guard=has_guard) for name, result in results.items()]
    body = "".join(rows)
    table = f"<table><tr>{head}{body}</table>"
    return f"<h2>{shown(title)}</h2><div class=wide>{table}</div>"


def _row(
    name: str,
    result: FamilyResult,
    *,
    has_guard: bool,
) -> str:
    planned = result.planned or result.attempts
    row = f"<tr><td>{shown(name)}<td>{planned}<td>{decided_of(result)}<td>{result.successes}"
    row += _share(result.asr, result.ci95, ALONE)
    if has_guard:
        row += _share(result.guarded_asr, result.guarded_ci95, GUARDED)
    return row


def _share(
    share: float | None,
    interval: Interval | None,
    color: str,
) -> str:
    told = percent_interval(interval)
    return f"<td>{percent(share)}<td>{told}<td class=l>{_bar(share, interval, color)}"


def _bar(
    share: float | None,
    interval: Interval | None,
    color: str,
) -> str:
    if share is None or interval is None:
        return "-"
    low, high = interval
    return (
        f"<div class=bar title='{low:.1%} to {high:.1%}'>"
        f"<i style='width:{share:.1%};background:{color}'></i>"
        f"<b style='left:{low:.1%};width:{high - low:.1%}'></b></div>"
    )


def _example(example: RedteamExample) -> str:
    title = f"{example.family}: {attack_words(example)}{_fate(example)}"
    return (
        f"<details><summary>{shown(title)}</summary><p>{shown(example.why)}</p>"
        f"<pre>{shown(example.prompt)}</pre>"
        f"<pre>{shown(example.answer)}</pre></details>"
    )


def _fate(example: RedteamExample) -> str:
    """What the guard did with it, if there was one."""
    if example.stopped_by_guard is None:
        return ""
    if example.stopped_by_guard:
        return " - stopped by the guard"
    return " - got through the guard"
