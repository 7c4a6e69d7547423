"""Values win in the order default < file < environment < flag, and each knows where it came
from.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmops_cli.core.errors import UsageError
from llmops_cli.core.recipe import BenchRecipe, QuantizeRecipe, TrainRecipe, resolve

maybe = st.none() | st.integers(1, 1000)


@given(maybe, maybe, maybe)
def test_the_last_source_that_speaks_wins(
    file: int | None, env: int | None, flag: int | None
) -> None:
    recipe, origins = resolve(
        BenchRecipe,
        file={} if file is None else {"requests": file},
        environ={} if env is None else {"LLMOPS_REQUESTS": str(env)},
        flags={"requests": flag},
    )
    spoken = [("flag", flag), ("env", env), ("file", file), ("default", None)]
    assert (origins["requests"], recipe.requests) == next(
        s for s in spoken if s[1] is not None or s[0] == "default"
    )


def test_text_becomes_the_type_of_the_field() -> None:
    recipe, _ = resolve(BenchRecipe, flags={"concurrency": "1, 8,32"})
    assert recipe.concurrency == [1, 8, 32]
    assert resolve(QuantizeRecipe, flags={"scheme": "Q8_0,Q4_K_M"})[0].scheme == ["Q8_0", "Q4_K_M"]


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ({"concurrency": "0"}, "concurrency='0' (flag)"),
        ({"requests": -1}, "requests=-1 (flag)"),
        ({"timeout_s": "soon"}, "timeout_s='soon' (flag)"),
    ],
)
def test_a_bad_value_names_its_field_and_origin(flags: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError) as error:
        resolve(BenchRecipe, flags=flags)
    assert words in error.value.message


def test_an_unknown_field_gets_a_suggestion() -> None:
    with pytest.raises(UsageError) as error:
        resolve(TrainRecipe, file={"learning_rat": 0.1})
    assert "learning_rate" in (error.value.hint or "")


def test_a_saved_recipe_resolves_to_itself() -> None:
    import msgspec

    recipe, _ = resolve(BenchRecipe, flags={"concurrency": "2", "options": {"ctx": "512"}})
    again, _ = resolve(BenchRecipe, file=msgspec.to_builtins(recipe))
    assert again == recipe
