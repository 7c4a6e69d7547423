"""Files below one folder: which paragraphs have these words, and what a file says.

A path is followed to its end before it is opened, so neither `..` nor a link leaves the folder.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path

import msgspec

from llmops_cli.core.errors import UsageError
from llmops_cli.prompt.tools.tool import ToolFailed, ToolSettings, shortened

MOST_FILES = 2000
MOST_FILE_BYTES = 1_000_000
MOST_FOUND = 3
MOST_WORDS = 16
WORD = re.compile(r"\w+")
PARAGRAPH = re.compile(r"\n\s*\n")
COMMON_WORDS = "a an and are at by for from in is of on or the to was were what which who"
COMMON = frozenset(COMMON_WORDS.split())


class Passage(msgspec.Struct, frozen=True):
    """A paragraph, where it stands, and how many of the words it has."""

    hits: int
    place: str
    text: str


class DeclaredFolder:
    """The text files below a folder."""

    def __init__(self, settings: ToolSettings, tool: str) -> None:
        """Raises: UsageError where no folder was declared, or none is there."""
        if settings.files is None:
            raise UsageError(f"tool '{tool}' needs a folder", hint="--files FOLDER")
        if not settings.files.is_dir():
            raise UsageError(f"--files: no folder at {settings.files}")
        self.root = settings.files.resolve()

    def texts(self) -> Iterator[tuple[str, str]]:
        """Name below the folder, text; in the order of names, hidden ones left out."""
        count = 0
        for path in sorted(self.root.rglob("*")):
            below = path.relative_to(self.root)
            if any(part.startswith(".") for part in below.parts) or not path.is_file():
                continue
            count += 1
            if count > MOST_FILES:
                return
            if path.resolve().is_relative_to(self.root):
                yield below.as_posix(), _text(path)

    def text(self, name: str) -> str:
        """Raises: ToolFailed for what is no file below the folder."""
        wanted = name.strip().strip("\"'")
        if not wanted or "\0" in wanted:
            raise ToolFailed("name a file")
        try:
            path = (self.root / wanted).resolve()
            is_file = path.is_file()
        except (OSError, RuntimeError):  # a name too long, or links in a circle
            raise ToolFailed(f"no file {wanted[:80]}") from None
        if not path.is_relative_to(self.root) or not is_file:
            raise ToolFailed(f"no file {wanted[:80]} in the folder")
        return _text(path)


class Search:
    """Paragraphs that have most of the words; rarer words count more."""

    description = "search[WORDS]: paragraphs of the files that have these words"

    def __init__(self, settings: ToolSettings) -> None:
        self._folder = DeclaredFolder(settings, "search")

    async def use(self, text: str) -> str:
        words = _words(text)
        if not words:
            raise ToolFailed("name some words to search for")
        found = await asyncio.to_thread(self._found, words)
        if not found:
            raise ToolFailed("nothing has these words")
        lines = [f"{passage.place}: {' '.join(passage.text.split())}" for passage in found]
        return shortened("\n".join(lines))

    def _found(self, words: list[str]) -> list[Passage]:
        found = []
        for name, text in self._folder.texts():
            for paragraph in PARAGRAPH.split(text):
                there = {word.casefold() for word in WORD.findall(f"{name} {paragraph}")}
                hits = sum(word in there for word in words)
                if hits and paragraph.strip():
                    found.append(Passage(hits, name, paragraph))
        found.sort(key=lambda passage: (-passage.hits, len(passage.text)))
        return found[:MOST_FOUND]


class Lookup:
    """A file's text; `FILE: word` gives the lines that have the word."""

    description = "lookup[FILE] or lookup[FILE: WORD]: a file, or its lines with a word"

    def __init__(self, settings: ToolSettings) -> None:
        self._folder = DeclaredFolder(settings, "lookup")

    async def use(self, text: str) -> str:
        name, _, word = text.partition(":")
        found = await asyncio.to_thread(self._folder.text, name)
        wanted = word.strip().casefold()
        if wanted:
            lines = [line for line in found.split("\n") if wanted in line.casefold()]
            if not lines:
                raise ToolFailed(f"{name.strip()} has no line with '{word.strip()}'")
            found = "\n".join(lines)
        return shortened(found)


def _words(text: str) -> list[str]:
    found = [word.casefold() for word in WORD.findall(text)]
    telling = [word for word in found if word not in COMMON]
    return list(dict.fromkeys(telling or found))[:MOST_WORDS]


def _text(path: Path) -> str:
    with path.open("rb") as file:
        raw = file.read(MOST_FILE_BYTES)
    if b"\0" in raw:
        return ""
    return raw.decode(errors="replace")
