"""What was measured of a served artifact is kept under all that answered."""

from __future__ import annotations

import sys

import msgspec
import pytest

from llmops_cli.core.artifact import Artifact
from llmops_cli.core.spec import Env
from llmops_cli.engines import load_engine, parse_options
from llmops_cli.quantize.check import has_kernels, kept_answer
from llmops_cli.quantize.recipe import QuantizeRecipe
from llmops_cli.quantize.report import Served
from llmops_cli.quantize.serving import ServingPlan
from llmops_cli.quantize.variants import variants_of
from llmops_cli.serving.target import EngineTarget, PreparedTarget

MODEL = Artifact(reference="m.gguf", format="gguf", path="/m.gguf", digest="sha256:1")


def plan(artifact: Artifact = MODEL, *, length: int = 512) -> ServingPlan:
    options = {"max_model_len": str(length)}
    engine = load_engine("llamacpp")
    prepared = PreparedTarget(
        EngineTarget(backend="llamacpp", artifact=artifact, options=options),
        engine=engine,
        options=parse_options("llamacpp", engine, options),
        env=Env(name="llamacpp", python=sys.executable, origin="current"),
        artifact=artifact,
    )
    return ServingPlan(prepared=prepared, context=length)


def test_the_key_is_over_the_model_and_the_options_and_not_over_its_place() -> None:
    key = plan().key()
    moved = msgspec.structs.replace(MODEL, path="/elsewhere/m.gguf")
    remade = msgspec.structs.replace(MODEL, digest="sha256:2")
    assert plan(moved).key() == key
    assert plan(remade).key() != key
    assert plan(length=256).key() != key


def test_an_answer_counts_only_for_the_server_that_gave_it() -> None:
    served = Served(engine="llamacpp", says="x", output_tokens_per_s=41.0, key=plan().key())
    assert kept_answer(served, plan()) == served
    assert kept_answer(served, plan(length=256)) is None
    assert kept_answer(None, plan()) is None
    old = Served(engine="llamacpp 0.3", says="x", output_tokens_per_s=41.0)
    assert kept_answer(old, plan()) is None


@pytest.mark.parametrize(
    ("fields", "is_served"),
    [
        ({"method": "gptq"}, True),
        ({"method": "awq"}, True),
        ({"method": "gptq", "bits": 2}, False),
        ({"method": "int4", "bits": 8}, False),
        ({"method": "spinquant", "bits": 3}, False),
        ({"method": "int8"}, True),
        ({"method": "nvfp4"}, False),
        ({"method": "gguf", "scheme": ["Q3_K_M"]}, True),
    ],
)
def test_no_engine_is_started_where_it_has_no_kernel(
    fields: dict[str, object], is_served: bool
) -> None:
    """vLLM computes weights of four bits on a CPU, and all widths on a GPU."""
    (variant,) = variants_of(QuantizeRecipe(**fields))  # type: ignore[arg-type]
    assert has_kernels(variant, on_gpu=False) is is_served
    assert has_kernels(variant, on_gpu=True)
