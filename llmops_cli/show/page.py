"""The shell of a page: one HTML file that needs no network, with our style and plots."""

from __future__ import annotations

import base64
from html import escape
from pathlib import Path

import msgspec

from llmops_cli.core.report import Manifest
from llmops_cli.core.visible import visible_line
from llmops_cli.show.words import hardware_line

ASSETS = Path(__file__).parent / "assets"


def page_shell(
    *,
    title: str,
    body: str,
    data: object,
    plots: str = "page",
) -> str:
    """The whole file. `body` is HTML; `data` is what the plots' script draws.

    `plots`: the name of the frame and the script that are for this command.
    """
    style = _asset("uPlot.min.css") + _asset("page.css")
    script = _asset("uPlot.iife.min.js") + "\n" + _asset(f"{plots}.js")
    # "<" would end the script element that the data lie in
    encoded = msgspec.json.encode(data).decode()
    encoded = encoded.replace("<", "\\u003c")
    return (
        _asset(f"{plots}.html")
        .replace("__TITLE__", escape(title))
        .replace("__STYLE__", style)
        .replace("__BODY__", body)
        .replace("__DATA__", encoded)
        .replace("__SCRIPT__", script)
    )


def plain_page(*, title: str, body: str) -> str:
    """The whole file of a page without plots and scripts; `body` is HTML."""
    policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        f"<title>{escape(title)}</title><style>{_asset('page.css')}</style></head>"
        f"<body>{body}</body></html>\n"
    )


def _asset(name: str) -> str:
    return (ASSETS / name).read_text(encoding="utf-8")


def html_table(heads: list[str], rows: list[str]) -> str:
    """A table as wide as the page; `rows` are HTML."""
    head = "".join(f"<th>{escape(name)}</th>" for name in heads)
    return (
        f'<div class="wide"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def html_row(cells: list[str], *, kind: str = "") -> str:
    """`cells` are HTML; `kind` is a class of the style, such as `bad`."""
    shown = "".join(f"<td>{cell}</td>" for cell in cells)
    if kind:
        return f'<tr class="{kind}">{shown}</tr>'
    return f"<tr>{shown}</tr>"


def html_picture(path: Path, words: str) -> str:
    """A PNG file as a part of the page; nothing where there is none."""
    try:
        content = path.read_bytes()
    except OSError:
        return ""
    encoded = base64.b64encode(content).decode()
    return f'<img alt="{escape(words)}" src="data:image/png;base64,{encoded}">'


def html_badge(text: str) -> str:
    """A word that warns."""
    return f'<span class="bad">{escape(text)}</span>'


def html_item(text: str, *, kind: str = "") -> str:
    """An item of a list, from plain text."""
    if kind:
        return f'<li class="{kind}">{escape(text)}</li>'
    return f"<li>{escape(text)}</li>"


def html_about(manifest: Manifest) -> str:
    """When, where, with what and by which command a run was made; it unfolds."""
    versions = [f"{name} {version}" for name, version in manifest.versions.items()]
    facts = {
        "when": manifest.started_at,
        "machine": hardware_line(manifest.hardware) if manifest.hardware else "",
        "versions": ", ".join(versions),
        "command": " ".join(manifest.argv),
    }
    known = {name: visible_line(text) for name, text in facts.items() if text}
    return f"<details><summary>About this run</summary>{html_facts(known)}</details>"


def html_facts(facts: dict[str, str]) -> str:
    """Names with what they are, from plain text."""
    lines = []
    for name, text in facts.items():
        lines.append(f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>")
    inner = "".join(lines)
    return f"<dl>{inner}</dl>"
