"""One suite over every quantization method: what a wish for it becomes, before any work."""

from __future__ import annotations

import re

import msgspec
import pytest

from llmops_cli.core.errors import EnvironmentMissing, UsageError
from llmops_cli.quantize.methods import METHODS, QUANTIZERS
from llmops_cli.quantize.recipe import QuantizeRecipe
from llmops_cli.quantize.variants import OPTIONS, Variant, variants_of
from llmops_cli.runtime.hardware import probe_gpus

CHANGED: dict[str, object] = {
    "bits": 2,
    "group_size": 16,
    "symmetric": False,
    "ignore": ["model.layers.0"],
    "scheme": ["no-such-scheme"],
    "imatrix": "none",
    "allow_requantize": True,
    "calibration": "texts.jsonl",
    "samples": 3,
    "seq_len": 33,
    "seed": 7,
    "mix": "auto",
}
"""Each option, not as it would be by default."""
ON_GPUS = {
    (name, method) for name, quantizer in QUANTIZERS.items() for method in quantizer.needs_cuda
}
"""(quantizer, method) that make sense on an NVIDIA GPU only."""


def variants(**fields: object) -> list[Variant]:
    return variants_of(msgspec.convert(fields, QuantizeRecipe))


@pytest.mark.parametrize("name", METHODS)
def test_its_name_alone_is_one_artifact_of_its_first_quantizer(name: str) -> None:
    method = METHODS[name]
    (variant,) = variants(method=name)
    assert variant.method == name
    assert variant.quantizer == method.quantizers[0]
    assert re.fullmatch(r"[\w.@-]+", variant.name), "a folder is called so"
    assert variants(method=name) == [variant]
    assert variants(sweep=[name, name]) == [variant]
    assert len(method.help) < 80


@pytest.mark.parametrize("name", METHODS)
def test_its_quantizers_exist_and_can_be_chosen(name: str) -> None:
    assert METHODS[name].quantizers
    for quantizer in METHODS[name].quantizers:
        if not probe_gpus() and (quantizer, name) in ON_GPUS:
            with pytest.raises(EnvironmentMissing, match="NVIDIA GPU"):
                variants(sweep=[f"{name}@{quantizer}"])
            continue
        (variant,) = variants(sweep=[f"{name}@{quantizer}"])
        assert (variant.method, variant.quantizer) == (name, quantizer)


@pytest.mark.parametrize("name", METHODS)
def test_each_scheme_is_an_artifact_of_its_own(name: str) -> None:
    schemes = METHODS[name].schemes
    found = [variant.name for scheme in schemes for variant in variants(sweep=[f"{name}:{scheme}"])]
    assert len(set(found)) == len(schemes)


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("name", METHODS)
def test_an_option_that_it_lacks_is_refused_by_name(name: str, option: str) -> None:
    if option in METHODS[name].takes:
        return
    with pytest.raises(UsageError, match=f"{name}.*--{option.replace('_', '-')}|--{option}"):
        variants(method=name, **{option: CHANGED[option]})
