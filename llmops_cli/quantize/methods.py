"""Which methods there are, which libraries make them, and which options each takes."""

from __future__ import annotations

import msgspec

WEIGHTS = frozenset({"bits", "group_size", "symmetric", "ignore", "scheme"})


DATA = frozenset({"calibration", "samples", "seq_len", "seed"})


class Quantizer(msgspec.Struct, frozen=True, kw_only=True):
    """A library that quantizes.

    Where it runs, what it writes, and which of the recipe's options it takes. `module` is what its
    environment must be able to import, with `import_variables` set. `needs_cuda`: methods that it
    makes on an NVIDIA GPU only. `judged_in` is where its artifacts are measured, if elsewhere.
    `cpu_kernel_bits`: of weights alone, what engines serve on a CPU (all widths where it is empty).
    """

    environment: str
    module: str
    program: str
    format: str
    takes: frozenset[str]
    bits: tuple[int, ...] = ()
    needs_cuda: frozenset[str] = frozenset()
    import_variables: dict[str, str] = {}
    judged_in: str = ""
    cpu_kernel_bits: tuple[int, ...] = ()
    resumes: str = "a finished artifact"

    @property
    def judge(self) -> str:
        """The environment whose Transformers loads what it made."""
        return self.judged_in or self.environment


class Method(msgspec.Struct, frozen=True, kw_only=True):
    """What the user asks for. The first quantizer and the first scheme are the defaults.

    Without schemes `bits`, `group_size` (-1: a whole row) and `symmetric` say how weights are kept.
    `served_on_gpu`: engines have kernels for it on a GPU only.
    """

    help: str
    quantizers: tuple[str, ...]
    takes: frozenset[str]
    schemes: tuple[str, ...] = ()
    bits: int = 4
    group_size: int = 128
    symmetric: bool = True
    calibrated: bool = False
    samples: int = 64
    served_on_gpu: bool = False


QUANTIZERS = {
    "llama.cpp": Quantizer(
        environment="llamacpp",
        module="llama_cpp",
        program="llamacpp.quantize",
        format="gguf",
        takes=frozenset({"scheme", "imatrix", "calibration", "mix", "allow_requantize"}),
        resumes="each scheme",
    ),
    "llmcompressor": Quantizer(
        environment="quantize",
        module="llmcompressor",
        program="quantize.llmcompressor",
        format="compressed-tensors",
        takes=WEIGHTS | DATA | {"scheme"},
        # no engine computes 5, 6 or 7: vLLM's kernels take 4 and 8, GPTQ's 2 and 3 beside them
        bits=(2, 3, 4, 8),
        # vLLM: kernels/linear/mixed_precision/cpu.py takes uint4 and uint4b8, its GPU kernels more
        cpu_kernel_bits=(4,),
    ),
    "gptqmodel": Quantizer(
        environment="quantize",
        module="gptqmodel",
        program="quantize.gptqmodel",
        format="gptq",
        takes=DATA | {"bits", "group_size", "symmetric", "scheme"},
        bits=(2, 3, 4, 8),
        needs_cuda=frozenset({"awq"}),
        import_variables={"GPTQMODEL_CPU_WORKERS": "2"},
    ),
    "autoawq": Quantizer(
        environment="quantize-old",
        module="awq",
        program="quantize.autoawq",
        format="awq",
        takes=DATA | {"bits", "group_size"},
        bits=(4,),
        judged_in="quantize",
    ),
    "auto-round": Quantizer(
        environment="quantize",
        module="auto_round",
        program="quantize.autoround",
        format="gptq",
        takes=(WEIGHTS | DATA) - {"ignore"},
        bits=(2, 3, 4, 8),
    ),
    "torchao": Quantizer(
        environment="quantize",
        module="torchao",
        program="quantize.hf",
        format="torchao",
        takes=frozenset({"group_size"}),
        bits=(4, 8),
        needs_cuda=frozenset({"int4"}),
    ),
    "bitsandbytes": Quantizer(
        environment="quantize",
        module="bitsandbytes",
        program="quantize.hf",
        format="bitsandbytes",
        takes=frozenset({"ignore"}),
    ),
    "ctranslate2": Quantizer(
        environment="ctranslate2",
        module="ctranslate2",
        program="ct2.convert",
        format="ct2",
        takes=frozenset(),
    ),
    "auto-gptq": Quantizer(
        environment="quantize-old",
        module="auto_gptq",
        program="quantize.autogptq",
        format="gptq",
        takes=DATA | {"bits", "group_size", "symmetric", "scheme"},
        bits=(2, 3, 4, 8),
        judged_in="quantize",
    ),
}


METHODS = {
    "gguf": Method(
        help="every type of llama.cpp",
        quantizers=("llama.cpp",),
        takes=frozenset({"scheme", "imatrix", "calibration", "mix", "allow_requantize"}),
    ),
    "awq": Method(
        help="4-bit weights scaled by what passes through them, errors compensated",
        quantizers=("llmcompressor", "autoawq", "gptqmodel"),
        takes=WEIGHTS | DATA,
        symmetric=False,
        calibrated=True,
        samples=16,
    ),
    "gptq": Method(
        help="4-bit weights, errors compensated column by column",
        quantizers=("llmcompressor", "gptqmodel", "auto-gptq"),
        takes=WEIGHTS | DATA,
        calibrated=True,
        samples=128,
    ),
    "int4": Method(
        help="4-bit weights rounded to nearest, the baseline to beat",
        quantizers=("llmcompressor", "torchao"),
        takes=WEIGHTS,
    ),
    "autoround": Method(
        help="2- to 8-bit weights whose rounding is learned",
        quantizers=("auto-round",),
        takes=WEIGHTS | DATA,
        calibrated=True,
    ),
    "smoothquant": Method(
        help="8-bit weights and activations, outliers moved into weights",
        quantizers=("llmcompressor",),
        takes=DATA | {"ignore"},
        schemes=("W8A8",),
        bits=8,
        group_size=-1,
        calibrated=True,
    ),
    "int8": Method(
        help="8-bit weights and activations",
        takes=frozenset({"ignore"}),
        schemes=("W8A8",),
        bits=8,
        group_size=-1,
        quantizers=("llmcompressor", "ctranslate2", "torchao", "bitsandbytes"),
    ),
    "fp8": Method(
        help="8-bit floating point, scales found while serving or beforehand",
        quantizers=("llmcompressor",),
        takes=DATA | {"scheme", "ignore"},
        schemes=("FP8_DYNAMIC", "FP8", "FP8_BLOCK"),
        bits=8,
        group_size=-1,
    ),
    "nvfp4": Method(
        help="4-bit floating point in blocks of 16, an FP8 scale each",
        quantizers=("llmcompressor",),
        takes=DATA | {"scheme", "ignore"},
        schemes=("NVFP4", "NVFP4A16"),
        group_size=16,
        served_on_gpu=True,
    ),
    "mxfp4": Method(
        help="4-bit floating point in blocks of 32, a power of two each",
        quantizers=("llmcompressor",),
        takes=frozenset({"scheme", "ignore"}),
        schemes=("MXFP4", "MXFP4A16"),
        group_size=32,
        served_on_gpu=True,
    ),
    "spinquant": Method(
        help="4-bit weights after Hadamard rotations that spread outliers, errors compensated",
        quantizers=("llmcompressor",),
        takes=WEIGHTS | DATA,
        calibrated=True,
        samples=128,
    ),
    "nf4": Method(
        help="4-bit normal float, quantized when loaded",
        quantizers=("bitsandbytes",),
        takes=frozenset({"ignore"}),
        schemes=("NF4",),
        group_size=-1,
    ),
    "kv-cache": Method(
        help="scales for an 8-bit KV cache; weights stay",
        quantizers=("llmcompressor",),
        takes=DATA | {"scheme"},
        schemes=("FP8", "INT8"),
        bits=16,
        group_size=-1,
        calibrated=True,
        samples=32,
    ),
}


ALIASES = {"rtn": "int4", "quarot": "spinquant"}


CALIBRATED_SCHEMES = frozenset({"FP8", "NVFP4"})
"""Those of methods without calibration that look at activations beforehand."""


SAID = {"dynamic": "FP8_DYNAMIC", "static": "FP8", "block": "FP8_BLOCK"}
"""Schemes as people say them."""
