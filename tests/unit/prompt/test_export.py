"""Prompts for other programs: what they send is what we would send."""

from __future__ import annotations

import json
import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmops_cli.core.errors import UsageError
from llmops_cli.prompt.differences import difference
from llmops_cli.prompt.export import exported, openai_body, request_of
from llmops_cli.prompt.values import values_of
from llmops_cli.prompt_file.prompt import Prompt
from llmops_cli.prompt_file.read import prompt_of

TEXT = """---
name: sort
model: m
parameters: {temperature: 0, max_tokens: 5, stop: END, min_p: 0.1}
schema: {type: object, properties: {label: {type: string}}}
---
system:
Be short.

user:
{{text}}
"""


def _prompt(text: str = TEXT) -> Prompt:
    return prompt_of(text, name="p", where="p.md")


@given(st.text())
def test_the_curl_line_sends_the_same_body(text: str) -> None:
    request = request_of(_prompt(), {"text": text})
    words = shlex.split(exported(request, "curl").replace("\\\n", ""))
    assert json.loads(words[words.index("--data-binary") + 1]) == openai_body(request)
    assert words[2] == "http://127.0.0.1:8000/v1/chat/completions"


def test_anthropics_body_has_the_system_text_beside_and_its_own_names() -> None:
    request = request_of(_prompt(), {"text": "hi"}, model="claude")
    body = json.loads(exported(request, "anthropic"))
    assert body["system"] == "Be short."
    assert body["messages"] == [{"role": "user", "content": "hi"}]
    assert body["stop_sequences"] == ["END"]
    assert body["max_tokens"] == 5
    assert "min_p" not in body


@given(st.text())
def test_the_python_program_calls_with_the_same_arguments(text: str) -> None:
    request = request_of(_prompt(), {"text": text})
    program = exported(request, "python")
    called: dict[str, object] = {}

    class Client:
        def __init__(self, **_: object) -> None:
            self.chat = self
            self.completions = self

        def create(self, **arguments: object) -> object:
            called.update(arguments)
            raise StopIteration

    source = program.replace("from openai import OpenAI\n", "")
    with pytest.raises(StopIteration):
        exec(compile(source, "p", "exec"), {"OpenAI": Client})
    extra = called.pop("extra_body")
    assert {**called, **extra} == openai_body(request)  # type: ignore[dict-item]


def test_an_unknown_form_gets_the_nearest() -> None:
    with pytest.raises(UsageError) as caught:
        exported(request_of(_prompt(), {"text": "x"}), "crul")
    assert caught.value.hint == "did you mean 'curl'?"


def test_a_diff_shows_what_a_model_is_told_otherwise() -> None:
    other = _prompt(
        TEXT.replace("Be short.", "Be brief.").replace("max_tokens: 5", "max_tokens: 9")
    )
    text = difference(_prompt(), other)
    assert "-Be short.\n+Be brief." in text
    assert "-parameters.max_tokens: 5" in text
    assert difference(_prompt(), _prompt(TEXT.replace("name: sort", "name: order"))) == ""


def test_values_come_by_name_or_from_a_file(tmp_path: object) -> None:
    path = f"{tmp_path}/t.txt"
    with open(path, "w") as file:
        file.write("from = a file\n")
    assert values_of(["a=1=2", f"b=@{path}"]) == {"a": "1=2", "b": "from = a file"}
    for pairs in (["a"], ["a=1", "a=2"], ["a=@/nowhere/at/all"]):
        with pytest.raises(UsageError):
            values_of(pairs)
