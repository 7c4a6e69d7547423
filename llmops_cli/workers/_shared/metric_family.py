"""A metric with its samples, and how Prometheus reads many of them. Standard library only."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


@dataclass(frozen=True)
class Sample:
    """A value, and the labels that tell it from others of its family."""

    value: float
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class MetricFamily:
    """`counts`: it only grows; its samples' names end with _total then, as Prometheus wants."""

    name: str
    text: str
    samples: list[Sample]
    counts: bool = False


def exposition(families: Iterable[MetricFamily]) -> str:
    """Prometheus' text format."""
    return "".join(map(_text_of, families))


def _text_of(family: MetricFamily) -> str:
    name = f"{family.name}_total" if family.counts else family.name
    kind = "counter" if family.counts else "gauge"
    lines = [f"# HELP {name} {family.text}\n", f"# TYPE {name} {kind}\n"]
    lines += [f"{name}{_labels(each.labels)} {each.value}\n" for each in family.samples]
    return "".join(lines)


def _labels(labels: Mapping[str, str]) -> str:
    if not labels:
        return ""
    pairs = [f'{name}="{value.translate(ESCAPES)}"' for name, value in labels.items()]
    return "{" + ",".join(pairs) + "}"
