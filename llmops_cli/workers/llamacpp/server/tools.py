"""What a chat request says of tools: which there are, and whether the answer has to call one."""

import json
from typing import Any, NamedTuple

from _shared.grammars.compiled import GrammarCache
from _shared.grammars.machine import Machine
from _shared.grammars.nodes import GrammarError
from _shared.tools.calls_grammar import Tool, opening_of, rules_of_calls
from _shared.tools.events import Reader
from _shared.tools.framed_reader import FramedReader
from _shared.tools.layouts import Layout
from _shared.tools.reader import NAME_OF_TOOL, CallReader
from _shared.tools.tagged_reader import TaggedReader
from llamacpp.server.errors import BadRequest

MOST_TOOLS = 512

# Any: tools and choices as clients write them.
GivenTool = dict[str, Any]
GivenChoice = str | dict[str, Any] | None


class ToolUse(NamedTuple):
    """How an answer may call tools. With a `grammar` it must, and begins after `opening`."""

    layout: Layout
    tools: list[Tool]
    grammar: Machine | None = None
    opening: str = ""

    def reader(self) -> Reader:
        is_in_call = self.grammar is not None
        if self.layout.tags is not None:
            parameters = {tool.name: tool.parameters for tool in self.tools}
            return TaggedReader(self.layout.tags, parameters, is_in_call=is_in_call)
        if self.layout.frame is not None:
            return FramedReader(self.layout.frame, is_in_call=is_in_call)
        names = frozenset(tool.name for tool in self.tools)
        return CallReader(self.layout, names, is_in_call=is_in_call)


def tools_of(given: list[GivenTool]) -> list[Tool]:
    """Raises: BadRequest."""
    if len(given) > MOST_TOOLS:
        raise BadRequest(f"tools: at most {MOST_TOOLS}", param="tools")
    return [tool_of(each) for each in given]


def tool_of(given: GivenTool) -> Tool:
    function = given.get("function")
    if given.get("type", "function") != "function" or not isinstance(function, dict):
        raise BadRequest("tools: only tools of type function are supported", param="tools")
    name = function.get("name")
    if not isinstance(name, str) or not NAME_OF_TOOL.fullmatch(name):
        raise BadRequest("tools: each function needs a name", param="tools")
    parameters = function.get("parameters") or {}
    if not isinstance(parameters, dict):
        raise BadRequest(f"tools: the parameters of {name!r} are no schema", param="tools")
    return Tool(name, parameters)


def tool_use_of(
    given: list[GivenTool],
    choice: GivenChoice,
    layout: Layout,
    cache: GrammarCache,
    *,
    has_several: bool,
) -> ToolUse | None:
    """None if no tool may be called. Raises: BadRequest."""
    tools = tools_of(given)
    forced = forced_tools(tools, choice)
    if choice == "none" or not tools:
        return None
    if not forced:
        return ToolUse(layout, tools)
    grammar = grammar_of_calls(forced, layout, cache, has_several=has_several)
    return ToolUse(layout, tools, grammar, opening_of(layout))


def forced_tools(tools: list[Tool], choice: GivenChoice) -> list[Tool]:
    """Those of which one has to be called. Raises: BadRequest for a choice that there is not."""
    if choice is None or choice in ("auto", "none"):
        return []
    if choice == "required":
        chosen = tools
    elif isinstance(choice, dict):
        kind = choice.get("type", "function")
        if kind != "function":
            message = f"tool_choice: type {kind!r} is not supported; known: function"
            raise BadRequest(message, param="tool_choice")
        name = chosen_name(choice)
        chosen = [tool for tool in tools if tool.name == name]
    else:
        known = "auto, none, required, or a function"
        raise BadRequest(f"tool_choice: {choice!r} is none of {known}", param="tool_choice")
    if not chosen:
        raise BadRequest("tool_choice: there is no such tool in tools", param="tool_choice")
    return chosen


def chosen_name(choice: dict[str, Any]) -> object:
    function = choice.get("function")
    return function.get("name") if isinstance(function, dict) else choice.get("name")


def grammar_of_calls(
    tools: list[Tool],
    layout: Layout,
    cache: GrammarCache,
    *,
    has_several: bool,
) -> Machine:
    """Raises: BadRequest."""
    source = json.dumps([layout.name, has_several, *tools])
    try:
        return cache.kept(
            f"calls {source}", lambda: rules_of_calls(tools, layout, has_several=has_several)
        )
    except GrammarError as error:
        message = f"tools: these cannot become a grammar: {error}"
        raise BadRequest(message, param="tools") from error
