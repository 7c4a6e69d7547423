"""One wish for one artifact, checked before any work: method, quantizer, scheme, bits, groups."""

from __future__ import annotations

import msgspec

from llmops_cli.core.errors import EnvironmentMissing, UsageError, unknown_name
from llmops_cli.quantize.gguf import DEFAULT_SCHEME, canonical_scheme
from llmops_cli.quantize.methods import ALIASES, DATA, METHODS, QUANTIZERS, SAID, Method, Quantizer
from llmops_cli.quantize.recipe import QuantizeRecipe
from llmops_cli.runtime.hardware import probe_gpus

OPTIONS = (
    "bits",
    "group_size",
    "symmetric",
    "ignore",
    "scheme",
    "imatrix",
    "calibration",
    "samples",
    "seq_len",
    "seed",
)


class Variant(msgspec.Struct, frozen=True, kw_only=True):
    """What one artifact is to be. `group_size` -1 means one scale for a whole row."""

    method: str
    quantizer: str
    scheme: str
    bits: int
    group_size: int
    symmetric: bool

    @property
    def name(self) -> str:
        """As tables and folders call it: awq-W4A16_ASYM-g128, gguf-Q4_K_M; @quantizer where it is
        not the default.
        """
        group = f"-g{self.group_size}" if self.group_size > 0 else ""
        other = "" if self.quantizer == METHODS[self.method].quantizers[0] else f"@{self.quantizer}"
        return f"{self.method}-{self.scheme}{group}{other}"

    @property
    def spec(self) -> Quantizer:
        return QUANTIZERS[self.quantizer]

    @property
    def rounding(self) -> tuple[int, int, bool] | None:
        """Bits, group and symmetry of the plain rounding to compare with; None where that means
        nothing.
        """
        weights_only = self.scheme.startswith("W") and self.scheme.partition("_")[0].endswith("A16")
        return (self.bits, self.group_size, self.symmetric) if weights_only else None


def variants_of(recipe: QuantizeRecipe) -> list[Variant]:
    """Every artifact that the recipe asks for, each once, in its order.

    Raises: UsageError for an unknown method, quantizer or scheme, or an option (one that is not as
    it would be by default) that one of them lacks; in a sweep, that all of them lack.
    """
    plain = QuantizeRecipe()
    recipe = msgspec.structs.replace(
        recipe, ignore=[name for name in recipe.ignore if name != "lm_head"]
    )
    given = frozenset(name for name in OPTIONS if getattr(recipe, name) != getattr(plain, name))
    if recipe.sweep:
        _refuse_in_sweep(recipe, given)
    wishes = recipe.sweep or [recipe.method + (f"@{recipe.engine}" if recipe.engine else "")]
    found: dict[Variant, None] = {}
    for wish in wishes:
        for variant in _of_wish(wish, recipe, given):
            found[variant] = None
    return list(found)


def _of_wish(wish: str, recipe: QuantizeRecipe, given: frozenset[str]) -> list[Variant]:
    """`METHOD[:SCHEME][@QUANTIZER]`."""
    text, _, engine = wish.partition("@")
    name, _, scheme = text.partition(":")
    name = ALIASES.get(name.strip(), name.strip())
    if name not in METHODS:
        raise unknown_name("method", name, [*METHODS, *ALIASES])
    method = METHODS[name]
    quantizer = _quantizer(name, method, engine)
    if not recipe.sweep:
        _refuse_options(name, method, quantizer, given)
    schemes = [scheme] if scheme else ([] if recipe.sweep else recipe.scheme)
    if name == "gguf":
        types = [canonical_scheme(scheme) for scheme in schemes or [DEFAULT_SCHEME]]
        return [
            Variant(
                method=name, quantizer=quantizer, scheme=kind, bits=0, group_size=-1, symmetric=True
            )
            for kind in types
        ]
    found = [_variant(name, method, quantizer, scheme, recipe) for scheme in schemes or [""]]
    data = sorted(given & DATA)
    if (
        name == "fp8"
        and data
        and not recipe.sweep
        and all(variant.scheme != "FP8" for variant in found)
    ):
        raise UsageError(
            f"fp8 finds its scales while serving, without --{data[0].replace('_', '-')}",
            hint="--scheme static calibrates them",
        )
    return found


def _refuse_in_sweep(recipe: QuantizeRecipe, given: frozenset[str]) -> None:
    if recipe.engine or recipe.scheme:
        raise UsageError(
            "a sweep names its engines and schemes itself", hint="--sweep awq@autoawq,gguf:Q4_K_M"
        )
    names = [wish.partition("@")[0].partition(":")[0].strip() for wish in recipe.sweep]
    methods = [
        METHODS[ALIASES.get(name, name)] for name in names if ALIASES.get(name, name) in METHODS
    ]
    for option in sorted(given):
        if methods and not any(option in method.takes for method in methods):
            raise UsageError(f"nothing in this sweep has --{option.replace('_', '-')}")


def _quantizer(name: str, method: Method, engine: str) -> str:
    engine = engine.strip() or method.quantizers[0]
    if engine not in QUANTIZERS:
        raise unknown_name("quantizer", engine, QUANTIZERS)
    if engine not in method.quantizers:
        raise UsageError(
            f"{engine} has no method {name}",
            hint=f"{name} is made by {', '.join(method.quantizers)}",
        )
    if QUANTIZERS[engine].needs_cuda and not probe_gpus():
        able = [other for other in method.quantizers if not QUANTIZERS[other].needs_cuda]
        raise EnvironmentMissing(
            f"{engine} quantizes on an NVIDIA GPU only; there is none", hint=f"--engine {able[0]}"
        )
    return engine


def _refuse_options(name: str, method: Method, quantizer: str, given: frozenset[str]) -> None:
    for option in OPTIONS:
        if option not in given:
            continue
        flag = f"--{option.replace('_', '-')}"
        if option not in method.takes:
            able = [other for other, entry in METHODS.items() if option in entry.takes]
            raise UsageError(f"method {name} has no {flag}", hint=f"these have: {', '.join(able)}")
        if option not in QUANTIZERS[quantizer].takes:
            able = [other for other in method.quantizers if option in QUANTIZERS[other].takes]
            raise UsageError(
                f"{quantizer} has no {flag}", hint=f"--engine {able[0]}" if able else None
            )


def _variant(
    name: str, method: Method, quantizer: str, scheme: str, recipe: QuantizeRecipe
) -> Variant:
    spec = QUANTIZERS[quantizer]
    if method.schemes:
        canonical = SAID.get(scheme.lower(), scheme.upper()) or method.schemes[0]
        if canonical not in method.schemes:
            raise unknown_name(f"scheme of {name}", scheme, method.schemes)
        return Variant(
            method=name,
            quantizer=quantizer,
            scheme=canonical,
            bits=method.bits,
            group_size=method.group_size,
            symmetric=method.symmetric,
        )
    bits = recipe.bits or method.bits
    symmetric = recipe.symmetric
    if scheme:
        text, _, rest = scheme.upper().partition("_")
        symmetric = rest != "ASYM"
        if not (
            text.startswith("W") and text.endswith("A16") and text[1:-3].isdigit()
        ) or rest not in ("", "ASYM"):
            raise unknown_name(
                f"scheme of {name}", scheme, ("W4A16", "W4A16_ASYM", "W8A16", "W3A16")
            )
        bits = int(text[1:-3])
    if spec.bits and bits not in spec.bits:
        raise UsageError(
            f"{quantizer} has no {bits}-bit weights",
            hint=f"--bits {', '.join(map(str, spec.bits))}",
        )
    if quantizer == "torchao" and not probe_gpus():
        raise EnvironmentMissing(
            "torchao packs 4-bit weights for NVIDIA GPUs only; there is none",
            hint="--engine llmcompressor",
        )
    if symmetric is None:
        symmetric = method.symmetric
    if recipe.group_size == 0:
        raise UsageError("--group-size 0: no such value", hint="-1 is a whole row")
    if quantizer == "autoawq":
        symmetric = False
    elif quantizer == "torchao":
        symmetric = True
    return Variant(
        method=name,
        quantizer=quantizer,
        scheme=f"W{bits}A16{'' if symmetric else '_ASYM'}",
        bits=bits,
        group_size=recipe.group_size or method.group_size,
        symmetric=symmetric,
    )
