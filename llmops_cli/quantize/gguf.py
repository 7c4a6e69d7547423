"""The GGUF method: which jobs make which files. Pure; run.py does the work."""

from __future__ import annotations

import re

from llmops_cli.core.errors import unknown_name
from llmops_cli.core.spec import Env, JobSpec

FLOAT_SCHEMES = ("F32", "F16", "BF16")
SCHEMES = (
    *FLOAT_SCHEMES,
    "Q8_0",
    "Q6_K",
    "Q5_K_M",
    "Q5_K_S",
    "Q5_1",
    "Q5_0",
    "Q4_K_M",
    "Q4_K_S",
    "Q4_1",
    "Q4_0",
    "Q3_K_L",
    "Q3_K_M",
    "Q3_K_S",
    "Q2_K",
    "Q2_K_S",
    "IQ4_NL",
    "IQ4_XS",
    "IQ3_M",
    "IQ3_S",
    "IQ3_XS",
    "IQ3_XXS",
    "IQ2_M",
    "IQ2_S",
    "IQ2_XS",
    "IQ2_XXS",
    "IQ1_M",
    "IQ1_S",
    "TQ2_0",
    "TQ1_0",
    "MXFP4_MOE",
    "NVFP4",
    "Q2_0",
    "Q1_0",
)
"""Every file type that llama.cpp's quantizer makes, best quality first within a family."""

NEEDS_IMATRIX = frozenset({"IQ1_S", "IQ1_M", "IQ2_XXS", "IQ2_XS", "IQ2_S", "Q2_K_S"})
"""llama.cpp refuses or ruins these without an importance matrix (tools/quantize/quantize.cpp)."""
HELPED_BY_IMATRIX = re.compile(r"(IQ|Q[1-4]_)")
"""At four bits and below the matrix lowers the loss enough to be worth its minutes."""


class Gguf:
    """HF folder -> F16 GGUF -> each scheme."""

    name = "gguf"
    engine = "llama.cpp"
    format = "gguf"
    environment = "llamacpp"
    default_schemes = ("Q4_K_M",)

    @staticmethod
    def check_scheme(scheme: str) -> str:
        """The canonical name. Raises: UsageError with a did-you-mean."""
        canonical = scheme.upper()
        if canonical not in SCHEMES:
            raise unknown_name("scheme", scheme, SCHEMES)
        return canonical

    @staticmethod
    def wants_imatrix(scheme: str) -> bool:
        return scheme in NEEDS_IMATRIX or bool(HELPED_BY_IMATRIX.match(scheme))

    @staticmethod
    def convert_job(env: Env, *, model: str, output: str, scheme: str) -> JobSpec:
        return JobSpec(
            name="convert",
            python=env.python,
            program="llamacpp.convert",
            input={"model": model, "output": output, "scheme": scheme},
        )

    @staticmethod
    def quantize_job(
        env: Env, *, model: str, output: str, scheme: str, imatrix: str | None, threads: int
    ) -> JobSpec:
        return JobSpec(
            name="quantize",
            python=env.python,
            program="llamacpp.quantize",
            input={
                "model": model,
                "output": output,
                "scheme": scheme,
                "imatrix": imatrix,
                "threads": threads,
            },
        )

    @staticmethod
    def imatrix_job(
        env: Env, *, model: str, output: str, text: str, tokens: int, threads: int
    ) -> JobSpec:
        return JobSpec(
            name="imatrix",
            python=env.python,
            program="hf.imatrix",
            input={
                "model": model,
                "output": output,
                "text": text,
                "tokens": tokens,
                "threads": threads,
            },
            env={"HF_HUB_OFFLINE": "1"},
        )

    @staticmethod
    def quality_job(
        env: Env, *, base: str, models: list[str], text: str, tokens: int, threads: int
    ) -> JobSpec:
        return JobSpec(
            name="quality",
            python=env.python,
            program="llamacpp.quality",
            input={
                "base": base,
                "models": models,
                "text": text,
                "tokens": tokens,
                "threads": threads,
                "window": 512,
            },
        )
