"""Conversions as one HTML file without scripts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from llmops_cli.show.page import html_facts, plain_page

Titled = tuple[str, Mapping[str, str]]
"""What was converted to what, and its facts."""


def convert_page(runs: Sequence[Titled]) -> str:
    """A section a run."""
    parts = ["<h1>llmops convert</h1>"]
    for title, facts in runs:
        parts.append(f"<h2>{escape(title)}</h2>")
        parts.append(html_facts(dict(facts)))
    titles = [title for title, _ in runs]
    return plain_page(title=", ".join(titles), body="".join(parts))
