"""Answers are found in the text of any template, or the chat is refused; they are never guessed."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("jinja2", reason="jinja2 is not installed")
pytest.importorskip("transformers", reason="transformers is not installed")

from _shared.data.forms import Chat
from _shared.data.row_error import RowError
from _shared.protocol import JobError
from train.data.answers import Answers, check_tools
from train.data.templates import CHATML, Span, Template
from train.tokenizer import TEMPLATE as DEMO

USER = {"role": "user", "content": "q"}
ANSWER = {"role": "assistant", "content": "yes"}
LAST = {"role": "assistant", "content": "no"}
TWO_TURNS = Chat([USER, ANSWER, USER, LAST], (1, 3))
CALL = {
    "role": "assistant",
    "content": "",
    "tool_calls": [{"type": "function", "function": {"name": "look", "arguments": {"x": 1}}}],
}
CONTROL = ["<|im_end|>", "<|im_start|>", "<|end|>", "<eos>", "</s>", "[/INST]"]

# As Qwen3 does it: the last answer has thoughts, the ones before it have none.
THINKING = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n"
    "{% if m.role == 'assistant' and loop.last %}<think>\n\n</think>\n\n{% endif %}"
    "{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
# As Phi-3 does it: what ends the text is no part of the same turn in a longer chat.
ENDED = (
    "{% for m in messages %}<|{{ m.role }}|>\n{{ m.content }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% else %}{{ eos_token }}{% endif %}"
)
INST = (
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}[INST] {{ m.content }}[/INST]"
    "{% else %} {{ m.content }}</s>{% endif %}{% endfor %}"
)
PLAIN = (
    "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant: {% endif %}"
)
MARKED = (
    "{% for m in messages %}{{ m.role }}: {% if m.role == 'assistant' %}"
    "{% generation %}{{ m.content }}<eos>{% endgeneration %}"
    "{% else %}{{ m.content }}{% endif %}\n{% endfor %}"
)
# As R1's does it: a server sends what no sample in the data has.
SURPRISING = (
    "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|><think>\n{% endif %}"
)
SILENT = (
    "{% for m in messages %}<|{{ m.role }}|><|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


def answers(source: str, chat: Chat) -> list[str]:
    template = Template(source, {"bos_token": "<s>", "eos_token": "<eos>"})
    text, spans = Answers(template, CONTROL).render(chat)
    return [text[begin:end] for begin, end in spans]


@pytest.mark.parametrize(
    ("source", "found"),
    [
        (DEMO, ["yes<|end|>", "no<|end|>"]),
        (CHATML, ["yes<|im_end|>", "no<|im_end|>"]),
        (THINKING, ["yes<|im_end|>", "<think>\n\n</think>\n\nno<|im_end|>"]),
        (ENDED, ["yes<|end|>", "no<|end|>"]),
        (INST, [" yes</s>", " no</s>"]),
        (PLAIN, ["yes\n", "no\n"]),
        (MARKED, ["yes<eos>", "no<eos>"]),
    ],
)
def test_answers_are_found_to_their_end(source: str, found: list[str]) -> None:
    assert answers(source, TWO_TURNS) == found
    last = Chat(TWO_TURNS.messages, (3,))
    assert answers(source, last) == found[1:]


def test_what_is_not_sure_is_refused() -> None:
    with pytest.raises(RowError, match=r"where the answer messages\[1\] stands"):
        answers(SURPRISING, TWO_TURNS)
    with pytest.raises(RowError, match="leaves the text of the answer"):
        answers(SILENT, TWO_TURNS)
    ended = Chat([USER, {"role": "assistant", "content": "<|end|> more"}], (1,))
    with pytest.raises(RowError, match="the end of a turn"):
        answers(DEMO, ended)


def test_a_template_that_leaves_tools_out_is_refused() -> None:
    template = Template(DEMO, {})
    chat = Chat([USER, CALL], (1,))
    text, _ = Answers(template, CONTROL).render(chat)
    with pytest.raises(RowError, match="leaves tool calls out: look"):
        check_tools(chat, text)
    tools = Chat([USER, ANSWER], (1,), [{"type": "function", "function": {"name": "find"}}])
    with pytest.raises(RowError, match="leaves tools out: find"):
        check_tools(tools, "nothing of it")
    check_tools(tools, "has find")


def test_a_template_says_what_it_objects_to() -> None:
    template = Template("{{ raise_exception('roles must alternate') }}", {})
    with pytest.raises(RowError, match="roles must alternate"):
        template.render([USER])
    with pytest.raises(RowError, match="refuses it"):
        Template("{{ messages[0].content + 1 }}", {}).render([USER])
    with pytest.raises(JobError, match="wrong in line 2"):
        Template("a\n{% for %}", {})
    with pytest.raises(RowError, match="refuses it"):
        Template("{{ ''.__class__.__mro__ }}", {}).render([USER])


def test_today_is_one_fixed_day() -> None:
    template = Template("{{ strftime_now('%Y-%m-%d') }} {{ date_string }}", {})
    assert template.render([]) == "2024-07-26 26 Jul 2024"
    assert template.writes_date


@pytest.mark.parametrize("source", [DEMO, CHATML, THINKING, ENDED, INST, MARKED])
@pytest.mark.parametrize("asks", [False, True])
def test_texts_are_those_of_transformers(source: str, asks: bool) -> None:
    from transformers.utils.chat_template_utils import render_jinja_template

    names = {"bos_token": "<s>", "eos_token": "<eos>"}
    messages: list[Any] = TWO_TURNS.messages
    tools = [{"type": "function", "function": {"name": "é<b>"}}]
    shown = source + "{{ tools | tojson(indent=1) }}"
    (text,), _ = render_jinja_template(
        [messages], tools=tools, chat_template=shown, add_generation_prompt=asks, **names
    )
    assert Template(shown, names).render(messages, tools, asks=asks) == text


def test_marks_are_those_of_transformers() -> None:
    from transformers.utils.chat_template_utils import render_jinja_template

    messages: list[Any] = TWO_TURNS.messages
    texts, marks = render_jinja_template(
        [messages], chat_template=MARKED, return_assistant_tokens_mask=True
    )
    text, spans = Template(MARKED, {}).render_marked(messages, None, {})
    assert [text] == texts
    assert spans == [Span(*mark) for mark in marks[0]]


def test_chatml_writes_tools_calls_and_results() -> None:
    chat = Chat(
        [
            {"role": "system", "content": "be brief"},
            USER,
            CALL,
            {"role": "tool", "content": "42"},
            ANSWER,
        ],
        (2, 4),
        [{"type": "function", "function": {"name": "look", "parameters": {}}}],
    )
    template = Template(CHATML, {})
    text, spans = Answers(template, CONTROL).render(chat)
    check_tools(chat, text)
    assert text.startswith("<|im_start|>system\nbe brief\n\n# Tools\n")
    assert "<tools>\n{" in text
    assert '<tool_call>\n{"name": "look", "arguments": {"x": 1}}\n</tool_call><|im_end|>\n' in text
    assert "<|im_start|>user\n<tool_response>\n42\n</tool_response><|im_end|>\n" in text
    assert text.count("be brief") == 1
    assert len(spans) == 2


def test_chatml_writes_a_plain_chat_as_ever() -> None:
    text = Template(CHATML, {}).render([USER, ANSWER], asks=True)
    assert text == (
        "<|im_start|>user\nq<|im_end|>\n<|im_start|>assistant\nyes<|im_end|>\n"
        "<|im_start|>assistant\n"
    )


@pytest.mark.parametrize(
    "source",
    [
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
        "{% for a in range(10 ** 12) %}{% endfor %}",
        "{% for a in 'x' * 10 ** 10 %}{% endfor %}",
        "{% set n = namespace(t='x') %}"
        "{% for a in range(64) %}{% set n.t = n.t + n.t %}{% endfor %}",
        "{% for a in range(999) %}{% for b in range(999) %}{{ 'x' * 99 }}{% endfor %}{% endfor %}",
        "{% macro again() %}{{ again() }}{% endmacro %}{{ again() }}",
    ],
)
def test_a_template_that_goes_on_and_on_is_refused(source: str) -> None:
    with pytest.raises(RowError, match="the chat template refuses it"):
        Template(source, {}).render([USER])


def test_arithmetic_of_templates_is_theirs() -> None:
    assert Template("{{ 5000 * 5000 }} {{ 2 ** 10 }} {{ 'ab' * 2 }}", {}).render([USER]) == (
        "25000000 1024 abab"
    )
