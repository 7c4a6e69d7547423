"""Answers in channels, as gpt-oss writes them: thoughts, calls of tools, and what is for people.

Form: <|channel|>NAME to=functions.TOOL<|message|>TEXT<|end|><|start|>assistant<|channel|>...
Source: OpenAI's harmony format, https://cookbook.openai.com/articles/openai-harmony.
"""

import re
from enum import Enum

from _shared.tools.events import (
    LONGEST_HEAD,
    Arguments,
    CallBegin,
    Content,
    Thought,
    ToolEvent,
    common_end,
    new_call_id,
)
from _shared.tools.values import ValueScanner

START = "<|start|>"
CHANNEL = "<|channel|>"
MESSAGE = "<|message|>"
ENDS = ("<|end|>", "<|return|>", "<|call|>", START)
"""A message ends with one of the first three, or where another begins."""
MARKS = (CHANNEL, MESSAGE, "<|constrain|>", *ENDS)
HEADS = (CHANNEL, MESSAGE, START, " to=")
TOOLS = "functions."
FOR_ITSELF = "analysis"
FINAL = f"{CHANNEL}final{MESSAGE}"
"""Before an answer whose form is settled: it has no room for thoughts."""
CALL = f"{CHANNEL}commentary to={TOOLS}"
RECIPIENT = re.compile(r"to=([\w.:/-]+)")
NAME = re.compile(re.escape(CHANNEL) + r"\s*(\w+)")


def has_channels(template: str) -> bool:
    """Whether a chat template asks for them."""
    return CHANNEL in template and MESSAGE in template


class Part(Enum):
    """What the next text belongs to."""

    HEAD = 1
    CONTENT = 2
    THOUGHT = 3
    ARGUMENTS = 4
    NOTHING = 5


class ChannelReader:
    """Feed text with its marks, get events."""

    def __init__(self, names: frozenset[str], *, written: str = "") -> None:
        """`names`: the tools that there are. `written`: how the answer begins."""
        self._names = names
        self._held = written
        self._part = Part.HEAD
        self._scanner = ValueScanner()
        self._was_cut = False
        self.calls = 0

    @property
    def is_in_arguments(self) -> bool:
        """The last call is not whole."""
        return self._was_cut or self._part is Part.ARGUMENTS

    def feed(self, text: str) -> list[ToolEvent]:
        self._held += text
        events: list[ToolEvent] = []
        while self._held and self._advance(events):
            pass
        return events

    def finish(self) -> list[ToolEvent]:
        """What looked like the beginning of a mark and was none."""
        rest = self._held
        self._held = ""
        events: list[ToolEvent] = []
        if self._part is not Part.HEAD:
            self._give(rest, events)
        return events

    def _advance(self, events: list[ToolEvent]) -> bool:
        """Takes one step; False if it needs more text."""
        if self._part is Part.HEAD:
            return self._read_head(events)
        return self._read_text(events)

    def _read_head(self, events: list[ToolEvent]) -> bool:
        head, mark, rest = self._held.partition(MESSAGE)
        is_head = len(head) <= LONGEST_HEAD and any(may_begin(self._held, each) for each in HEADS)
        if not is_head:
            self._part = Part.CONTENT  # of a model that was taught otherwise
        elif mark:
            self._held = rest
            self._open(head, events)
        return bool(mark) or not is_head

    def _open(self, head: str, events: list[ToolEvent]) -> None:
        recipient = RECIPIENT.search(head)
        channel = NAME.search(head)
        if recipient is not None:
            self._open_call(recipient[1], events)
        elif channel is not None and channel[1] == FOR_ITSELF:
            self._part = Part.THOUGHT
        else:
            self._part = Part.CONTENT

    def _open_call(self, recipient: str, events: list[ToolEvent]) -> None:
        """What is said to somebody who is not there is said to nobody."""
        name = recipient.removeprefix(TOOLS)
        if not recipient.startswith(TOOLS) or name not in self._names:
            self._part = Part.THOUGHT
            return
        events.append(CallBegin(self.calls, new_call_id(), name))
        self.calls += 1
        self._scanner = ValueScanner()
        self._part = Part.ARGUMENTS

    def _read_text(self, events: list[ToolEvent]) -> bool:
        """Up to the mark that ends it, or to what may become one."""
        places = [self._held.find(mark) for mark in ENDS if mark in self._held]
        if not places:
            certain = len(self._held) - max(common_end(self._held, mark) for mark in ENDS)
            text = self._held[:certain]
            self._held = self._held[certain:]
            self._give(text, events)
            return False
        text = self._held[: min(places)]
        self._give(text, events)
        self._was_cut |= self._part is Part.ARGUMENTS
        self._part = Part.HEAD
        rest = self._held[min(places) :]
        mark = next(mark for mark in ENDS if rest.startswith(mark))
        self._held = rest if mark == START else rest.removeprefix(mark)
        return True

    def _give(self, text: str, events: list[ToolEvent]) -> None:
        if not text:
            return
        if self._part is Part.CONTENT:
            events.append(Content(text))
        elif self._part is Part.THOUGHT:
            events.append(Thought(text))
        elif self._part is Part.ARGUMENTS:
            taken = self._scanner.feed(text)
            events.append(Arguments(self.calls - 1, text[:taken]))
            if self._scanner.is_done:
                self._part = Part.NOTHING


def may_begin(text: str, beginning: str) -> bool:
    """Whether it begins so, or more of it may."""
    return text.startswith(beginning) or beginning.startswith(text)
