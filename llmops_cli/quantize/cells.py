"""What tables and pages say of a quantization run's artifacts: a row of cells, and notes."""

from __future__ import annotations

from collections.abc import Sequence

from llmops_cli.models.truth import Outcome
from llmops_cli.quantize.quality import ORIGINAL
from llmops_cli.quantize.report import QuantizedArtifact, QuantizeReport, Served
from llmops_cli.quantize.texts import few_tokens_note
from llmops_cli.show.tables import megabytes, number

ROUNDED_GROWTH = "rounded vs base"
ROUNDED_KL = "rounded KL"
"""What plain rounding loses at the same bits, beside what the method loses."""
COLUMNS = (
    "artifact",
    "MB",
    "of base",
    "bits/weight",
    "perplexity",
    "vs base",
    ROUNDED_GROWTH,
    "KL nats",
    ROUNDED_KL,
    "same top-1",
    "CPU s",
    "peak MB",
    "served by",
    "tok/s",
)
ON_FRONT = "* nothing here is both smaller and nearer to the base"


def speed_text(served: Served | None) -> str:
    """5,977±3%: the median and half its interval; a question mark if it does not count."""
    if served is None or served.output_tokens_per_s is None:
        return "-"
    text = number(served.output_tokens_per_s, 0)
    if served.output_tokens_per_s_interval is not None:
        low, high = served.output_tokens_per_s_interval
        text += f"±{(high - low) / 2 / served.output_tokens_per_s:.0%}"
    if not served.has_valid_speed:
        text += "?"
    return text


def cells_of(artifact: QuantizedArtifact, *, is_on_front: bool) -> list[str]:
    """Under COLUMNS; a star marks what is on the Pareto front of size and loss."""
    served = artifact.served
    star = " *" if is_on_front else ""
    name = artifact.name or artifact.scheme
    agreement = "-"
    if artifact.top1_agreement is not None:
        agreement = f"{artifact.top1_agreement:.1%}"
    cpu = number(artifact.cpu_s, 1)
    if artifact.reused:
        cpu = "kept"
    engine = served.engine if served else "-"
    perplexities = _perplexities(artifact)
    return [
        f"{name}{star}",
        megabytes(artifact.size_bytes),
        _share(artifact.size_bytes, artifact.size_base_bytes),
        number(artifact.bits_per_weight, 2),
        *perplexities,
        number(artifact.kl_divergence, 5),
        number(artifact.kl_rounding, 5),
        agreement,
        cpu,
        megabytes(artifact.peak_rss_bytes),
        engine,
        speed_text(served),
    ]


def _perplexities(artifact: QuantizedArtifact) -> list[str]:
    """Its own, what it grew by, and what plain rounding's did; dashes where they mean nothing."""
    if artifact.text_is_foreign:
        return ["-", "-", "-"]
    base = artifact.perplexity_base
    return [
        number(artifact.perplexity, 4),
        _growth(artifact.perplexity, base),
        _growth(artifact.perplexity_rounding, base),
    ]


def _share(size_bytes: int, base_bytes: int) -> str:
    return f"{size_bytes / base_bytes:.0%}" if base_bytes else "-"


def _growth(value: float | None, base: float | None) -> str:
    if not value or not base:
        return "-"
    return f"{value / base - 1:+.2%}"


def notes_of(report: QuantizeReport) -> list[str]:
    """What is wrong, what should not be compared, and how each did in tasks."""
    return [*_notes(report), *_accuracy_notes(report)]


def _notes(report: QuantizeReport) -> list[str]:
    lines = []
    for artifact in report.artifacts:
        lines += [f"{artifact.name}: {problem.text}" for problem in artifact.problems]
        lines += _check_notes(artifact)
        lines += _text_notes(artifact)
        lines += [f"{artifact.name}: {notice.text}" for notice in artifact.notices]
        lines += _coverage_notes(artifact)
        lines += _speed_notes(artifact)
        lines += _mix_notes(artifact)
        lines += _origin_notes(artifact)
        loss = artifact.kl_divergence
        if loss and artifact.kl_rounding and loss > artifact.kl_rounding:
            lines.append(
                f"{artifact.name} is worse than plain rounding at the same bits and groups"
            )
    return lines


def _check_notes(artifact: QuantizedArtifact) -> list[str]:
    """Where the original was not asked."""
    lines = []
    if artifact.check is not None and artifact.check.outcome is Outcome.UNCHECKED:
        lines.append(f"{artifact.name}: {artifact.check}")
    if artifact.quality_base not in ("", ORIGINAL):
        lines.append(f"{artifact.name}: its quality is beside {artifact.quality_base}")
    return lines


def _text_notes(artifact: QuantizedArtifact) -> list[str]:
    if not artifact.text_is_foreign:
        return []
    perplexity = f"perplexity {artifact.perplexity_base:,.0f} of {artifact.vocabulary:,} tokens"
    told = f"{artifact.name}: the base knows nothing of this text ({perplexity})"
    return [f"{told}: --eval-text FILE judges it by one that the model was made for"]


def _mix_notes(artifact: QuantizedArtifact) -> list[str]:
    """Its types, and what was predicted of them."""
    mixture = artifact.mixture
    if mixture is None:
        return []
    counts = ", ".join(f"{count} {name}" for name, count in mixture.counts.items())
    predicted = number(mixture.predicted_loss, 5)
    told = f"{predicted} nats were predicted; llmops report html shows each tensor and why"
    return [f"{artifact.name}: {counts}", f"{artifact.name}: {told}"]


def _origin_notes(artifact: QuantizedArtifact) -> list[str]:
    """What it was made of, where that limits what its figures say."""
    lines = []
    note = few_tokens_note(artifact.calibration)
    if note is not None:
        lines.append(f"{artifact.name}: {note}")
    if artifact.requantized_from:
        lines.append(
            f"{artifact.name} was made of {artifact.requantized_from} weights: its loss comes on "
            "top of theirs"
        )
    return lines


def _coverage_notes(artifact: QuantizedArtifact) -> list[str]:
    """What was kept otherwise than the scheme's name tells."""
    lines = [f"{artifact.name}: {note}" for note in artifact.notes]
    share = artifact.quantized_share
    if share is not None and share < 1:
        lines.append(f"{artifact.name}: {share:.1%} of the weights in its matrices are quantized")
    return lines


def _speed_notes(artifact: QuantizedArtifact) -> list[str]:
    served = artifact.served
    if served is None or not served.invalid_reasons:
        return []
    reasons = " and ".join(served.invalid_reasons)
    again = "it is measured again next time"
    return [f"{artifact.name}: its speed does not count, since {reasons}; {again}"]


def _accuracy_notes(report: QuantizeReport) -> list[str]:
    """A line a task: the base, then each artifact. The demo's skills are told by their average."""
    lines = []
    for evaluator, tasks in report.accuracy_base.items():
        told = list(tasks)
        if "average" in tasks:
            told = ["average"]
        for task in told:
            parts = [f"accuracy, {evaluator} {task}: base {tasks[task]:.3f}"]
            parts += _accuracies(report.artifacts, evaluator, task)
            lines.append(", ".join(parts))
    return lines


def _accuracies(
    artifacts: Sequence[QuantizedArtifact],
    evaluator: str,
    task: str,
) -> list[str]:
    found = []
    for artifact in artifacts:
        scores = artifact.served.accuracy if artifact.served else {}
        if evaluator not in scores:
            continue
        share = scores[evaluator][task]
        found.append(f"{artifact.name} {share:.3f}")
    return found
