"""The shared vocabulary: values in their types, and nonsense refused with an example."""

from __future__ import annotations

import pytest

from llmops_cli.core.errors import UsageError
from llmops_cli.engines.options import COMMON, Lora, Speculation, read_options
from llmops_cli.engines.vllm import speculation


@pytest.mark.parametrize(
    ("name", "given", "read"),
    [
        ("prefix_caching", "Yes", True),
        ("prefix_caching", "0", False),
        ("max_model_len", " 4096 ", 4096),
        ("gpu_memory_utilization", "0.9", 0.9),
        ("dtype", "bfloat16", "bfloat16"),
        ("speculative", "ngram", Speculation(kind="ngram", tokens=5)),
        ("speculative", "draft:/m", Speculation(kind="draft", path="/m", tokens=5)),
        ("speculative", "draft:/m:3", Speculation(kind="draft", path="/m", tokens=3)),
        ("lora", "a=/x,b=/y=z", (Lora(name="a", path="/x"), Lora(name="b", path="/y=z"))),
    ],
)
def test_values_in_their_types(name: str, given: str, read: object) -> None:
    assert getattr(read_options({name: given}), name) == read


@pytest.mark.parametrize(
    ("name", "given", "argument"),
    [
        ("prefix_caching", "off", "false"),
        ("speculative", "draft:/m", "draft:/m:5"),
        ("lora", "a=/x,b=/y", "a=/x,b=/y"),
        ("threads", "8", "8"),
        ("own_option", "anything", "anything"),
    ],
)
def test_an_option_is_an_argument_in_one_spelling(name: str, given: str, argument: str) -> None:
    options = read_options({name: given})
    assert options.text(name) == argument
    assert options.arguments({name: "--flag"}) == ["--flag", argument]
    assert read_options({}).arguments({name: "--flag"}) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_num_seqs", "0"),
        ("tensor_parallel", "two"),
        ("gpu_memory_utilization", "1.5"),
        ("prefix_caching", "maybe"),
        ("speculative", "draft"),
        ("speculative", "ngram:x"),
        ("lora", "adapter"),
        ("threads", "-1"),
    ],
)
def test_nonsense_is_refused_with_an_example(name: str, value: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_options({name: value})
    assert COMMON[name].example in (caught.value.hint or "")


def test_a_wrong_word_of_a_fixed_set_gets_the_nearest_right_one() -> None:
    with pytest.raises(UsageError) as caught:
        read_options({"dtype": "float8"})
    assert caught.value.hint == "did you mean 'float32'?"


def test_places_take_the_names_of_what_the_user_called_them() -> None:
    given = read_options({"lora": "a=x,b=/y", "speculative": "draft:demo"})
    placed = given.located({"x": "/at/x", "demo": "/at/demo"})
    assert placed.text("lora") == "a=/at/x,b=/y"
    assert placed.text("speculative") == "draft:/at/demo:5"


def test_speculation_as_vllm_wants_it() -> None:
    assert speculation(Speculation(kind="ngram", tokens=4))["num_speculative_tokens"] == 4
    draft = Speculation(kind="draft", path="/m", tokens=3)
    assert speculation(draft) == {"model": "/m", "num_speculative_tokens": 3}
    assert speculation(Speculation(kind="eagle", path="/m"))["method"] == "eagle"
