"""What compression by rules saves on real texts: `python benchmarks/compression.py [--tokens N]`.

Texts are those that this machine has: pages of docs/, descriptions of the standard library, and
its source. Tokens are estimated from characters.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import json
import re
import time
from pathlib import Path
from typing import Any

from llmops_cli.prompt_file.compression import compressed

DOCS = Path(__file__).parent.parent / "docs"
MODULES = (
    "argparse asyncio collections csv datetime email functools http json logging os pathlib re"
    " socket sqlite3 string subprocess tarfile textwrap threading unittest urllib.request zipfile"
)
QUESTIONS = (
    "How does the gateway cache answers?",
    "Which limits does a key of the gateway have?",
    "How are budgets of a key counted by the gateway?",
    "What does the guard read of a request at the gateway?",
    "How does the gateway retry another upstream?",
    "Which models does a key of the gateway list?",
)
BEST = 4
Chat = list[dict[str, Any]]


def said(role: str, content: str) -> dict[str, Any]:
    return {"role": role, "content": content}


def sections() -> list[str]:
    """Parts of the pages between headings."""
    pages = [path.read_text() for path in sorted(DOCS.glob("*.md"))]
    return [part for page in pages for part in re.split(r"\n(?=#+ )", page)]


def retrieval() -> Chat:
    """Each question stands behind the sections that share most of its words."""
    chat = [said("system", "Answer from the pages.")]
    for question in QUESTIONS:
        words = set(question.lower().split())
        best = sorted(sections(), key=lambda part: -len(words & set(part.lower().split())))[:BEST]
        chat.append(said("user", "\n\n".join([*best, question])))
        chat.append(said("assistant", "See above."))
    return chat[:-1]


def descriptions() -> Chat:
    """Docstrings of modules and of what they have, as a tool would paste them."""
    texts = []
    for name in MODULES.split():
        module = importlib.import_module(name)
        members = [value for key, value in vars(module).items() if not key.startswith("_")]
        texts += [each.__doc__ or "" for each in [module, *members] if callable(each)]
    return [said("user", "\n\n".join(texts)), said("user", "Which of them read files?")]


def source() -> Chat:
    fenced = [
        f"{name}:\n\n```python\n{inspect.getsource(importlib.import_module(name))}\n```"
        for name in ("argparse", "csv", "textwrap", "zipfile")
    ]
    return [*(said("user", each) for each in fenced), said("user", "Where is a bug?")]


def answers() -> Chat:
    """Tables of JSON, as tools give them back."""
    rows = [{"name": path.name, "bytes": path.stat().st_size} for path in DOCS.glob("*.md")]
    chat = [said("user", "What is there?")]
    for number in range(3):
        call = {"id": str(number), "type": "function", "function": {"name": "ls"}}
        chat.append({"role": "assistant", "content": None, "tool_calls": [call]})
        content = json.dumps(rows, indent=2)
        chat.append({"role": "tool", "tool_call_id": str(number), "content": content})
    return [*chat, said("user", "Thanks. And now?")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--tokens", type=int, help="drop the oldest turns beyond so many")
    most = parser.parse_args().tokens
    print(
        f"{'chat':<14}{'before':>9}{'after':>9}{'saved':>8}{'paragraphs':>12}{'turns':>7}{'ms':>8}"
    )
    for make in (retrieval, descriptions, source, answers):
        chat = make()
        begun = time.process_time()
        found = compressed(chat, most_tokens=most)
        took_ms = (time.process_time() - begun) * 1e3
        saved = found.saved_tokens / found.tokens_before
        print(
            f"{make.__name__:<14}{found.tokens_before:>9,}{found.tokens_after:>9,}{saved:>8.1%}"
            f"{found.repeated_paragraphs:>12}{found.dropped_turns:>7}{took_ms:>8.1f}"
        )


if __name__ == "__main__":
    main()
