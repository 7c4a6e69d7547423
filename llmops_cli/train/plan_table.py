"""A dry run for the eye: a row a strategy, a column a part, and the reason below."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from llmops_cli.show.tables import MISSING, ByWidth, add_columns
from llmops_cli.train.dry_run import DryRun, PerDeviceBytes, StrategyPlan

GB = 1e9
PARTS = ("weights", "gradients", "optimizer", "activations", "workspace", "communication")
COLUMNS = ("strategy", "spread over", "fits", *PARTS, "total", "tokens/s", "MFU")
NARROW = ("strategy", "fits", "GB a device", "tokens/s", "MFU")
WORDS = frozenset({"strategy", "spread over", "fits"})


def render(found: DryRun) -> RenderableType:
    lines: list[RenderableType] = [_headline(found), _tables(found), Text(found.reason)]
    word = "would fit" if found.chosen is None else "faster"
    lines += [Text(f"{word}: {advice}") for advice in found.advice]
    lines += [Text(note, style="yellow") for note in found.notes]
    refused = _refusals(found)
    if refused:
        lines.append(Text(refused, style="dim"))
    return Group(*lines)


def _headline(found: DryRun) -> Text:
    work = found.work
    machine = f"{found.devices} x {found.device} ({found.device_bytes / GB:,.0f} GB each)"
    batch = f"batch {work.batch_size} x {work.sequence_length} tokens, {work.precision}"
    return Text(f"{found.parameters:,} parameters; {machine}; {batch}, {work.optimizer}")


def _tables(found: DryRun) -> ByWidth:
    return ByWidth(_table(found), _narrow_table(found))


def _narrow_table(found: DryRun) -> Table:
    """Without the parts of the memory, which --json has too."""
    table = Table()
    add_columns(table, NARROW, words=WORDS)
    for name, plan in found.strategies.items():
        if plan.per_device_bytes is not None and plan.tokens_per_s is not None:
            fits = "yes" if plan.fits else "no"
            total = _size(plan.per_device_bytes.total)
            cells = [name, fits, total, f"{plan.tokens_per_s:,.0f}", _share(plan.mfu)]
            table.add_row(*cells, style=_style(name, found))
    return table


def _style(name: str, found: DryRun) -> str | None:
    return "bold green" if name == found.chosen else None


def _table(found: DryRun) -> Table:
    table = Table(title="GB a device", title_justify="left")
    add_columns(table, COLUMNS, words=WORDS)
    for name, plan in found.strategies.items():
        if plan.per_device_bytes is not None:
            cells = _cells(name, plan, plan.per_device_bytes)
            table.add_row(*cells, style=_style(name, found))
    return table


def _cells(name: str, plan: StrategyPlan, parts: PerDeviceBytes) -> list[str]:
    sizes = [_size(getattr(parts, part)) for part in PARTS]
    spread = MISSING if plan.layout is None else plan.layout.in_words
    fits = "yes" if plan.fits else "no"
    return [name, spread, fits, *sizes, _size(parts.total), _speed(plan), _share(plan.mfu)]


def _size(size_bytes: int) -> str:
    size = size_bytes / GB
    digits = 1 if size >= 1 else 3
    return f"{size:,.{digits}f}"


def _speed(plan: StrategyPlan) -> str:
    if plan.tokens_per_s is None or plan.tokens_per_s_band is None:
        return MISSING
    least, most = plan.tokens_per_s_band
    return f"{plan.tokens_per_s:,.0f} ({least:,.0f} to {most:,.0f})"


def _share(share: float | None) -> str:
    return MISSING if share is None else f"{share:.0%}"


def _refusals(found: DryRun) -> str:
    """Why some strategies have no row, those of one reason together."""
    names_of: dict[str, list[str]] = {}
    for name, plan in found.strategies.items():
        if plan.refused is not None:
            names_of.setdefault(plan.refused, []).append(name)
    return "\n".join(f"{', '.join(names)}: {reason}" for reason, names in names_of.items())
