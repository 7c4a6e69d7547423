"""Chat templates: a chat becomes a text, and which parts of it the model must say.

The environment is that of Transformers' `apply_chat_template`, but for the date: what a template
calls today is one fixed day, so that the same chat is the same text in every epoch and on every
rank.
"""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, NamedTuple

import jinja2
import jinja2.ext
import jinja2.nodes
import jinja2.parser
import jinja2.runtime
from jinja2.sandbox import ImmutableSandboxedEnvironment

from _shared.data.messages import Message
from _shared.data.row_error import RowError
from _shared.protocol import JobError

TODAY = datetime(2024, 7, 26)  # noqa: DTZ001 - the day that Llama 3's templates fall back to
DATE = TODAY.strftime("%d %b %Y")
MARK = re.compile(r"\{%-?\s*generation\s*-?%\}")
CHATML_NAME = "chatml"
# Tools and calls are written as Hermes 2 Pro's and Qwen2.5's templates do it.
CHATML = r"""
{%- if tools %}
    {{- '<|im_start|>system\n' }}
    {%- if messages[0]['role'] == 'system' %}{{- messages[0]['content'] + '\n\n' }}{% endif %}
    {{- '# Tools\n\nYou may call one or more functions to assist with the user query.\n\n' }}
    {{- 'You are provided with function signatures within <tools></tools> XML tags:\n<tools>' }}
    {%- for tool in tools %}{{- '\n' + (tool | tojson) }}{% endfor %}
    {{- '\n</tools>\n\nFor each function call, return a json object with function name and ' }}
    {{- 'arguments within <tool_call></tool_call> XML tags:\n<tool_call>\n' }}
    {{- '{"name": <function-name>, "arguments": <args-json-object>}\n</tool_call>' }}
    {{- '<|im_end|>\n' }}
{%- endif %}
{%- for message in messages %}
    {%- if message['role'] == 'tool' %}
        {{- '<|im_start|>user\n<tool_response>\n' + message['content'] }}
        {{- '\n</tool_response><|im_end|>\n' }}
    {%- elif not (tools and loop.first and message['role'] == 'system') %}
        {{- '<|im_start|>' + message['role'] + '\n' + message['content'] }}
        {%- for call in message['tool_calls'] or [] %}
            {%- set function = call['function'] or call %}
            {%- set given = function['arguments'] %}
            {%- if message['content'] or not loop.first %}{{- '\n' }}{% endif %}
            {{- '<tool_call>\n{"name": "' + function['name'] + '", "arguments": ' }}
            {{- given if given is string else given | tojson }}
            {{- '}\n</tool_call>' }}
        {%- endfor %}
        {{- '<|im_end|>\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\n' }}{% endif %}
"""

MOST_TEXT = 8_000_000
"""Characters of one chat; a sample may have half as many (encoder.MOST_CHARS)."""
MOST_TURNS = 1_000_000
"""Of all loops over `range` in one chat."""
SEQUENCES = (str, list, tuple)
# What a template of somebody else's may raise on what it does not expect.
RENDERING_ERRORS = (
    jinja2.TemplateError,
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)


def source_of(chosen: str) -> str:
    """The text of a template that the user chose, which may be one of ours by name."""
    return CHATML if chosen == CHATML_NAME else chosen


class Span(NamedTuple):
    """Characters of a text."""

    begin: int
    end: int


class Template:
    """`specials`: the names of the tokenizer's special tokens, which templates write."""

    def __init__(self, source: str, specials: dict[str, str]) -> None:
        self.source = source
        self.marks_answers = MARK.search(source) is not None
        self.writes_date = "strftime_now" in source or "date_string" in source
        self._specials = specials
        self._environment = _environment()
        try:
            self._template = self._environment.from_string(source)
        except jinja2.TemplateSyntaxError as error:
            message = f"the chat template is wrong in line {error.lineno}: {error.message}"
            raise JobError("UsageError", message) from None

    def render(
        self,
        messages: list[Message],
        tools: list[Any] | None = None,
        options: dict[str, Any] | None = None,
        *,
        asks: bool = False,
    ) -> str:
        """`asks`: with the beginning of the next answer, as a server renders it.

        Raises: RowError with what the template objects to.
        """
        names = self._names(messages, tools, options or {}, asks=asks)
        try:
            return "".join(self._blocks(names))
        except RENDERING_ERRORS as error:
            raise _refused(error) from None

    def render_marked(
        self,
        messages: list[Message],
        tools: list[Any] | None,
        options: dict[str, Any],
    ) -> tuple[str, list[Span]]:
        """The text and what stands between {% generation %} marks."""
        names = self._names(messages, tools, options, asks=False)
        tracker = self._environment.extensions[GenerationMark.identifier]
        assert isinstance(tracker, GenerationMark)
        blocks: list[str] = []
        with tracker.watching(blocks) as spans:
            try:
                for block in self._blocks(names):
                    blocks.append(block)  # noqa: PERF402 - the tracker reads it meanwhile
            except RENDERING_ERRORS as error:
                raise _refused(error) from None
        return "".join(blocks), spans

    def _blocks(self, names: dict[str, Any]) -> Iterator[str]:
        """The text piece by piece. Raises: TemplateError for a template that goes on and on."""
        self._environment.begin()
        count = 0
        for block in self._template.generate(names):
            count += len(block)
            if count > MOST_TEXT:
                raise jinja2.TemplateError(f"it writes more than {MOST_TEXT:,} characters")
            yield block

    def _names(
        self,
        messages: list[Message],
        tools: list[Any] | None,
        options: dict[str, Any],
        *,
        asks: bool,
    ) -> dict[str, Any]:
        return {
            "date_string": DATE,
            **self._specials,
            **options,
            "messages": messages,
            "tools": tools,
            "documents": None,
            "add_generation_prompt": asks,
        }


class GenerationMark(jinja2.ext.Extension):
    """{% generation %} ... {% endgeneration %}: where an assistant's answers are."""

    tags = {"generation"}  # noqa: RUF012 - jinja2 declares it so

    def __init__(self, environment: jinja2.Environment) -> None:
        super().__init__(environment)
        self._blocks: list[str] = []
        self._spans: list[Span] = []

    def parse(self, parser: jinja2.parser.Parser) -> jinja2.nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        call = self.call_method("_answer")
        return jinja2.nodes.CallBlock(call, [], [], body).set_lineno(line)

    @contextmanager
    def watching(self, blocks: list[str]) -> Iterator[list[Span]]:
        """Spans appear in the list as rendering appends to `blocks`."""
        self._blocks = blocks
        self._spans = []
        yield self._spans

    def _answer(self, caller: Any) -> str:
        text: str = caller()
        begin = sum(map(len, self._blocks))
        self._spans.append(Span(begin, begin + len(text)))
        return text


class BoundedEnvironment(ImmutableSandboxedEnvironment):
    """A sandbox whose templates come to an end, and take no more memory than a text may.

    What loops or grows without writing is counted: turns of `range`, and what +, * and ** make.
    """

    intercepted_binops = frozenset({"+", "*", "**"})

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._turns_left = 0
        self.globals["range"] = self._range
        del self.globals["lipsum"]

    def begin(self) -> None:
        """A rendering has all turns again."""
        self._turns_left = MOST_TURNS

    def call_binop(
        self, context: jinja2.runtime.Context, operator: str, left: Any, right: Any
    ) -> Any:
        repeats = operator == "*" and (isinstance(left, SEQUENCES) or isinstance(right, SEQUENCES))
        if (repeats or operator == "**") and _size(left) * _size(right) > MOST_TEXT:
            raise jinja2.TemplateError(f"{operator} makes more than {MOST_TEXT:,}")
        made = super().call_binop(context, operator, left, right)
        if isinstance(made, SEQUENCES) and len(made) > MOST_TEXT:
            raise jinja2.TemplateError(f"{operator} makes more than {MOST_TEXT:,}")
        return made

    def _range(self, *bounds: int) -> range:
        """Each turn of a loop over it counts, also of a loop that is left early."""
        numbers = range(*bounds)
        self._turns_left -= len(numbers)
        if self._turns_left < 0:
            raise jinja2.TemplateError(f"its loops have more than {MOST_TURNS:,} turns")
        return numbers


def _size(value: Any) -> int:
    """Of a text or a list its length, of a number how large it is."""
    if isinstance(value, SEQUENCES):
        return len(value)
    return abs(int(value)) if isinstance(value, (int, float)) else 1


def _environment() -> BoundedEnvironment:
    environment = BoundedEnvironment(
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=[GenerationMark, jinja2.ext.loopcontrols],
    )
    environment.filters["tojson"] = _to_json
    environment.globals["raise_exception"] = _raise
    environment.globals["strftime_now"] = TODAY.strftime
    return environment


def _to_json(value: Any, *, ensure_ascii: bool = False, **more: Any) -> str:
    """jinja2's own escapes HTML."""
    return json.dumps(value, ensure_ascii=ensure_ascii, **more)


def _raise(message: str) -> None:
    raise jinja2.TemplateError(message)


def _refused(error: Exception) -> RowError:
    reason = str(error) or type(error).__name__
    return RowError(f"the chat template refuses it: {reason}")
