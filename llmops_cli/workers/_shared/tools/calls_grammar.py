"""Grammars of calls of tools, for an answer that must be one: real names, valid arguments."""

import re

from _shared.grammars.json_text import SPACE, quoted
from _shared.grammars.merging import Schema
from _shared.grammars.nodes import (
    EMPTY,
    ROOT,
    CharSet,
    Choice,
    GrammarError,
    Literal,
    Node,
    OneOf,
    Repeat,
    Rule,
    Rules,
    renamed,
    sequence,
)
from _shared.grammars.schemas import rules_of
from _shared.tools.layouts import Layout, Tool
from _shared.tools.tagged_grammar import TaggedCalls

MOST_CALLS = 16
NUMBER = re.compile(r"(\d+)")
NUMBER_NODE = Repeat(OneOf(CharSet([(ord("0"), ord("9"))])), 1, 3)
ANY_ARGUMENTS: Schema = {"type": "object"}


def rules_of_calls(
    tools: list[Tool],
    layout: Layout,
    *,
    has_several: bool,
) -> Rules:
    """What comes after the opening, which is written for the model. Raises: GrammarError."""
    if layout.tags is not None:
        parameters = {tool.name: tool.parameters for tool in tools}
        return TaggedCalls(layout.tags).rules(parameters, most=MOST_CALLS if has_several else 1)
    rules: Rules = {}
    options: list[Node] = []
    for place, tool in enumerate(tools):
        name = f"tool-{place}"
        rules |= rules_of_arguments(tool, name)
        options.append(one_call(tool.name, Rule(f"{name} {ROOT}"), layout))
    rules["call"] = Choice(tuple(options))
    rules[ROOT] = several_calls(Rule("call"), layout, most=MOST_CALLS if has_several else 1)
    return rules


def rules_of_arguments(tool: Tool, prefix: str) -> Rules:
    try:
        return renamed(rules_of(tool.parameters or ANY_ARGUMENTS), f"{prefix} ")
    except GrammarError as error:
        raise GrammarError(f"the parameters of {tool.name!r}: {error}") from error


def one_call(name: str, arguments: Node, layout: Layout) -> Node:
    if layout.frame is not None:
        marks = layout.frame
        separator = counted(marks.separator)
        return sequence(Literal(name), separator, arguments, Literal(marks.closing))
    if layout.separator:
        return sequence(Literal(name + layout.separator), arguments)
    head = f'{{"name": {quoted(name)}, "{layout.arguments}": '
    return sequence(Literal(head), arguments, Literal("}"))


def several_calls(call: Node, layout: Layout, *, most: int) -> Node:
    """As each form puts calls one after another; in channels each is an answer."""
    if layout.has_channels:
        return call
    if layout.frame is not None:
        again = sequence(counted(layout.frame.join + layout.frame.opening), call)
        return sequence(call, Repeat(again, 0, most - 1 if layout.frame.has_several else 0))
    if layout.is_list:
        following = Repeat(sequence(Literal(","), SPACE, call), 0, most - 1)
        return sequence(Literal("["), call, following, Literal("]"))
    if not layout.opening:
        return call
    space = EMPTY if layout.separator else Literal("\n")
    closing = sequence(space, Literal(layout.closing))
    again = sequence(Literal("\n" if layout.closing else ""), Literal(layout.opening), space, call)
    return sequence(call, closing, Repeat(sequence(again, closing), 0, most - 1))


def counted(mark: str) -> Node:
    """The mark, with any number where it has one."""
    pieces = [piece for piece in NUMBER.split(mark) if piece]
    nodes = [NUMBER_NODE if piece.isdigit() else Literal(piece) for piece in pieces]
    return sequence(*nodes)
