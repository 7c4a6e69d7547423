"""Quantization runs as one HTML file: the artifacts, and which tensor of a mix has which type."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape

from llmops_cli.quantize.mixture import MixedTensor, Mixture, NextType
from llmops_cli.quantize.report import QuantizedArtifact, QuantizeReport
from llmops_cli.show.page import html_facts, html_item, html_row, html_table, plain_page
from llmops_cli.show.runs import OpenedRun
from llmops_cli.show.tables import megabytes, number
from llmops_cli.show.words import hardware_line

LAYER = re.compile(r"^blk\.(\d+)\.")
MB = 1_000_000
HEADS = ["artifact", "MB", "bits/weight", "perplexity", "KL nats", "same top-1", "CPU s"]
TENSOR_HEADS = [
    "tensor",
    "type",
    "bits/weight",
    "MB",
    "predicted nats",
    "next larger",
    "saves nats/MB",
    "next smaller",
    "costs nats/MB",
]


def page(runs: Sequence[OpenedRun]) -> str:
    """One page; a section for each run."""
    body = "".join(_section(run) for run in runs)
    models = [str(run.report.manifest.recipe["model"]) for run in runs]
    return plain_page(title=", ".join(models), body=f"<h1>llmops quantize</h1>{body}")


def _section(run: OpenedRun) -> str:
    report: QuantizeReport = run.report
    model = escape(str(report.manifest.recipe["model"]))
    rows = [_row(artifact) for artifact in report.artifacts]
    mixes = "".join(_mix(artifact) for artifact in report.artifacts)
    facts = {
        "when": report.manifest.started_at,
        "machine": hardware_line(report.manifest.hardware),
        "command": " ".join(report.manifest.argv),
    }
    return (
        f"<section><h2>{model} <small>{escape(run.name)}</small></h2>"
        f"{html_table(HEADS, rows)}<ul>{''.join(_items(report))}</ul>{mixes}"
        f"<details><summary>About this run</summary>{html_facts(facts)}</details></section>"
    )


def _row(artifact: QuantizedArtifact) -> str:
    agreement = "-"
    if artifact.top1_agreement is not None:
        agreement = f"{artifact.top1_agreement:.1%}"
    cells = [
        escape(artifact.name or artifact.scheme),
        megabytes(artifact.size_bytes),
        number(artifact.bits_per_weight, 2),
        "-" if artifact.text_is_foreign else number(artifact.perplexity, 4),
        number(artifact.kl_divergence, 5),
        agreement,
        number(artifact.cpu_s, 1),
    ]
    return html_row(cells, kind="bad" if artifact.problems else "")


def _items(report: QuantizeReport) -> list[str]:
    """What is wrong, and what was not made."""
    found = []
    for artifact in report.artifacts:
        found += [f"{artifact.name}: {problem.text}" for problem in artifact.problems]
    found += [f"{name} was not made: {reason}" for name, reason in report.failures.items()]
    return [html_item(text, kind="bad") for text in found]


def _mix(artifact: QuantizedArtifact) -> str:
    mixture = artifact.mixture
    if mixture is None:
        return ""
    tensors = sorted(mixture.tensors, key=lambda tensor: -tensor.loss)
    rows = [_tensor_row(tensor) for tensor in tensors]
    return (
        f"<h3>{escape(artifact.name)}: types by layer</h3>{html_facts(_facts(artifact, mixture))}"
        f'<p class="hint">{escape(_why(mixture))}</p>{_grid(mixture)}'
        f"<details><summary>Why each has its type</summary>{html_table(TENSOR_HEADS, rows)}"
        "</details>"
    )


def _facts(artifact: QuantizedArtifact, mixture: Mixture) -> dict[str, str]:
    predicted = f"{mixture.predicted_loss:.5f} nats on the calibration text"
    if artifact.kl_divergence is not None:
        predicted += f"; measured on held-out text: {artifact.kl_divergence:.5f}"
    return {
        "size": f"{mixture.size_bytes:,} bytes of {mixture.room_bytes:,}",
        "types": ", ".join(f"{count} {name}" for name, count in mixture.counts.items()),
        "predicted": predicted,
        "no mix has less": f"{mixture.least_loss:.5f} nats are predicted for the best conceivable",
        "measured": f"the loss of {mixture.groups} groups of tensors, each alone",
    }


def _why(mixture: Mixture) -> str:
    """The price of a byte at which the room is full."""
    offers = [tensor.larger.nats_per_mb for tensor in mixture.tensors if tensor.larger]
    if not offers:
        return "Every tensor is as it was: there was room for all."
    return (
        f"A larger type is taken where it saves more than {max(offers):.2g} nats for each MB: "
        "what is left would save less, or does not fit."
    )


def _grid(mixture: Mixture) -> str:
    """A row for each role, a column for each layer; what lies outside of layers first."""
    cells: dict[str, dict[int, str]] = {}
    outside = []
    for tensor in mixture.tensors:
        match = LAYER.match(tensor.name)
        if match is None:
            outside.append(html_row([escape(tensor.name), escape(tensor.type)]))
            continue
        role = LAYER.sub("", tensor.name).removesuffix(".weight")
        cells.setdefault(role, {})[int(match[1])] = tensor.type
    layers = sorted({layer for row in cells.values() for layer in row})
    rows = []
    for role, types in cells.items():
        row = [escape(types.get(layer, "")) for layer in layers]
        rows.append(html_row([escape(role), *row]))
    heads = ["layer", *(str(layer) for layer in layers)]
    return html_table(["tensor", "type"], outside) + html_table(heads, rows)


def _tensor_row(tensor: MixedTensor) -> str:
    cells = [
        escape(tensor.name),
        escape(tensor.type),
        f"{tensor.bits_per_weight:.2f}",
        f"{tensor.size_bytes / MB:,.3f}",
        f"{tensor.loss:.2e}",
        *_next(tensor.larger),
        *_next(tensor.smaller),
    ]
    return html_row(cells)


def _next(step: NextType | None) -> list[str]:
    if step is None:
        return ["-", "-"]
    return [escape(step.type), f"{step.nats_per_mb:.2e}"]
