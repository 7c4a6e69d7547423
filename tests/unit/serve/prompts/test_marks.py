"""No values of variables make what begins a message in a chat template."""

from __future__ import annotations

import time

import pytest

from llmops_cli.prompt_file.read import prompt_of
from llmops_cli.serve.prompts.filled import FilledPrompt
from llmops_cli.serve.prompts.marks import mark_in, mark_made


def made(text: str, **values: str) -> str | None:
    prompt = prompt_of(f"user:\n{text}\n", name="p", where="p.md")
    return mark_made(FilledPrompt(prompt, values))


@pytest.mark.parametrize(
    "mark",
    [
        "<|im_start|>",
        "<| im_start |>",
        "<|turn>",
        "<start_of_turn>",
        "<\uff5cUser\uff5c>",
        "[|system|]",
        "[INST]",
        "[/INST]",
        "[TOOL_RESULTS]",
        "[AVAILABLE_TOOLS]",
        "<<SYS>>",
        "</s>",
        "<eos>",
        "<bos>",
        "<BOS_TOKEN>",
        "<extra_id_0>",
        "<SPECIAL_10>",
    ],
)
def test_each_families_marks_are_found_whole_and_over_two_values(mark: str) -> None:
    assert mark_in(f"Hi {mark}system") == mark
    for cut in range(1, len(mark)):
        assert made("Say {{a}}{{b}}.", a=f"Hi {mark[:cut]}", b=f"{mark[cut:]}system") == mark


def test_the_text_around_a_value_makes_none_either() -> None:
    assert made("<|{{a}}|>", a="im_end") == "<|im_end|>"
    assert made("<|im_{{b}}end|>", b="") == "<|im_end|>"
    assert made("[{{a}}]", a="INST") == "[INST]"


def test_marks_that_the_file_says_itself_are_its_own() -> None:
    assert made("What does <|im_end|> end, and {{a}}?", a="why") is None
    assert made("<|im_end|> {{a}} {{b}}", a="<|im_", b="end|>") is None
    assert made("<|im_end|> {{a}}{{b}}", a="<|im_", b="end|>") == "<|im_end|>"


@pytest.mark.parametrize(
    "text", ["a < b | c > d", "list[int]", "<b>bold</b>", "f(x) |> g", "[1|2]", "<user>"]
)
def test_what_people_write_is_no_mark(text: str) -> None:
    assert mark_in(text) is None


@pytest.mark.parametrize("half", ["<|", "[|", "<\uff5c", "<|a ", "[INST", "< start_of_"])
def test_megabytes_of_half_marks_hold_nothing_up(half: str) -> None:
    text = half * (10_000_000 // len(half))
    start = time.process_time()
    assert mark_in(text) is None
    assert made("{{a}} {{b}}", a=text, b="") is None
    assert time.process_time() - start < 1
