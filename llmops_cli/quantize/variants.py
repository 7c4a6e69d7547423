"""One wish for one artifact, checked before any work: method, quantizer, scheme, bits, groups."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from llmops_cli.core.errors import EnvironmentMissing, UsageError, unknown_name
from llmops_cli.quantize.gguf import DEFAULT_SCHEME, canonical_scheme, mix_scheme
from llmops_cli.quantize.methods import (
    ALIASES,
    CALIBRATED_SCHEMES,
    DATA,
    METHODS,
    QUANTIZERS,
    SAID,
    Method,
    Quantizer,
)
from llmops_cli.quantize.recipe import QuantizeRecipe
from llmops_cli.runtime.hardware import probe_gpus

GGUF = "gguf"
OPTIONS = (
    "bits",
    "group_size",
    "symmetric",
    "ignore",
    "scheme",
    "imatrix",
    "allow_requantize",
    "calibration",
    "samples",
    "seq_len",
    "seed",
    "mix",
)
"""Fields of the recipe that not every method has."""
ASYMMETRIC = "ASYM"
EXAMPLES = ("W4A16", "W4A16_ASYM", "W8A16", "W3A16")
IGNORED_ANYWAY = "lm_head"


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """`METHOD[:SCHEME][@QUANTIZER]` as it was written."""

    method: str
    scheme: str = ""
    quantizer: str = ""


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
        """As tables and folders call it: awq-W4A16_ASYM-g128, gguf-Q4_K_M.

        `@quantizer` follows where it is not the method's default.
        """
        name = f"{self.method}-{self.scheme}"
        if self.group_size > 0:
            name += f"-g{self.group_size}"
        default = METHODS[self.method].quantizers[0]
        if self.quantizer != default:
            name += f"@{self.quantizer}"
        return name

    @property
    def spec(self) -> Quantizer:
        return QUANTIZERS[self.quantizer]

    @property
    def rounding(self) -> tuple[int, int, bool] | None:
        """Bits, group and symmetry of the plain rounding to compare with.

        None where that means nothing.
        """
        weights = self.scheme.partition("_")[0]
        if weights.startswith("W") and weights.endswith("A16"):
            return (self.bits, self.group_size, self.symmetric)
        return None


def variants_of(
    recipe: QuantizeRecipe,
    origins: Mapping[str, str] | None = None,
) -> list[Variant]:
    """Every artifact that the recipe asks for, each once, in its order.

    `origins`: where each field is from, so that a flag which says the default counts as said.
    Raises: UsageError for an unknown method, quantizer or scheme, or an option (one that is not as
    it would be by default) that one of them lacks; in a sweep, that all of them lack.
    """
    ignored = [name for name in recipe.ignore if name != IGNORED_ANYWAY]
    recipe = msgspec.structs.replace(recipe, ignore=ignored)
    given = _given_options(recipe)
    if recipe.sweep:
        wishes = [parse_wish(text) for text in recipe.sweep]
        says_method = (origins or {}).get("method") == "flag"
        _refuse_in_sweep(recipe, wishes, given, says_method=says_method)
    else:
        method = _canonical(recipe.method)
        wish = Wish(method=method, quantizer=recipe.engine or "")
        wishes = [wish]
    found: dict[Variant, None] = {}
    for wish in wishes:
        for variant in _of_wish(wish, recipe, given):
            found[variant] = None
    return list(found)


def parse_wish(text: str) -> Wish:
    """Reads `METHOD[:SCHEME][@QUANTIZER]`."""
    before, _, quantizer = text.partition("@")
    method, _, scheme = before.partition(":")
    name = _canonical(method)
    return Wish(method=name, scheme=scheme, quantizer=quantizer.strip())


def _canonical(method: str) -> str:
    name = method.strip()
    return ALIASES.get(name, name)


def _given_options(recipe: QuantizeRecipe) -> frozenset[str]:
    """Options that are not as they would be by default."""
    plain = QuantizeRecipe()
    changed = set()
    for name in OPTIONS:
        if getattr(recipe, name) != getattr(plain, name):
            changed.add(name)
    return frozenset(changed)


def _of_wish(
    wish: Wish,
    recipe: QuantizeRecipe,
    given: frozenset[str],
) -> list[Variant]:
    if wish.method not in METHODS:
        raise unknown_name("method", wish.method, [*METHODS, *ALIASES])
    method = METHODS[wish.method]
    quantizer = _quantizer(wish, method)
    if not recipe.sweep:
        _refuse_options(wish.method, method, quantizer, given)
    schemes = _schemes(wish, recipe)
    if wish.method == GGUF:
        found = [_gguf_variant(quantizer, canonical_scheme(scheme)) for scheme in schemes]
        if recipe.mix is not None:
            found.append(_gguf_variant(quantizer, _mix(recipe)))
        return found or [_gguf_variant(quantizer, DEFAULT_SCHEME)]
    found = []
    for scheme in schemes or [""]:
        variant = _folder_variant(wish.method, method, quantizer, scheme, recipe)
        found.append(variant)
    if method.schemes and not method.calibrated and not recipe.sweep:
        _refuse_data_for_dynamic(wish.method, found, given)
    return found


def _schemes(wish: Wish, recipe: QuantizeRecipe) -> list[str]:
    if wish.scheme:
        return [wish.scheme]
    if recipe.sweep:
        return []
    return recipe.scheme


def _mix(recipe: QuantizeRecipe) -> str:
    if recipe.fit_bytes is None:
        raise UsageError("--mix auto makes a file of a given size", hint="--fit 90MB")
    return mix_scheme(recipe.fit_bytes)


def _gguf_variant(quantizer: str, scheme: str) -> Variant:
    return Variant(
        method=GGUF,
        quantizer=quantizer,
        scheme=scheme,
        bits=0,
        group_size=-1,
        symmetric=True,
    )


def _quantizer(wish: Wish, method: Method) -> str:
    """The library that does it. Raises: UsageError, or EnvironmentMissing for want of a GPU."""
    name = wish.quantizer or method.quantizers[0]
    if name not in QUANTIZERS:
        raise unknown_name("quantizer", name, QUANTIZERS)
    if name not in method.quantizers:
        able = ", ".join(method.quantizers)
        raise UsageError(
            f"{name} has no method {wish.method}", hint=f"{wish.method} is made by {able}"
        )
    if wish.method in QUANTIZERS[name].needs_cuda and not probe_gpus():
        raise EnvironmentMissing(
            f"{name} makes {wish.method} on an NVIDIA GPU only; there is none",
            hint=f"--engine {method.quantizers[0]}",
        )
    return name


def _flag(option: str) -> str:
    return "--" + option.replace("_", "-")


def _refuse_in_sweep(
    recipe: QuantizeRecipe,
    wishes: Iterable[Wish],
    given: frozenset[str],
    *,
    says_method: bool,
) -> None:
    if says_method or recipe.method != QuantizeRecipe().method:
        raise UsageError(
            f"a sweep names its methods itself, so --method {recipe.method} has no effect",
            hint=f"--sweep {','.join([recipe.method, *recipe.sweep])}",
        )
    if recipe.engine or recipe.scheme:
        raise UsageError(
            "a sweep names its engines and schemes itself", hint="--sweep awq@autoawq,gguf:Q4_K_M"
        )
    methods = [METHODS[wish.method] for wish in wishes if wish.method in METHODS]
    if not methods:
        return
    for option in sorted(given):
        if not any(option in method.takes for method in methods):
            raise UsageError(f"nothing in this sweep has {_flag(option)}")


def _refuse_options(
    name: str,
    method: Method,
    quantizer: str,
    given: frozenset[str],
) -> None:
    for option in OPTIONS:
        if option not in given:
            continue
        flag = _flag(option)
        if option not in method.takes:
            able = ", ".join(other for other, entry in METHODS.items() if option in entry.takes)
            raise UsageError(f"method {name} has no {flag}", hint=f"these have: {able}")
        if option not in QUANTIZERS[quantizer].takes:
            others = [other for other in method.quantizers if option in QUANTIZERS[other].takes]
            hint = None
            if others:
                hint = f"--engine {others[0]}"
            raise UsageError(f"{quantizer} has no {flag}", hint=hint)


def _refuse_data_for_dynamic(
    name: str,
    variants: Iterable[Variant],
    given: frozenset[str],
) -> None:
    """Scales that are found while serving need no calibration."""
    data = sorted(given & DATA)
    if not data or any(variant.scheme in CALIBRATED_SCHEMES for variant in variants):
        return
    able = [scheme for scheme in METHODS[name].schemes if scheme in CALIBRATED_SCHEMES]
    words = [_said(scheme) for scheme in able]
    raise UsageError(
        f"{name} finds its scales while serving, without {_flag(data[0])}",
        hint=f"--scheme {words[0]} calibrates them",
    )


def _said(scheme: str) -> str:
    """As people say it, where they do."""
    for word, canonical in SAID.items():
        if canonical == scheme:
            return word
    return scheme


def _folder_variant(
    name: str,
    method: Method,
    quantizer: str,
    scheme: str,
    recipe: QuantizeRecipe,
) -> Variant:
    if method.schemes:
        return Variant(
            method=name,
            quantizer=quantizer,
            scheme=_named_scheme(name, method, scheme),
            bits=method.bits,
            group_size=method.group_size,
            symmetric=method.symmetric,
        )
    bits = recipe.bits or method.bits
    symmetric = method.symmetric if recipe.symmetric is None else recipe.symmetric
    if scheme:
        bits, symmetric = _parse_weights(name, scheme)
    _refuse_weights(quantizer, bits, recipe.group_size)
    if quantizer == "autoawq":
        symmetric = False
    elif quantizer == "torchao":
        symmetric = True
    suffix = "" if symmetric else f"_{ASYMMETRIC}"
    return Variant(
        method=name,
        quantizer=quantizer,
        scheme=f"W{bits}A16{suffix}",
        bits=bits,
        group_size=recipe.group_size or method.group_size,
        symmetric=symmetric,
    )


def _named_scheme(
    name: str,
    method: Method,
    scheme: str,
) -> str:
    """One of the method's own, whose first is the default."""
    if not scheme:
        return method.schemes[0]
    canonical = SAID.get(scheme.lower(), scheme.upper())
    if canonical not in method.schemes:
        raise unknown_name(f"scheme of {name}", scheme, method.schemes)
    return canonical


def _parse_weights(name: str, scheme: str) -> tuple[int, bool]:
    """Bits and symmetry of W4A16, or W4A16_ASYM."""
    weights, _, suffix = scheme.upper().partition("_")
    digits = weights.removeprefix("W").removesuffix("A16")
    is_of_form = weights == f"W{digits}A16"
    is_known = is_of_form and digits.isdigit()
    if not is_known or suffix not in ("", ASYMMETRIC):
        raise unknown_name(f"scheme of {name}", scheme, EXAMPLES)
    is_symmetric = suffix != ASYMMETRIC
    return int(digits), is_symmetric


def _refuse_weights(
    quantizer: str,
    bits: int,
    group_size: int | None,
) -> None:
    able = QUANTIZERS[quantizer].bits
    if able and bits not in able:
        numbers = ", ".join(map(str, able))
        raise UsageError(f"{quantizer} has no {bits}-bit weights", hint=f"--bits {numbers}")
    if group_size == 0:
        raise UsageError("--group-size 0: no such value", hint="-1 is a whole row")
