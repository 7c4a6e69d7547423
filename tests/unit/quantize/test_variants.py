"""What `llmops quantize` is asked for, checked before any work."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmops_cli.core.errors import LlmopsError, UsageError
from llmops_cli.quantize.choice import best_that_fits, pareto_front
from llmops_cli.quantize.methods import METHODS, QUANTIZERS
from llmops_cli.quantize.recipe import QuantizeRecipe
from llmops_cli.quantize.report import QuantizedArtifact, Served
from llmops_cli.quantize.variants import variants_of


def names(**fields: object) -> list[str]:
    return [variant.name for variant in variants_of(QuantizeRecipe(**fields))]  # type: ignore[arg-type]


def test_defaults_are_the_methods_own() -> None:
    assert names() == ["gguf-Q4_K_M"]
    assert names(method="awq") == ["awq-W4A16_ASYM-g128"]
    assert names(method="gptq", group_size=32, bits=3) == ["gptq-W3A16-g32"]
    assert names(method="rtn", group_size=-1) == ["int4-W4A16"]
    assert names(method="fp8", scheme=["static"]) == ["fp8-FP8"]
    assert names(method="int8", engine="ctranslate2") == ["int8-W8A8@ctranslate2"]
    assert names(method="nvfp4") == ["nvfp4-NVFP4-g16"]
    assert names(method="mxfp4", scheme=["mxfp4a16"]) == ["mxfp4-MXFP4A16-g32"]
    assert names(method="quarot") == ["spinquant-W4A16-g128"]


def test_a_sweep_is_a_list_of_methods_schemes_and_quantizers() -> None:
    assert names(sweep=["awq", "gptq:W8A16", "gguf:Q4_0", "gguf:q8_0", "int8@torchao", "awq"]) == [
        "awq-W4A16_ASYM-g128",
        "gptq-W8A16-g128",
        "gguf-Q4_0",
        "gguf-Q8_0",
        "int8-W8A8@torchao",
    ]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"method": "awk"}, "did you mean 'awq'"),
        ({"method": "gptq", "engine": "autoawq"}, "autoawq has no method gptq"),
        ({"method": "gptq", "engine": "gptqmodell"}, "did you mean 'gptqmodel'"),
        ({"method": "fp8", "scheme": ["FP9"]}, "unknown scheme of fp8 'FP9'"),
        ({"method": "gguf", "scheme": ["Q4_K"]}, "did you mean"),
        ({"method": "awq", "engine": "autoawq", "bits": 3}, "autoawq has no 3-bit weights"),
        ({"method": "awq", "bits": 5}, "llmcompressor has no 5-bit weights"),
        ({"method": "awq", "engine": "gptqmodel"}, "on an NVIDIA GPU only"),
        ({"method": "nvfp4", "scheme": ["NVFP4A16"], "samples": 8}, "--scheme NVFP4 calibrates"),
        ({"method": "mxfp4", "samples": 8}, "method mxfp4 has no --samples"),
        ({"sweep": ["awq", "nonsense:1"]}, "unknown method 'nonsense'"),
        ({"sweep": ["awq"], "engine": "autoawq"}, "names its engines and schemes itself"),
        ({"sweep": ["int4"], "method": "awq"}, "--sweep awq,int4"),
        ({"sweep": ["fp8", "gguf"], "bits": 3}, "nothing in this sweep has --bits"),
        ({"method": "gptq", "group_size": 0}, "--group-size 0"),
        ({"method": "fp8", "samples": 8}, "--scheme static calibrates them"),
    ],
)
def test_nonsense_is_refused_before_any_work(fields: dict[str, object], words: str) -> None:
    with pytest.raises(LlmopsError) as caught:
        names(**fields)
    assert words in f"{caught.value.message} {caught.value.hint}"


@pytest.mark.parametrize(
    ("method", "option", "value", "able"),
    [
        ("fp8", "group_size", 32, "awq"),
        ("gguf", "samples", 8, "awq"),
        ("int4", "calibration", "x", "gguf"),
        ("awq", "imatrix", "none", "gguf"),
    ],
)
def test_an_option_that_a_method_lacks_names_those_that_have_it(
    method: str, option: str, value: object, able: str
) -> None:
    with pytest.raises(UsageError, match=f"method {method} has no --") as caught:
        names(method=method, **{option: value})
    assert able in (caught.value.hint or "")


def test_a_scheme_says_whether_it_is_symmetric() -> None:
    assert names(sweep=["awq:W4A16", "gptq:W4A16_ASYM"]) == [
        "awq-W4A16-g128",
        "gptq-W4A16_ASYM-g128",
    ]
    assert names(method="awq", scheme=["W8A16"]) == ["awq-W8A16-g128"]


def test_every_method_has_quantizers_that_exist_and_a_name_of_its_own() -> None:
    for name, method in METHODS.items():
        assert method.quantizers, name
        assert set(method.quantizers) <= set(QUANTIZERS)
    every = [
        v
        for name, m in METHODS.items()
        for q in m.quantizers
        if name not in QUANTIZERS[q].needs_cuda
        for v in variants_of(QuantizeRecipe(sweep=[f"{name}@{q}"]))
    ]
    assert len({v.name for v in every}) == len(every)


def artifact(
    name: str, size: int, divergence: float, *, memory: int | None = None
) -> QuantizedArtifact:
    return QuantizedArtifact(
        path=name,
        method="m",
        engine="e",
        scheme="s",
        format="gguf",
        name=name,
        size_bytes=size,
        size_base_bytes=100,
        bits_per_weight=4.0,
        kl_divergence=divergence,
        served=Served(engine="x", says="y", peak_rss_bytes=memory),
    )


@given(st.lists(st.tuples(st.integers(1, 50), st.integers(0, 50)), min_size=1, max_size=12))
def test_the_front_holds_exactly_what_nothing_beats(points: list[tuple[int, int]]) -> None:
    made = [artifact(str(i), size, loss / 10) for i, (size, loss) in enumerate(points)]
    front = pareto_front(made)
    assert front
    for i, (size, loss) in enumerate(points):
        beaten = any((s <= size and d <= loss) and (s, d) != (size, loss) for s, d in points)
        assert (str(i) in front) != beaten


def test_what_fits_is_judged_by_the_memory_it_was_served_in() -> None:
    made = [
        artifact("big", 60, 0.1, memory=90),
        artifact("mid", 50, 0.2, memory=70),
        artifact("small", 20, 0.9),
    ]
    assert "mid" in best_that_fits(made, 80)
    assert "small" in best_that_fits(made, 30)
    assert "none fits" in best_that_fits(made, 3)
