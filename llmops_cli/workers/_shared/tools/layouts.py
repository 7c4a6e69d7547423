"""The forms in which models write calls of tools, and which of them a chat template asks for."""

from typing import NamedTuple


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
KNOWN = (MISTRAL_NAMED, MISTRAL, FUNCTIONARY, HERMES, LLAMA)
"""The first whose marks a template has; those with more marks come first."""


NO_JSON = ("<parameter=", "<arg_key>")
"""Marks of templates whose arguments are XML."""


def layout_of(template: str) -> Layout | None:
    """None if the template does not know tools, or writes arguments that are no JSON."""
    if "tools" not in template or any(mark in template for mark in NO_JSON):
        return None
    for layout in KNOWN:
        if all(mark in template for mark in layout.marks):
            return layout
    return None
