"""The forms in which models write calls of tools, and which of them a chat template asks for."""

import re
from typing import Any, NamedTuple

from _shared.tools.channels import CALL, MARKS, MESSAGE, has_channels
from _shared.tools.framed import CallFrame, frame_of
from _shared.tools.tags import Render, Tags, has_bare_keys, tags_of

TAG = re.compile(r"<[^<>\s]+>")


class Tool(NamedTuple):
    """`parameters`: a JSON schema of its arguments."""

    name: str
    # Any: keywords of a schema hold values of every kind.
    parameters: dict[str, Any]


class Layout(NamedTuple):
    """One form. With `separator` a call is NAME separator ARGUMENTS, else an object with both.

    `opening` and `closing` stand around each call, or around all of them if it `is_list`. Without
    an opening a call is the whole answer. `marks` are texts that a template of this form has in it.
    """

    name: str
    opening: str
    closing: str
    marks: tuple[str, ...]
    separator: str = ""
    arguments: str = "arguments"
    is_list: bool = False
    prefix: str = ""
    """What may stand before a call that has no opening."""
    tags: Tags | None = None
    """Where arguments stand between tags: nothing but `name` and this counts then."""
    frame: CallFrame | None = None
    """Where a name and JSON stand between marks that the template taught: the same."""
    has_channels: bool = False
    """Whether calls stand in channels, and all else that is said too."""

    @property
    def signs(self) -> list[str]:
        """Texts for which a vocabulary may have a token."""
        if self.has_channels:
            return [*self.marks]
        learned = self.tags or self.frame
        if learned is None:
            return [self.opening, self.closing, self.separator, self.prefix]
        parts = [each for each in learned if isinstance(each, str)]
        return sorted({tag for part in parts for tag in TAG.findall(part)})


HERMES = Layout(
    name="hermes",
    opening="<tool_call>",
    closing="</tool_call>",
    marks=("<tool_call>",),
)
MISTRAL = Layout(
    name="mistral",
    opening="[TOOL_CALLS]",
    closing="]",
    marks=("[TOOL_CALLS]",),
    is_list=True,
)
MISTRAL_NAMED = Layout(
    name="mistral with [ARGS]",
    opening="[TOOL_CALLS]",
    closing="",
    marks=("[TOOL_CALLS]", "[ARGS]"),
    separator="[ARGS]",
)
FUNCTIONARY = Layout(
    name="functionary",
    opening="<function=",
    closing="</function>",
    marks=("<function=",),
    separator=">",
)
LLAMA = Layout(
    name="llama",
    opening="",
    closing="",
    marks=('"parameters":',),
    arguments="parameters",
    prefix="<|python_tag|>",
)
CHANNELS = Layout(
    name="channels",
    opening=CALL,
    closing="",
    marks=MARKS,
    separator=MESSAGE,
    has_channels=True,
)
KNOWN = (MISTRAL_NAMED, MISTRAL, FUNCTIONARY, HERMES)
"""The first whose marks a template has; those with more marks come first."""


def layout_of(template: str, render: Render) -> Layout | None:
    """None if the template does not know tools, or writes calls in a form that is not known.

    `render`: a conversation as the template's text. Arguments between tags are known by it.
    """
    if has_channels(template):
        return CHANNELS
    if "tools" not in template:
        return None
    tags = tags_of(render)
    if tags is not None:
        return Layout(name=f"tags {tags}", opening=tags.opening, closing="", marks=(), tags=tags)
    if has_bare_keys(render):
        return None
    for layout in KNOWN:
        if all(mark in template for mark in layout.marks):
            return layout
    frame = frame_of(render)
    if frame is not None:
        return Layout(name=f"frame {frame}", opening=frame.first, closing="", marks=(), frame=frame)
    if all(mark in template for mark in LLAMA.marks):
        return LLAMA
    return None


def opening_of(layout: Layout) -> str:
    """What is written for the model, so that its answer is a call."""
    if layout.tags is not None or layout.frame is not None:
        return layout.opening
    return layout.opening + (
        "" if layout.separator or layout.is_list or not layout.opening else "\n"
    )
