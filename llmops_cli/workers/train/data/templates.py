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
from jinja2.sandbox import ImmutableSandboxedEnvironment

from _shared.protocol import JobError
from train.data.messages import Message
from train.data.row_error import RowError

TODAY = datetime(2024, 7, 26)  # noqa: DTZ001 - the day that Llama 3's templates fall back to
DATE = TODAY.strftime("%d %b %Y")
MARK = re.compile(r"\{%-?\s*generation\s*-?%\}")
CHATML = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)

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
            return self._template.render(names)
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
                for block in self._template.generate(names):
                    blocks.append(block)  # noqa: PERF402 - the tracker reads it meanwhile
            except RENDERING_ERRORS as error:
                raise _refused(error) from None
        return "".join(blocks), spans

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


def _environment() -> jinja2.Environment:
    environment = ImmutableSandboxedEnvironment(
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
