"""Quantization runs as one HTML file: the artifacts, and which tensor of a mix has which type."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from html import escape

from llmops_cli.quantize.cells import COLUMNS, ON_FRONT, cells_of, notes_of
from llmops_cli.quantize.choice import pareto_front
from llmops_cli.quantize.mixture import MixedTensor, Mixture, NextType
from llmops_cli.quantize.plot import PLOT
from llmops_cli.quantize.report import QuantizedArtifact, QuantizeReport
from llmops_cli.show.page import (
    html_facts,
    html_item,
    html_picture,
    html_row,
    html_table,
    plain_page,
)
from llmops_cli.show.runs import OpenedRun
from llmops_cli.show.words import hardware_line

LAYER = re.compile(r"^blk\.(\d+)\.")
MB = 1_000_000
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
    front: set[str] = set()
    if len(report.artifacts) > 1:
        front = pareto_front(report.artifacts)
    rows = [_row(artifact, is_on_front=artifact.name in front) for artifact in report.artifacts]
    mixes = "".join(_mix(artifact) for artifact in report.artifacts)
    facts = {
        "when": report.manifest.started_at,
        "artifacts": ", ".join(artifact.path for artifact in report.artifacts),
        "machine": hardware_line(report.manifest.hardware),
        "command": " ".join(report.manifest.argv),
    }
    return (
        f"<section><h2>{model} <small>{escape(run.name)}</small></h2>"
        f"{html_table(list(COLUMNS), rows)}<ul>{''.join(_items(report, front))}</ul>"
        f"{html_picture(run.path / PLOT, 'loss against size, and speed')}{mixes}"
        f"<details><summary>About this run</summary>{html_facts(facts)}</details></section>"
    )


def _row(artifact: QuantizedArtifact, *, is_on_front: bool) -> str:
    cells = cells_of(artifact, is_on_front=is_on_front)
    return html_row([escape(cell) for cell in cells], kind="bad" if artifact.problems else "")


def _items(report: QuantizeReport, front: Collection[str]) -> list[str]:
    """What to take, what is wrong, what was not made, and what else is to be known."""
    items = []
    if report.recommended:
        items.append(html_item(report.recommended, kind="good"))
    bad: set[str] = set()
    for artifact in report.artifacts:
        bad.update(f"{artifact.name}: {problem.text}" for problem in artifact.problems)
    items += [html_item(note, kind="bad" if note in bad else "") for note in notes_of(report)]
    for name, reason in report.failures.items():
        failure = f"{name} was not made: {reason}"
        items.append(html_item(failure, kind="bad"))
    if front:
        items.append(html_item(ON_FRONT))
    return items


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
