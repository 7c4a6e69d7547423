"""Templates of models are rendered as Transformers renders them, and can harm nothing."""

from __future__ import annotations

import pytest

from llamacpp.server.chat import ChatTemplate

MESSAGES = [{"role": "user", "content": "<é>"}]


def render(source: str, **fields: object) -> str:
    return ChatTemplate(source, bos="<s>", eos="</s>").render(MESSAGES, fields)


def test_messages_tokens_and_fields_are_there() -> None:
    source = "{{ bos_token }}{{ messages[0].content }}{{ eos_token }}{{ think }}"
    assert render(source, think="no") == "<s><é></s>no"


def test_json_is_not_escaped_for_html() -> None:
    assert render("{{ messages | tojson }}") == '[{"role": "user", "content": "<é>"}]'


@pytest.mark.parametrize(
    "source",
    [
        "{{ raise_exception('no system role') }}",
        "{{ messages.append(1) }}",
        "{{ ''.__class__.__mro__ }}",
        "{{ messages + 1 }}",
    ],
)
def test_a_template_that_refuses_or_reaches_out_is_an_error(source: str) -> None:
    with pytest.raises(ValueError, match="refuses these messages"):
        render(source)


def test_marks_of_what_the_assistant_says_are_no_text() -> None:
    source = (
        "{% for m in messages %}{% if m.role == 'user' %}U:{{ m.content }}{% else %}"
        "{%- generation -%}A:{{ m.content }}{%- endgeneration -%}{% endif %}{% endfor %}"
    )
    template = ChatTemplate(source, bos="", eos="")
    said = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "ho"}]
    assert template.render(said, {}) == "U:hiA:ho"
