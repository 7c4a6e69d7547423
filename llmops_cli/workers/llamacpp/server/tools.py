"""What a chat request says of tools: which there are, and whether the answer has to call one."""

from typing import Any, NamedTuple

from _shared.grammar_making.tasks import CallsTask
from _shared.tools.channels import FINAL, ChannelReader
from _shared.tools.events import Reader
from _shared.tools.framed_reader import FramedReader
from _shared.tools.layouts import Layout, Tool, opening_of
from _shared.tools.reader import NAME_OF_TOOL, CallReader
from _shared.tools.tagged_reader import TaggedReader
from llamacpp.server.errors import BadRequest
from llamacpp.server.grammars import WantedForm

MOST_TOOLS = 512

# Any: tools and choices as clients write them.
GivenTool = dict[str, Any]
GivenChoice = str | dict[str, Any] | None


class ToolUse(NamedTuple):
    """How an answer may call tools. With a `form` it must. It begins after `opening`."""

    layout: Layout
    tools: list[Tool]
    form: WantedForm | None = None
    opening: str = ""

    def reader(self) -> Reader:
        is_in_call = self.form is not None
        names = frozenset(tool.name for tool in self.tools)
        if self.layout.has_channels:
            return ChannelReader(names, written=self.opening)
        if self.layout.tags is not None:
            parameters = {tool.name: tool.parameters for tool in self.tools}
            return TaggedReader(self.layout.tags, parameters, is_in_call=is_in_call)
        if self.layout.frame is not None:
            return FramedReader(self.layout.frame, is_in_call=is_in_call)
        return CallReader(self.layout, names, is_in_call=is_in_call)


def in_channels(use: ToolUse | None, layout: Layout, *, has_form: bool) -> ToolUse | None:
    """How an answer is read whose model writes in channels, also where no tool may be called.

    `has_form`: it is held to a form of the client's.
    """
    if not layout.has_channels or (use is not None and use.form is not None):
        return use
    tools = [] if use is None else use.tools
    return ToolUse(layout, tools, opening=FINAL if has_form else "")


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
    task = CallsTask(forced, layout, has_several)
    form = WantedForm(task, "tools", "tools: these cannot become a grammar")
    return ToolUse(layout, tools, form, opening_of(layout))


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
