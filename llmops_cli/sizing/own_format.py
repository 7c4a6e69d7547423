"""Which format a config's own `quantization_config` means, and which matrices it leaves alone.

Source: quantization_config.py of Transformers; compressed-tensors, AutoAWQ, GPTQModel,
bitsandbytes, NVIDIA's ModelOpt. What a method is not known for is refused: a wrong size is worse
than none.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase

import msgspec

from llmops_cli.core.errors import UsageError
from llmops_cli.sizing.families import Config, text_part
from llmops_cli.sizing.served_models import own_dtype

HINT = "say its format: --quant"
PER_CHANNEL = -1
KEYS = ("quantization_config", "compression_config")
LEFT_KEYS = ("modules_to_not_convert", "ignore", "exclude_modules", "ignored_layers")
PREFIXES = ("", "language_model.", "model.language_model.", "language_model.model.")
"""What multi-modal models call the decoder that is `model.` here."""


class OwnFormat(msgspec.Struct, frozen=True, kw_only=True):
    """`group`: inputs that share a scale, PER_CHANNEL for all of them; None: as is usual.

    left_out: names of what stays in 16 bits, as the config writes them.
    """

    scheme: str
    group: int | None = None
    left_out: tuple[str, ...] = ()

    def keeps(self, tensor_name: str) -> bool:
        """Whether the config leaves that matrix as it was."""
        module = tensor_name.removesuffix(".weight")
        return any(_names(pattern, module) for pattern in self.left_out)


def own_format(config: Config) -> OwnFormat:
    """Of weights without a method, their floats. Raises: UsageError for a method not known."""
    found = _told(config)
    if found is None:
        return OwnFormat(scheme="F32" if own_dtype(config) == "F32" else "BF16")
    method = str(found.get("quant_method", "")).lower()
    read = METHODS.get(method)
    if read is None:
        raise UsageError(f"quantization method '{method}' is not known here", hint=HINT)
    own = read(found)
    return msgspec.structs.replace(own, left_out=_left_out(found))


def _told(config: Config) -> Config | None:
    for part in (config, text_part(config)):
        for key in KEYS:
            found = part.get(key)
            if isinstance(found, Mapping) and found:
                return found
    return None


def _left_out(found: Config) -> tuple[str, ...]:
    """Names of modules; a class of modules (`Linear`) is none."""
    names = []
    for key in LEFT_KEYS:
        told = found.get(key)
        if isinstance(told, list):
            names += [each for each in told if isinstance(each, str) and each]
    return tuple(dict.fromkeys(names))


def _names(pattern: str, module: str) -> bool:
    """`re:` begins an expression, `*` stands for anything, else it is part of a dotted name."""
    spellings = [module, *(prefix + module.removeprefix("model.") for prefix in PREFIXES[1:])]
    if pattern.startswith("re:"):
        return _matches(pattern[3:], spellings)
    if "*" in pattern:
        return any(fnmatchcase(each, pattern) for each in spellings)
    plain = pattern.replace("language_model.", "").removeprefix("model.").rstrip(".")
    return f".{plain}." in f".{module.removeprefix('model.')}."


def _matches(expression: str, names: Sequence[str]) -> bool:
    try:
        return any(re.match(expression, each) for each in names)
    except re.error:
        return False


def _group(found: Config, *keys: str) -> int | None:
    """Raises: UsageError for what is no size of a group."""
    for key in keys:
        told = found.get(key)
        if told is None:
            continue
        if isinstance(told, int) and not isinstance(told, bool) and (told > 0 or told == -1):
            return told
        raise UsageError(f"the model's quantization has no usable '{key}': {told!r}", hint=HINT)
    return None


def _by_bits(method: str, found: Config, formats: Mapping[int, str], *keys: str) -> str:
    """Raises: UsageError for a number of bits that no format here has."""
    told = next((found[key] for key in keys if found.get(key) is not None), 4)
    scheme = formats.get(told) if isinstance(told, int) else None
    if scheme is None:
        raise UsageError(f"'{method}' of {told!r} bits is not known here", hint=HINT)
    return scheme


def _awq(found: Config) -> OwnFormat:
    scheme = _by_bits("awq", found, {4: "AWQ-INT4"}, "bits", "w_bit")
    return OwnFormat(scheme=scheme, group=_group(found, "group_size", "q_group_size"))


def _gptq(found: Config) -> OwnFormat:
    scheme = _by_bits("gptq", found, {4: "GPTQ-INT4", 8: "GPTQ-INT8"}, "bits")
    return OwnFormat(scheme=scheme, group=_group(found, "group_size"))


def _fp8(found: Config) -> OwnFormat:
    has_blocks = found.get("weight_block_size") is not None
    return OwnFormat(scheme="FP8-BLOCK" if has_blocks else "FP8")


def _plain(scheme: str) -> Callable[[Config], OwnFormat]:
    return lambda _found: OwnFormat(scheme=scheme)


def _bitsandbytes(found: Config) -> OwnFormat:
    if found.get("load_in_8bit") or found.get("_load_in_8bit"):
        return OwnFormat(scheme="INT8")
    is_double = bool(found.get("bnb_4bit_use_double_quant"))
    return OwnFormat(scheme="NF4" if is_double else "NF4-SINGLE")


def _compressed(found: Config) -> OwnFormat:
    """The first group of modules: others differ in rare models only."""
    groups = found.get("config_groups")
    first = next(iter(groups.values()), None) if isinstance(groups, Mapping) else None
    weights = first.get("weights") if isinstance(first, Mapping) else None
    if not isinstance(weights, Mapping):
        raise UsageError("the model's quantization tells no 'config_groups'", hint=HINT)
    kind = (str(weights.get("type", "int")), weights.get("num_bits"))
    group = _group(weights, "group_size")
    if kind == ("float", 8):
        return OwnFormat(scheme="FP8-BLOCK" if weights.get("strategy") == "block" else "FP8")
    if kind == ("float", 4):
        return OwnFormat(scheme="MXFP4-ALL" if group == 32 else "NVFP4")
    if kind == ("int", 8):
        return OwnFormat(scheme="W8A8")
    if kind == ("int", 4):
        has_zeros = weights.get("symmetric") is False
        per_channel = weights.get("strategy") == "channel"
        return OwnFormat(
            scheme="AWQ-INT4" if has_zeros else "W4A16",
            group=PER_CHANNEL if per_channel else group,
        )
    raise UsageError(
        f"'compressed-tensors' of {kind[1]!r} {kind[0]} bits is not known here", hint=HINT
    )


def _modelopt(found: Config) -> OwnFormat:
    inside = found.get("quantization")
    told = {**inside, **found} if isinstance(inside, Mapping) else found
    algorithm = str(told.get("quant_algo", "")).upper()
    scheme = MODELOPT.get(algorithm)
    if scheme is None:
        raise UsageError(f"ModelOpt's '{algorithm}' is not known here", hint=HINT)
    return OwnFormat(scheme=scheme)


def _torchao(found: Config) -> OwnFormat:
    text = str(found.get("quant_type", "")).lower()
    for sign, scheme in TORCHAO.items():
        if sign in text:
            return OwnFormat(scheme=scheme)
    raise UsageError(f"torchao's '{text[:40]}' is not known here", hint=HINT)


MODELOPT = {
    "FP8": "FP8",
    "FP8_PB_WO": "FP8-BLOCK",
    "FP8_PER_CHANNEL_PER_TOKEN": "FP8",
    "NVFP4": "NVFP4",
    "W4A16_AWQ": "AWQ-INT4",
    "W4A8_AWQ": "AWQ-INT4",
    "W8A8_SQ_PER_CHANNEL": "W8A8",
}
TORCHAO = {"int4": "W4A16", "uint4": "AWQ-INT4", "int8": "W8A8", "float8": "FP8", "nvfp4": "NVFP4"}
METHODS: dict[str, Callable[[Config], OwnFormat]] = {
    "awq": _awq,
    "awq_marlin": _awq,
    "gptq": _gptq,
    "gptq_marlin": _gptq,
    "auto-round": _gptq,
    "auto_round": _gptq,
    "intel/auto-round": _gptq,
    "fp8": _fp8,
    "fbgemm_fp8": _plain("FP8"),
    "mxfp4": _plain("MXFP4"),
    "bitsandbytes": _bitsandbytes,
    "compressed-tensors": _compressed,
    "modelopt": _modelopt,
    "modelopt_fp4": _plain("NVFP4"),
    "torchao": _torchao,
    "eetq": _plain("INT8"),
}
