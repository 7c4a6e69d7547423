"""Prompts before a case fills them: those that a file of cases lists, and those in files."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path
from typing import Any

from llmops_cli.core.errors import UsageError
from llmops_cli.prompt.case_file.findings import Findings
from llmops_cli.prompt.case_file.lined import LinedDict, LinedList, Where, plain
from llmops_cli.prompt.case_file.pointed import SCHEME, is_code, pointed_files
from llmops_cli.prompt.case_file.suite import PromptSource
from llmops_cli.prompt.transforms import as_text
from llmops_cli.runtime.near_path import near_path
from llmops_cli.runtime.rows import read_text

SEPARATOR = re.compile(r"^---\s*$", re.MULTILINE)
FILES = (".txt", ".md", ".j2", ".json", ".jsonl", ".yaml", ".yml", ".csv")
PROMPT_KEYS = ("id", "label", "raw")
PROMPT_UNSUPPORTED = ("config", "function")
MOST_LABEL_CHARS = 60


def listed_prompts(found: Any, where: Where, findings: Findings) -> list[PromptSource]:  # Any: YAML
    """A text, a list, or a mapping of files to labels. Raises: UsageError."""
    if found is None:
        return []
    if isinstance(found, str):
        return _of_text(found, where, findings, label="")
    if isinstance(found, LinedDict):
        prompts = []
        for name, label in found.items():
            prompts += _of_text(name, found.where_is(name), findings, label=str(label))
        return prompts
    if not isinstance(found, LinedList):
        raise UsageError(f"{where}: prompts is a list")
    prompts = []
    for number, item in enumerate(found):
        at = found.where_is(number)
        if isinstance(item, LinedDict) and "role" not in item:
            prompts += _of_mapping(item, findings)
        else:
            prompts += _of_text(as_text(plain(item)), at, findings, label="")
    return prompts


def _of_mapping(item: LinedDict, findings: Findings) -> list[PromptSource]:
    findings.check_keys(item, known=PROMPT_KEYS, unsupported=PROMPT_UNSUPPORTED, of="a prompt")
    label = str(item.get("label") or "")
    raw = item.get("raw")
    if raw is not None:
        text = as_text(plain(raw))
        return [PromptSource(label=label or label_of(text), text=text, where=str(item.where))]
    if "id" not in item:
        raise UsageError(f"{item.where}: a prompt has raw, or an id that is a file")
    return _of_text(str(item["id"]), item.where, findings, label=label)


def _of_text(text: str, where: Where, findings: Findings, *, label: str) -> list[PromptSource]:
    if text.startswith("exec:") or (_is_place(text) and is_code(text)):
        findings.leave_out(where, f"prompt {text} is code, which is not run")
        return []
    if not _is_place(text):
        return [PromptSource(label=label or label_of(text), text=text, where=str(where))]
    prompts = []
    for path in pointed_files(text, where, findings):
        findings.files.append(path)
        prompts += prompts_of_file(path, label=label, where=where)
    return prompts


def _is_place(text: str) -> bool:
    if text.startswith(SCHEME):
        return True
    is_short = len(text) < 400 and not any(mark in text for mark in "{\n")
    return is_short and (text.endswith(FILES) or is_code(text))


def prompts_of_file(
    path: Path, *, label: str = "", where: Where | None = None
) -> list[PromptSource]:
    """One prompt, or several between lines of `---` in a text. Raises: UsageError for none."""
    place = str(where or path)
    try:
        text = read_text(path)
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        raise UsageError(f"no prompt at {path}", hint=near_path(path) or None) from None
    if path.suffix == ".csv":
        parts = _csv_prompts(text)
    elif path.suffix == ".jsonl":
        parts = text.split("\n")
    elif path.suffix == ".txt":
        parts = SEPARATOR.split(text)
    else:
        parts = [text]
    parts = [part.strip() for part in parts if part.strip()]
    if not parts:
        raise UsageError(f"{path} holds no prompt")
    name = label or path.name
    if len(parts) == 1:
        return [PromptSource(label=name, text=parts[0], where=place)]
    return [
        PromptSource(label=f"{name}#{number}", text=part, where=place)
        for number, part in enumerate(parts, start=1)
    ]


def _csv_prompts(text: str) -> list[str]:
    rows = list(csv.DictReader(io.StringIO(text)))
    if rows and "prompt" in rows[0]:
        return [row["prompt"] or "" for row in rows]
    return [line for line in text.splitlines() if line != "prompt"]


def label_of(text: str) -> str:
    """The beginning of a prompt on one line."""
    words = " ".join(text.split())
    if len(words) <= MOST_LABEL_CHARS:
        return words
    return words[: MOST_LABEL_CHARS - 1] + "…"
