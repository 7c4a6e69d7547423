"""The shared vocabulary: values in one spelling, and nonsense refused with an example."""

from __future__ import annotations

import pytest

from llmops_cli.core.errors import UsageError
from llmops_cli.core.options import COMMON, located, loras_of, normalized
from llmops_cli.engines.vllm import speculation


@pytest.mark.parametrize(
    ("name", "given", "kept"),
    [
        ("prefix_caching", "Yes", "true"),
        ("prefix_caching", "0", "false"),
        ("max_model_len", " 4096 ", "4096"),
        ("gpu_memory_utilization", "0.9", "0.9"),
        ("speculative", "ngram", "ngram:5"),
        ("speculative", "draft:/m", "draft:/m:5"),
        ("speculative", "draft:/m:3", "draft:/m:3"),
        ("own_option", "anything", "anything"),
    ],
)
def test_values_in_one_spelling(name: str, given: str, kept: str) -> None:
    assert normalized({name: given}) == {name: kept}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_num_seqs", "0"),
        ("tensor_parallel", "two"),
        ("gpu_memory_utilization", "1.5"),
        ("dtype", "float8"),
        ("prefix_caching", "maybe"),
        ("speculative", "draft"),
        ("speculative", "ngram:x"),
        ("lora", "adapter"),
        ("threads", "-1"),
    ],
)
def test_nonsense_is_refused_with_an_example(name: str, value: str) -> None:
    with pytest.raises(UsageError) as caught:
        normalized({name: value})
    assert COMMON[name].example in (caught.value.hint or "")


def test_adapters_by_name() -> None:
    assert loras_of({"lora": "a=/x,b=/y=z"}) == {"a": "/x", "b": "/y=z"}
    assert loras_of({}) == {}


def test_places_take_the_names_of_what_the_user_called_them() -> None:
    given = normalized({"lora": "a=x,b=/y", "speculative": "draft:demo"})
    assert located(given, {"x": "/at/x", "demo": "/at/demo"}) == {
        "lora": "a=/at/x,b=/y",
        "speculative": "draft:/at/demo:5",
    }


def test_speculation_as_vllm_wants_it() -> None:
    assert speculation({"speculative": "ngram:4"})["num_speculative_tokens"] == 4
    assert speculation({"speculative": "draft:/m:3"}) == {
        "model": "/m",
        "num_speculative_tokens": 3,
    }
    assert speculation({"speculative": "eagle:/m:5"})["method"] == "eagle"
