"""Values win in the order default < file < environment < flag, and each knows where it came
from.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmops_cli.bench.recipe import BenchRecipe
from llmops_cli.core.errors import UsageError
from llmops_cli.core.resolve import resolve
from llmops_cli.quantize.recipe import QuantizeRecipe
from llmops_cli.redteam.recipe import RedteamRecipe
from llmops_cli.train.recipe import TrainRecipe

maybe = st.none() | st.integers(1, 1000)


@given(maybe, maybe, maybe)
def test_the_last_source_that_speaks_wins(
    file: int | None, env: int | None, flag: int | None
) -> None:
    found = resolve(
        BenchRecipe,
        command="bench",
        file={} if file is None else {"requests": file},
        environ={} if env is None else {"LLMOPS_BENCH_REQUESTS": str(env)},
        flags={"requests": flag},
    )
    spoken = [("flag", flag), ("env", env), ("file", file), ("default", None)]
    assert (found.origins["requests"], found.recipe.requests) == next(
        s for s in spoken if s[1] is not None or s[0] == "default"
    )


def test_text_becomes_the_type_of_the_field() -> None:
    recipe = resolve(BenchRecipe, command="bench", flags={"concurrency": "1, 8,32"}).recipe
    assert recipe.concurrency == [1, 8, 32]
    schemes = resolve(QuantizeRecipe, command="quantize", flags={"scheme": "Q8_0,Q4_K_M"})
    assert schemes.recipe.scheme == ["Q8_0", "Q4_K_M"]


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ({"concurrency": "0"}, "--concurrency '0': "),
        ({"concurrency": " ,"}, "--concurrency ' ,' names nothing"),
        ({"requests": -1}, "--requests -1: "),
        ({"timeout_s": "soon"}, "--timeout-s 'soon': "),
        ({"options": 5}, "--set 5: "),
    ],
)
def test_a_bad_value_names_its_flag(flags: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError) as error:
        resolve(BenchRecipe, command="bench", flags=flags)
    assert words in error.value.message


def test_a_bad_value_from_elsewhere_names_its_variable_or_field() -> None:
    with pytest.raises(UsageError, match=r"^LLMOPS_QUANTIZE_FIT_BYTES='big': "):
        resolve(QuantizeRecipe, command="quantize", environ={"LLMOPS_QUANTIZE_FIT_BYTES": "big"})
    with pytest.raises(UsageError, match=r"^fit_bytes='big' \(file\): "):
        resolve(QuantizeRecipe, command="quantize", file={"fit_bytes": "big"})
    with pytest.raises(UsageError, match=r"^--fit 'big': "):
        resolve(QuantizeRecipe, command="quantize", flags={"fit_bytes": "big"})


def test_a_value_of_a_fixed_set_gets_a_suggestion() -> None:
    with pytest.raises(UsageError, match="--mix 'atuo': no such value") as error:
        resolve(QuantizeRecipe, command="quantize", flags={"mix": "atuo"})
    assert error.value.hint == "did you mean 'auto'?"
    with pytest.raises(UsageError) as error:
        resolve(QuantizeRecipe, command="quantize", flags={"mix": "zzzz"})
    assert error.value.hint == "known: auto"


SHARES = [
    (BenchRecipe, "bench", "max_error_rate"),
    (BenchRecipe, "bench", "shared_prefix_share"),
    (TrainRecipe, "train", "decay_share"),
    (TrainRecipe, "train", "least_rate"),
    (TrainRecipe, "train", "validation_share"),
    (TrainRecipe, "train", "beta1"),
]


@pytest.mark.parametrize(("kind", "command", "field"), SHARES, ids=[case[2] for case in SHARES])
def test_a_share_is_a_number_or_has_a_percent_sign(
    kind: type[BenchRecipe | TrainRecipe], command: str, field: str
) -> None:
    variable = f"LLMOPS_{command}_{field}".upper()
    for text in ("5%", " 5 %", "0.05", 0.05):
        found = resolve(kind, command=command, file={field: text})
        assert getattr(found.recipe, field) == pytest.approx(0.05)
    found = resolve(kind, command=command, environ={variable: "5%"})
    assert getattr(found.recipe, field) == pytest.approx(0.05)
    for text in ("five", "500%", "5", 5, "-1%", "nan", "inf%", ""):
        with pytest.raises(UsageError) as error:
            resolve(kind, command=command, file={field: text})
        assert field in error.value.message
        assert "0 to 1" in f"{error.value.message} {error.value.hint}"


def test_an_unknown_field_gets_a_suggestion() -> None:
    with pytest.raises(UsageError) as error:
        resolve(TrainRecipe, command="train", file={"learning_rat": 0.1})
    assert "learning_rate" in (error.value.hint or "")


def test_a_saved_recipe_resolves_to_itself() -> None:
    import msgspec

    flags: dict[str, object] = {"concurrency": "2", "options": {"ctx": "512"}}
    recipe = resolve(BenchRecipe, command="bench", flags=flags).recipe
    again = resolve(BenchRecipe, command="bench", file=msgspec.to_builtins(recipe)).recipe
    assert again == recipe


def test_a_saved_url_run_is_a_recipe_though_its_backend_was_a_default() -> None:
    """Reports of older versions hold both."""
    file = {"backend": "llamacpp", "url": "http://127.0.0.1:9"}
    with pytest.raises(UsageError, match="would start another"):
        resolve(RedteamRecipe, command="redteam", file=file)
    found = resolve(RedteamRecipe, command="redteam", file=file, saved_defaults=["backend"])
    assert found.recipe.backend == "remote"


def test_a_variable_is_named_after_its_command() -> None:
    environ = {"LLMOPS_TRAIN_STEPS": "5", "LLMOPS_BENCH_STEPS": "2x30"}
    assert resolve(TrainRecipe, command="train", environ=environ).recipe.steps == 5
    assert resolve(BenchRecipe, command="bench", environ=environ).recipe.steps == ["2x30"]


def test_an_old_variable_works_for_a_release_and_says_its_new_name() -> None:
    found = resolve(TrainRecipe, command="train", environ={"LLMOPS_STEPS": "5"})
    assert found.recipe.steps == 5
    assert "LLMOPS_TRAIN_STEPS" in found.warnings[0]


def test_a_variable_that_sets_nothing_is_told_of() -> None:
    environ = {"LLMOPS_BENCH_CONCURENCY": "3", "LLMOPS_BENCH_API": "chat", "LLMOPS_TRAIN_X": "1"}
    found = resolve(BenchRecipe, command="bench", environ=environ)
    (warning,) = found.warnings
    assert warning.startswith("LLMOPS_BENCH_CONCURENCY sets nothing of bench")
    assert "'LLMOPS_BENCH_CONCURRENCY'" in warning


def test_a_variable_that_no_command_reads_is_told_of() -> None:
    from llmops_cli.core.said import of_no_command

    environ = [
        "LLMOPS_BENHC_RATE",
        "LLMOPS_BENCH_RATE",
        "LLMOPS_TRAIN_STEPS",
        "LLMOPS_GATEWAY_SERVICE_HOST",
        "LLMOPS_GATEWAY_PORT_8080_TCP_ADDR",
        "PATH",
    ]
    known = ["LLMOPS_BENCH_RATE", "LLMOPS_STATE_DIR"]
    assert of_no_command(environ, commands=["bench", "train"], known=known) == [
        "LLMOPS_BENHC_RATE sets nothing: did you mean 'LLMOPS_BENCH_RATE'?"
    ]
