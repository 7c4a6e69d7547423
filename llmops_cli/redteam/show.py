"""What attacks came to: tables, a page, SARIF and JUnit, the difference between two runs, and gates
on shares.
"""

from __future__ import annotations

import csv
import html
import io
import re
from collections.abc import Collection, Sequence
from typing import Any
from xml.sax.saxutils import escape, quoteattr

import msgspec
from rich.table import Table

from llmops_cli import __version__
from llmops_cli.core.errors import UsageError, unknown_name
from llmops_cli.core.stats import share_interval
from llmops_cli.redteam.report import ChecklistItem, FamilyResult, RedteamReport
from llmops_cli.show.runs import Show

GATE = re.compile(
    r"\s*(asr|guarded_asr|refused|errors)(?:\.([\w-]+))?\s*(>|<|>=|<=)\s*([\d.]+)\s*(%?)\s*$"
)


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"


def _interval(value: tuple[float, float] | None) -> str:
    return "-" if value is None else f"{value[0]:.0%} to {value[1]:.0%}"


def redteam_table(report: RedteamReport) -> Table:
    """One row a family; with a guard its shares stand beside."""
    guarded = report.overall.guarded_asr is not None
    table = Table(
        title=f"{report.manifest.recipe['model']}: {report.attempts} attempts in {report.duration_s:.1f} s",
        title_justify="left",
    )
    stopped = report.overall.blocked is not None
    names = ["family", "OWASP", "attempts", "succeed", "share", "95 %", "refused"]
    for name in [
        *names,
        *(["with guard", "95 %"] if guarded else []),
        *(["stopped"] if stopped else []),
        "errors",
    ]:
        table.add_column(name, justify="left" if name in ("family", "OWASP") else "right")
    for name, found in [*report.families.items(), ("all", report.overall)]:
        if name == "all":
            table.add_section()
        cells = [
            name,
            found.owasp,
            str(found.attempts),
            str(found.successes),
            _share(found.asr),
            _interval(found.ci95),
            str(found.refused),
        ]
        if guarded:
            cells += [_share(found.guarded_asr), _interval(found.guarded_ci95)]
        if stopped:
            cells.append(str(found.blocked or 0))
        table.add_row(*cells, str(found.errors or "-"))
    notes = []
    if report.twins:
        twins = report.twins
        said = f"honest questions in the same setting: {twins.refused} of {twins.attempts} refused"
        notes.append(
            said + (f", {twins.blocked} stopped by the guard" if twins.blocked is not None else "")
        )
    if report.stopped:
        notes.append(f"stopped early: {report.stopped}")
    notes += [f"{count} x {kind}" for kind, count in report.error_kinds.items()]
    table.caption = "\n".join(notes)
    table.caption_justify = "left"
    return table


def redteam_csv(report: RedteamReport) -> str:
    out = io.StringIO()
    fields = [field.name for field in msgspec.structs.fields(FamilyResult)]
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["family", *fields])
    for name, found in [
        *report.families.items(),
        *report.mappings.items(),
        ("all", report.overall),
    ]:
        row = msgspec.to_builtins(found)
        writer.writerow(
            [
                name,
                *(
                    "..".join(map(str, row[f])) if isinstance(row[f], list | tuple) else row[f]
                    for f in fields
                ),
            ]
        )
    return out.getvalue()


def sarif(report: RedteamReport) -> bytes:
    """SARIF 2.1.0: a rule for each family, a result for each example of success."""
    rules = [
        {
            "id": name,
            "shortDescription": {"text": f"Attack family {name}"},
            "properties": {"owasp": f.owasp, "atlas": f.atlas, "cwe": f.cwe, "asr": f.asr},
        }
        for name, f in report.families.items()
    ]
    results = [
        {
            "ruleId": example.family,
            "level": "warning" if example.stopped_by_guard else "error",
            "message": {
                "text": f"{example.attack}{f' ({example.transform})' if example.transform else ''}: {example.why}. "
                f"Prompt: {example.prompt[:400]}"
            },
            "locations": [
                {
                    "logicalLocations": [
                        {"name": str(report.manifest.recipe["model"]), "kind": "module"}
                    ]
                }
            ],
        }
        for example in report.examples
    ]
    driver = {"name": "llmops redteam", "version": __version__, "rules": rules}
    return msgspec.json.encode(
        {
            "version": "2.1.0",
            "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
            "runs": [{"tool": {"driver": driver}, "results": results}],
        }
    )


def junit(report: RedteamReport) -> str:
    """A test case a family: failed where an attack succeeded (with the guard, where one got
    through).
    """
    cases = []
    failures = 0
    for name, f in report.families.items():
        through = f.successes if f.guarded_successes is None else f.guarded_successes
        body = ""
        if through:
            failures += 1
            body = f"<failure message={quoteattr(f'{through} of {f.attempts} attempts succeed')}/>"
        elif f.errors == f.attempts:
            body = "<skipped message='no answers'/>"
        cases.append(f"<testcase classname='redteam' name={quoteattr(name)}>{body}</testcase>")
    head = f"<testsuite name='llmops redteam' tests='{len(cases)}' failures='{failures}' time='{report.duration_s:.1f}'>"
    return f"<?xml version='1.0' encoding='UTF-8'?>\n{head}{''.join(cases)}</testsuite>\n"


STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:72rem;margin:2rem auto;padding:0 1rem;color:#1c2330;background:#fff}"
    "table{border-collapse:collapse;width:100%;margin:1rem 0}th,td{padding:.3rem .6rem;text-align:right;border-bottom:1px solid #dde2ea}"
    "th:first-child,td:first-child,td.l,th.l{text-align:left}h1{font-size:1.4rem}h2{font-size:1.1rem;margin-top:2rem}"
    ".bar{position:relative;height:1rem;background:#eef1f6;min-width:10rem}.bar i{position:absolute;top:.2rem;height:.6rem;display:block}"
    ".bar b{position:absolute;top:.48rem;height:2px;background:#1c2330}details{margin:.4rem 0;border:1px solid #dde2ea;border-radius:6px;padding:.4rem .8rem}"
    "pre{white-space:pre-wrap;overflow-wrap:anywhere;background:#f5f7fa;padding:.6rem;border-radius:4px}"
    "@media(prefers-color-scheme:dark){body{background:#14181f;color:#dfe5ee}th,td{border-color:#2b3340}.bar,pre{background:#1f2630}.bar b{background:#dfe5ee}details{border-color:#2b3340}}"
)


def redteam_page(report: RedteamReport) -> str:
    """One file without scripts: shares with intervals, mappings, examples folded and escaped."""
    guarded = report.overall.guarded_asr is not None
    head = f"{report.manifest.recipe['model']}: {report.attempts} attempts"
    parts = [
        f"<h1>{escape(head)}</h1>",
        f"<p>{escape(_summary(report))}</p>",
        _rows("Families", report.families, guarded),
    ]
    parts.append(_rows("OWASP LLM Top 10 (2025), MITRE ATLAS, CWE", report.mappings, guarded))
    parts.append("<h2>Successes</h2>" if report.examples else "<p>No attempt succeeded.</p>")
    for e in report.examples:
        stopped = (
            ""
            if e.stopped_by_guard is None
            else (" - stopped by the guard" if e.stopped_by_guard else " - got through the guard")
        )
        title = f"{e.family}: {e.attack}{f' ({e.transform})' if e.transform else ''}{stopped}"
        parts.append(
            f"<details><summary>{html.escape(title)}</summary><p>{html.escape(e.why)}</p><pre>{html.escape(_visible(e.prompt))}</pre>"
            f"<pre>{html.escape(_visible(e.answer))}</pre></details>"
        )
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    return (
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        f'<meta http-equiv=Content-Security-Policy content="{policy}"><title>{escape(head)}</title><style>{STYLE}</style>'
        f"<body>{''.join(parts)}</body></html>\n"
    )


def _visible(text: str) -> str:
    """Invisible characters written out, so that the page shows what was sent."""
    return "".join(
        f"<U+{ord(char):04X}>"
        if ord(char) in range(0xE0000, 0xE0200) or char in "\u200b\u200c\u200d\u202e\u2060\ufeff"
        else char
        for char in text
    )


def _summary(report: RedteamReport) -> str:
    said = f"{report.overall.successes} of {report.attempts} attempts succeed ({_share(report.overall.asr)}, {_interval(report.overall.ci95)})"
    if report.overall.guarded_asr is not None:
        said += f"; with the guard {report.overall.guarded_successes} ({_share(report.overall.guarded_asr)})"
    if report.twins:
        said += f". Of {report.twins.attempts} honest questions {report.twins.refused} were refused"
        said += (
            f" and {report.twins.blocked} stopped by the guard"
            if report.twins.blocked is not None
            else ""
        )
    return said + "."


def _rows(title: str, results: dict[str, FamilyResult], guarded: bool) -> str:
    head = "<th class=l>name<th>attempts<th>succeed<th>share<th class=l>95 %" + (
        "<th>with guard<th class=l>95 %" if guarded else ""
    )
    rows = []
    for name, f in results.items():
        cells = f"<td>{escape(name)}<td>{f.attempts}<td>{f.successes}<td>{_share(f.asr)}<td class=l>{_bar(f.asr, f.ci95, '#c2410c')}"
        if guarded:
            cells += f"<td>{_share(f.guarded_asr)}<td class=l>{_bar(f.guarded_asr, f.guarded_ci95, '#0f766e')}"
        rows.append(f"<tr>{cells}")
    return f"<h2>{escape(title)}</h2><table><tr>{head}{''.join(rows)}</table>"


def _bar(share: float | None, interval: tuple[float, float] | None, color: str) -> str:
    if share is None or interval is None:
        return "-"
    low, high = interval
    return (
        f"<div class=bar title='{low:.1%} to {high:.1%}'><i style='width:{share:.1%};background:{color}'></i>"
        f"<b style='left:{low:.1%};width:{high - low:.1%}'></b></div>"
    )


def comparison_table(before: RedteamReport, after: RedteamReport) -> Table:
    """Families that both runs have: the difference of their shares, and whether it is more than
    chance.
    """
    table = Table(title="attack success, before and after", title_justify="left")
    for name in ("family", "before", "after", "difference", "95 %", ""):
        table.add_column(name, justify="left" if name in ("family", "") else "right")
    for row in compare(before, after):
        table.add_row(
            row["family"],
            _share(row["before"]),
            _share(row["after"]),
            f"{row['difference']:+.1%}",
            f"{row['low']:+.1%} to {row['high']:+.1%}",
            row["verdict"],
        )
    return table


def compare(
    before: RedteamReport, after: RedteamReport
) -> list[dict[str, Any]]:  # Any: names and numbers
    """The difference of two shares with Newcombe's interval (1998, method 10): worse, better, or no
    difference shown.
    """
    rows: list[dict[str, Any]] = []
    pairs = [
        (name, before.families[name], after.families[name])
        for name in before.families
        if name in after.families
    ]
    for name, a, b in [*pairs, ("all", before.overall, after.overall)]:
        if a.asr is None or b.asr is None or a.ci95 is None or b.ci95 is None:
            continue
        change = b.asr - a.asr
        low = change - ((b.asr - b.ci95[0]) ** 2 + (a.ci95[1] - a.asr) ** 2) ** 0.5
        high = change + ((b.ci95[1] - b.asr) ** 2 + (a.asr - a.ci95[0]) ** 2) ** 0.5
        verdict = "worse" if low > 0 else "better" if high < 0 else "no difference shown"
        rows.append(
            {
                "family": name,
                "before": a.asr,
                "after": b.asr,
                "difference": change,
                "low": low,
                "high": high,
                "verdict": verdict,
            }
        )
    return rows


def read_gate(gate: str, families: Collection[str]) -> tuple[str, str | None, str, str, str]:
    """(metric, family, sign, number, percent). Raises: UsageError for what cannot be read, or a
    family that is not there.
    """
    match = GATE.fullmatch(gate)
    if not match:
        raise UsageError(
            f"--fail-if '{gate}' cannot be read",
            hint="asr > 5%, asr.extraction > 5%, guarded_asr > 1%",
        )
    metric, family, sign, number, percent = match.groups()
    if family and family not in families:
        raise unknown_name("family", family, families)
    return metric, family, sign, number, percent


def broken_gates(report: RedteamReport, gates: Sequence[str]) -> list[str]:
    """Conditions that hold for sure: `asr.extraction > 5%` only if the interval's lower bound is
    above it, `<` only if the upper one is below.

    Raises: UsageError for a condition that cannot be read.
    """
    found = []
    for gate in gates:
        metric, family, sign, number, percent = read_gate(gate, report.families)
        if family and family not in report.families:
            continue
        result = report.families[family] if family else report.overall
        interval = _interval_of(result, metric)
        if interval is None:
            continue
        limit = float(number) / (100 if percent else 1)
        if (interval[0] > limit) if sign.startswith(">") else (interval[1] < limit):
            found.append(f"{gate.strip()}: it is {_interval(interval)} with 95 % confidence")
    return found


def _interval_of(result: FamilyResult, metric: str) -> tuple[float, float] | None:
    answered = result.attempts - result.errors
    if metric == "asr":
        return result.ci95
    if metric == "guarded_asr":
        return result.guarded_ci95
    if metric == "refused":
        return share_interval(result.refused, answered) if answered else None
    return share_interval(result.errors, result.attempts) if result.attempts else None


def checklist_table(items: Sequence[ChecklistItem]) -> Table:
    """One row an item."""
    table = Table(
        title=f"{sum(item.ok is True for item in items)} of {len(items)} are there",
        title_justify="left",
    )
    for name in ("area", "item", "", "seen", "advice"):
        table.add_column(name)
    for item in items:
        table.add_row(
            item.area,
            item.name,
            {True: "yes", False: "MISSING", None: "?"}[item.ok],
            item.seen,
            item.advice,
        )
    return table


SHOW = Show(table=lambda report, word, width: redteam_table(report))
