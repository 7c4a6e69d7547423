"""One suite over every library that quantizes: what it runs in and what it is asked for."""

from __future__ import annotations

import pytest

from llmops_cli.quantize.methods import METHODS, QUANTIZERS
from llmops_cli.quantize.variants import OPTIONS
from llmops_cli.runtime.env import known_environments
from llmops_cli.runtime.paths import WORKERS


@pytest.mark.parametrize("name", QUANTIZERS)
def test_its_environment_and_its_program_exist(name: str) -> None:
    quantizer = QUANTIZERS[name]
    assert quantizer.environment in known_environments()
    assert quantizer.judge in known_environments()
    assert quantizer.needs_cuda <= {m for m, entry in METHODS.items() if name in entry.quantizers}
    assert (WORKERS / f"{quantizer.program.replace('.', '/')}.py").is_file()


@pytest.mark.parametrize("name", QUANTIZERS)
def test_what_it_takes_are_options_and_some_method_offers_each(name: str) -> None:
    quantizer = QUANTIZERS[name]
    assert quantizer.takes <= set(OPTIONS)
    methods = [method for method in METHODS.values() if name in method.quantizers]
    assert methods, "a method uses it"
    offered = frozenset[str]().union(*(method.takes for method in methods))
    assert quantizer.takes <= offered


@pytest.mark.parametrize("name", QUANTIZERS)
def test_its_bits_rise_and_hold_the_defaults_of_its_methods(name: str) -> None:
    bits = QUANTIZERS[name].bits
    assert list(bits) == sorted(set(bits))
    for method in METHODS.values():
        if bits and name == method.quantizers[0] and not method.schemes:
            assert method.bits in bits
