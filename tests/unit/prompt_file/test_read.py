"""Prompt files: what they may say, their versions, and what is told of a mistake."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmops_cli.core.errors import UsageError
from llmops_cli.prompt_file.library import find_prompt, named_prompt, read_library
from llmops_cli.prompt_file.prompt import Prompt
from llmops_cli.prompt_file.read import prompt_of, read_prompt

SUPPORT = """---
name: support-v3
description: Helps people
model: smollm2
parameters: {temperature: 0.2, max_tokens: 64}
variables:
  product: the app
---
system:
You help with {{product}}.

user:
{{ question }}
"""


def _read(text: str) -> Prompt:
    return prompt_of(text, name="p", where="p.md")


def test_a_file_has_front_matter_and_sections() -> None:
    prompt = _read(SUPPORT)
    assert (prompt.name, prompt.model) == ("support-v3", "smollm2")
    assert prompt.parameters == {"temperature": 0.2, "max_tokens": 64}
    assert prompt.holes == ["product", "question"]
    assert prompt.required == ["question"]
    assert prompt.filled({"question": "Why {{product}}?"}) == [
        {"role": "system", "content": "You help with the app."},
        {"role": "user", "content": "Why {{product}}?"},
    ]


def test_a_plain_text_is_one_user_message_named_after_its_file(tmp_path: Path) -> None:
    path = tmp_path / "sum.txt"
    path.write_text("Sum up:\n\n{{text}}\n")
    prompt = read_prompt(path)
    assert prompt.name == "sum"
    assert prompt.filled({"text": "x"}) == [{"role": "user", "content": "Sum up:\n\nx"}]


def test_headings_and_braces_can_be_text() -> None:
    prompt = _read("user:\nA line\n\\user:\nand \\{{braces}}")
    assert prompt.filled({}) == [{"role": "user", "content": "A line\nuser:\nand {{braces}}"}]


def test_messages_may_stand_in_the_front_matter() -> None:
    prompt = _read(
        "---\nmessages:\n- {role: system, content: S}\n- {role: user, content: U}\n---\n"
    )
    assert [message.role for message in prompt.messages] == ["system", "user"]


def test_the_version_is_of_what_a_model_is_asked_and_of_nothing_else() -> None:
    renamed = SUPPORT.replace("support-v3", "other").replace("Helps people", "Helps")
    respaced = SUPPORT.replace("name:", "# a comment\nname:").replace(
        "{{ question }}\n", "{{ question }}\n\n\n"
    )
    other = SUPPORT.replace("0.2", "0.3")
    version = _read(SUPPORT).version
    assert len(version) == 12
    assert _read(renamed).version == version
    assert _read(respaced).version == version
    assert _read(SUPPORT.replace("\n", "\r\n").replace("\r\n", "\n")).version == version
    assert _read(other).version != version


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("", "holds no prompt", "text, or sections"),
        ("---\nname: x\n", "front matter does not end", "---"),
        ("---\nnmae: x\n---\nHi", "p.md:2: unknown key 'nmae'", "did you mean 'name'?"),
        ("---\nmodel: m\nnmae: x\n---\nHi", "p.md:3: unknown key", ""),
        ("---\nname: [\n---\nHi", "p.md:3:", "YAML"),
        ("---\n- a\n---\nHi", "no mapping", ""),
        ("---\nname: a b\n---\nHi", "'a b' is no name", "support-v3"),
        ("---\nparameters: 3\n---\nHi", "parameters: must be a mapping", ""),
        (
            "---\nmessages: [{role: user, content: a}]\n---\nHi",
            "p.md:4: messages stand",
            "keep one",
        ),
        ("system:\n\nuser:\nHi", "message 1, system, is empty", ""),
        ("Hi {{a b}}", "'{{a b}}' is no variable", "{{name}}"),
        ("user:\nHi\n{{", "line 2 of it: '{{' is no variable", ""),
        ("{{ x|safe }}", "is no variable", ""),
        (
            "---\nvariables: {produkt: a}\n---\n{{product}}",
            "'produkt' stands in no message",
            "'product'",
        ),
    ],
)
def test_a_mistake_is_told_where_it_stands(text: str, message: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        _read(text)
    assert message in caught.value.message
    assert hint in (caught.value.hint or "")


def test_a_value_that_is_missing_or_unknown_is_refused() -> None:
    prompt = _read(SUPPORT)
    with pytest.raises(UsageError, match="needs a value for: question"):
        prompt.filled({})
    with pytest.raises(UsageError, match="no variable 'qestion'") as caught:
        prompt.filled({"qestion": "x", "question": "y"})
    assert caught.value.hint == "did you mean 'question'?"
    with pytest.raises(UsageError, match="no variable 'qestion'"):
        prompt.filled({"qestion": "x"})


@given(st.text(), st.text())
def test_values_are_text_and_never_read_again(first: str, second: str) -> None:
    prompt = _read("{{a}}|{{b}}")
    assert prompt.filled({"a": first, "b": second})[0]["content"] == f"{first}|{second}"


def test_a_folder_is_a_library(tmp_path: Path) -> None:
    below = tmp_path / "team"
    below.mkdir()
    (below / "support.md").write_text(SUPPORT)
    (tmp_path / "README.md").write_text("no prompt")
    (tmp_path / ".hidden.md").write_text("no prompt")
    (tmp_path / "notes.csv").write_text("no prompt")
    prompts = read_library(tmp_path)
    assert list(prompts) == ["support-v3"]
    version = prompts["support-v3"].version
    assert named_prompt(prompts, f"support-v3@{version[:6]}").version == version
    with pytest.raises(UsageError, match="is version"):
        named_prompt(prompts, "support-v3@ffffff000000")
    with pytest.raises(UsageError, match="unknown prompt 'suport-v3'"):
        find_prompt("suport-v3", folder=tmp_path)
    (tmp_path / "copy.md").write_text(SUPPORT)
    with pytest.raises(UsageError, match="both called 'support-v3'"):
        read_library(tmp_path)


def test_a_link_out_of_the_folder_is_no_prompt_of_it(tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("not yours")
    folder = tmp_path / "prompts"
    folder.mkdir()
    (folder / "link.txt").symlink_to(secret)
    assert read_library(folder) == {}
