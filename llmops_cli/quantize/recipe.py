"""What quantization asks for."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from llmops_cli.core.fields import Flag, NonNegative, Positive
from llmops_cli.core.grammar import read_share, read_size

Bits = Annotated[int, msgspec.Meta(ge=1, le=8)]
GroupSize = Annotated[int, msgspec.Meta(ge=-1)]


class QuantizeRecipe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One method, or a `sweep` of METHOD[:SCHEME][@QUANTIZER].

    Options that are null are the method's own defaults.
    `imatrix` (gguf) is auto, none or a file. `calibration` is builtin (the model's own
    calibration.jsonl if it has one, else the text that ships with the toolkit), multilingual (25
    languages and code, which ship with it too), generated (the model's own words) or a file of
    text, JSONL or Parquet. `ignore` names layers to leave alone beside lm_head and routers. `eval`
    names tasks: lm-eval:TASK. `mix` auto (gguf) makes a file of `fit_bytes` at most.
    """

    model: Annotated[
        str,
        Flag(
            help="A folder, a .gguf file, a hub name, demo or smollm2 (`llmops models list`).",
            argument=True,
        ),
    ] = "demo"
    method: Annotated[
        str,
        Flag(
            help="gguf, awq, gptq, spinquant, int4 (plain rounding), autoround, smoothquant, "
            "int8, fp8, nvfp4, mxfp4, nf4, kv-cache."
        ),
    ] = "gguf"
    engine: Annotated[
        str | None, Flag(help="The library that does it, where a method has several.")
    ] = None
    scheme: Annotated[
        list[str],
        Flag(
            help="One or more, with commas: Q4_K_M,Q8_0 or W4A16 or dynamic.", default="by method"
        ),
    ] = []
    sweep: Annotated[
        list[str], Flag(help="Several methods at once: awq,gptq,gguf:Q4_K_M,int8@ctranslate2")
    ] = []
    bits: Annotated[Bits | None, Flag(help="Bits of a weight.", default="4")] = None
    group_size: Annotated[
        GroupSize | None, Flag(help="Weights that share a scale; -1: a whole row.", default="128")
    ] = None
    symmetric: Annotated[
        bool | None, Flag(help="Without or with a zero point.", names=("--symmetric/--asymmetric",))
    ] = None
    ignore: Annotated[
        list[str], Flag(help="More layers to leave as they are, beside lm_head and routers.")
    ] = []
    calibration: Annotated[
        str,
        Flag(
            help="builtin, multilingual (25 languages), generated (the model's own words), or a "
            ".txt, .jsonl or .parquet file."
        ),
    ] = "builtin"
    samples: Annotated[
        Positive | None, Flag(help="Calibration samples.", default="32 to 128, by method")
    ] = None
    seq_len: Annotated[Positive, Flag(help="Tokens of a sample.")] = 512
    seed: Annotated[int, Flag(help="The same seed takes the same calibration samples.")] = 0
    imatrix: Annotated[str, Flag(help="gguf: auto (4 bits and below), none, or a file.")] = "auto"
    allow_requantize: Annotated[
        bool,
        Flag(help="gguf: quantize a .gguf file that is quantized already; quality is against it."),
    ] = False
    eval_text: Annotated[
        str | None,
        Flag(
            help="Held-out text for perplexity: a file, or multilingual.",
            default="the model's, else ours",
        ),
    ] = None
    eval_tokens: Annotated[Positive, Flag(help="Tokens of held-out text to read.")] = 8192
    eval: Annotated[
        list[str], Flag(help="Tasks for the served artifacts: lm-eval:TASK, with commas.")
    ] = []
    quality: Annotated[
        bool,
        Flag(help="Measure perplexity and KL.", names=("--quality/--no-quality",), default="yes"),
    ] = True
    check: Annotated[
        bool,
        Flag(
            help="Compare each artifact with the original in Transformers.",
            names=("--check/--no-check",),
            default="yes",
        ),
    ] = True
    verify: Annotated[
        bool,
        Flag(
            help="Serve it once and let it speak.", names=("--verify/--no-verify",), default="yes"
        ),
    ] = True
    max_perplexity_increase: Annotated[
        NonNegative | None,
        Flag(help="Exit 5 beyond it, and mark the artifact: 3%", read=read_share),
    ] = None
    fit_bytes: Annotated[
        Positive | None,
        Flag(help="Recommend the best that fits: 6GiB", names=("--fit",), read=read_size),
    ] = None
    mix: Annotated[
        Literal["auto"] | None,
        Flag(help="gguf: auto makes a file of the size of --fit, each tensor's type by its worth."),
    ] = None
    beyond_window: Annotated[
        bool, Flag(help="gguf: keep a context beyond a sliding window that llama.cpp lacks.")
    ] = False
    threads: Annotated[Positive | None, Flag(help="CPU threads.", default="all")] = None
