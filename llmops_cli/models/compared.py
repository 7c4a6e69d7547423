"""Compares copies of a model with the original: GGUF files by llama.cpp, folders by Transformers.

What cannot be compared is said to be unchecked and why; only what was compared is right or wrong.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from llmops_cli.core.artifact import Artifact
from llmops_cli.core.errors import EngineFailed, LlmopsError, UsageError
from llmops_cli.core.progress import Progress
from llmops_cli.core.spec import Env, JobSpec
from llmops_cli.models.notices import NoticeKind
from llmops_cli.models.original import (
    HOW_TO_GET_IT,
    OFFLINE,
    reference_of,
    run_and_forget,
    transformers_env,
)
from llmops_cli.models.truth import (
    Fault,
    FaultKind,
    Outcome,
    Truth,
    failed,
    unchecked,
)
from llmops_cli.models.truth_limits import (
    ENCODER_TEXTS,
    VECTOR_DISTANCE,
    is_float,
    limit_nats,
)
from llmops_cli.runtime.env import find_env
from llmops_cli.runtime.hardware import usable_cores, versions_in
from llmops_cli.runtime.job import Json

SWITCH = "LLMOPS_CHECK"
GGUF_PROGRAM = "llamacpp.compare"
GGUF_VECTOR_PROGRAM = "llamacpp.compare_vectors"
FOLDER_PROGRAM = "hf.compare"


class Copy(msgspec.Struct, frozen=True, kw_only=True):
    """What is compared with `original`, a Hugging Face folder.

    `scheme` and `bits` decide what may be lost. `beyond_window`: it is meant to be right within the
    original's sliding window; `env`: where a folder's format loads. `notices`: what its user was
    told of it.
    """

    original: Artifact
    path: Path
    format: str
    scheme: str
    bits: int | None = None
    beyond_window: bool = False
    env: Env | None = None
    makes_vectors: bool = False
    notices: tuple[NoticeKind, ...] = ()


def may_check() -> bool:
    """Whether LLMOPS_CHECK leaves it on."""
    return os.environ.get(SWITCH, "1").lower() not in ("0", "false", "no")


def compared(copy: Copy, *, progress: Progress) -> Truth:
    """What the comparison found; a failure of it is an outcome too, and raises nothing."""
    if not may_check():
        return unchecked(f"{SWITCH}=0")
    env = transformers_env()
    if env is None:
        return unchecked(f"no environment here has Transformers ({HOW_TO_GET_IT})")
    try:
        reference = reference_of(
            copy.original, makes_vectors=copy.makes_vectors, env=env, progress=progress
        )
    except UsageError as error:
        return failed(FaultKind.INCOMPLETE_ORIGINAL, error.message)
    except LlmopsError as error:
        return unchecked(error.message)
    try:
        figures = run_and_forget(_job(copy, reference), progress=progress)
    except (EngineFailed, UsageError) as error:
        return failed(FaultKind.NOT_LOADED, error.message)
    except LlmopsError as error:
        return unchecked(error.message)
    version = versions_in(env.python, ["transformers"]).get("transformers", "")
    return judged(copy, figures, reference=f"transformers {version}".strip())


def _job(copy: Copy, reference: Path) -> JobSpec:
    job_input: dict[str, object] = {
        "model": str(copy.path),
        "reference": str(reference),
        "threads": usable_cores(),
    }
    if copy.format == "gguf":
        job_input["beyond_window"] = copy.beyond_window
        job_input["notices"] = list(copy.notices)
        return JobSpec(
            name="compare",
            python=find_env("llamacpp").python,
            program=GGUF_VECTOR_PROGRAM if copy.makes_vectors else GGUF_PROGRAM,
            input=job_input,
        )
    env = copy.env or transformers_env()
    assert env is not None  # who asks has looked
    job_input["format"] = copy.format
    job_input["original"] = copy.original.path
    return JobSpec(
        name="compare", python=env.python, program=FOLDER_PROGRAM, input=job_input, env=OFFLINE
    )


def judged(copy: Copy, figures: Json, *, reference: str) -> Truth:
    """By the limits of its type; what says nothing of any token is neither right nor wrong."""
    faults = _token_faults(copy, figures)
    if not figures["scored"] and not faults:
        return unchecked("its context is too short for any token to be compared")
    limit = None
    if copy.makes_vectors:
        faults += _vector_faults(figures)
    else:
        limit = limit_nats(copy.scheme, figures["known_nats"], bits=copy.bits)
        faults += _logit_faults(copy, figures, limit)
    return Truth(
        outcome=Outcome.FAILED if faults else Outcome.PASSED,
        faults=faults,
        reference=reference,
        scored=figures["scored"],
        kl_divergence=figures.get("kl_divergence"),
        kl_limit=limit,
        known_nats=figures.get("known_nats"),
        top1_agreement=figures.get("top1_agreement"),
        vector_distance=figures.get("vector_distance"),
        texts=figures["texts"],
        texts_different=figures["texts_different"],
        texts_composed=figures["texts_composed"],
        texts_known=figures["texts_known"],
        cpu_s=figures["cpu_s"],
        peak_rss_bytes=figures["peak_rss_bytes"],
    )


def _logit_faults(
    copy: Copy,
    figures: Json,
    limit: float,
) -> list[Fault]:
    divergence = figures["kl_divergence"]
    if divergence <= limit:
        return []
    kind = FaultKind.LOST_TOO_MUCH
    if is_float(copy.scheme):
        kind = FaultKind.LOGITS_DIFFER
    text = (
        f"KL {divergence:.3g} nats from the original in Transformers; "
        f"{copy.scheme} explains at most {limit:.2g}"
    )
    return [Fault(kind=kind, text=text)]


def _vector_faults(figures: Json) -> list[Fault]:
    distance = figures["vector_distance"]
    if distance <= VECTOR_DISTANCE:
        return []
    text = (
        f"a vector lies {distance:.3g} (1 - cosine) from the original's in Transformers; "
        f"at most {VECTOR_DISTANCE:.2g} is explained"
    )
    return [Fault(kind=FaultKind.LOGITS_DIFFER, text=text)]


def _token_faults(copy: Copy, figures: Json) -> list[Fault]:
    most = ENCODER_TEXTS * figures["texts"] if copy.makes_vectors else 0
    if figures["texts_different"] <= most:
        return []
    example = figures["examples"][0]
    text = (
        f"{figures['texts_different']} of {figures['texts']} texts are cut into other tokens, "
        f"such as {example['text']!r}: {example['copy']} in place of {example['original']}"
    )
    return [Fault(kind=FaultKind.TOKENS_DIFFER, text=text)]
