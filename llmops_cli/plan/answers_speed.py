"""Answers that are predicted: tokens a second of engines on cards."""

from __future__ import annotations

import math

from llmops_cli.plan.references import Answer, Reference, Unanswered
from llmops_cli.plan.row_models import row_gpus, row_load
from llmops_cli.sizing.calibration import Group, correction
from llmops_cli.sizing.efficiency import efficiency_of
from llmops_cli.sizing.figures import estimated
from llmops_cli.sizing.gpus import NamedGpus
from llmops_cli.sizing.load import ServingLoad
from llmops_cli.sizing.placement import Placement, is_spilled
from llmops_cli.sizing.speed import ceiling_s, prefill_s, step_s

ENGINES = {
    "decode_tps_batch1": "llamacpp",
    "vllm_decode_tps_batch1": "vllm",
    "sglang_tps_batch1": "sglang",
    "transformers_tps_batch1": "transformers",
    "prefill_tps": "llamacpp",
    "batch_tps": "llamacpp",
}
KINDS = {"prefill_tps": "prefill", "batch_tps": "batch"}
SPILLED_SPREAD = 0.35
"""How many layers stay on the card, and how fast main memory is, is seldom told."""
EXPERTS_SPREAD = 0.15
SMALL_SPREAD = 0.06
"""Types of 3 bits and less: kernels differ most between cards."""
USUAL_GENERATED = 128


class RawSpeed:
    """A prediction before any calibration, with what makes it less sure."""

    def __init__(self, row: Reference, *, is_tuned: bool = True) -> None:
        self.row = row
        self.is_tuned = is_tuned
        self.engine = ENGINES[row.quantity]
        self.kind = KINDS.get(row.quantity, "decode")
        cards = row_gpus(row)
        self.machine = cards.gpu.name
        self.load = row_load(row)
        self.place = _spread(cards, self.engine)
        self.value = self._value()

    def _value(self) -> float:
        efficiency = efficiency_of(self.engine, self.machine, is_tuned=self.is_tuned)
        if self.kind == "prefill":
            tokens = self.row.number("n_prompt") or 512
            return tokens / prefill_s(self.load, self.place, efficiency, tokens=tokens)
        if self.kind == "batch":
            batch = self.row.number("batch")
            if batch is None:
                raise Unanswered("the batch is not told")
            seconds = step_s(self.load, self.place, efficiency, batch=batch, context=256)
            return batch / seconds
        generated = self.row.number("gen") or self.row.number("n_gen") or USUAL_GENERATED
        prompt = self.row.number("input_len") or 0
        context = prompt + generated / 2
        step = step_s(self.load, self.place, efficiency, context=context)
        if prompt <= 1:
            return 1 / step
        first_s = prefill_s(self.load, self.place, efficiency, tokens=prompt)
        return generated / (generated * step + first_s)

    @property
    def ceiling(self) -> float:
        if self.kind != "decode":
            return math.inf
        if is_spilled(self.load, self.place):
            return math.inf
        return 1 / ceiling_s(self.load, self.place, batch=1, context=0)

    @property
    def more_spread(self) -> float:
        spread = 0.0
        if is_spilled(self.load, self.place):
            spread += SPILLED_SPREAD
        if self.load.expert_bytes:
            spread += EXPERTS_SPREAD
        if is_small(self.load):
            spread += SMALL_SPREAD
        return spread


def _spread(cards: NamedGpus, engine: str) -> Placement:
    """Transformers has layers one after another on several cards, other engines parts of each."""
    if engine == "transformers":
        return Placement(gpu=cards.gpu, pipeline=cards.count)
    return Placement(gpu=cards.gpu, tensor=cards.count)


def is_small(load: ServingLoad) -> bool:
    return load.scheme.startswith(("IQ1", "IQ2", "IQ3", "Q2", "Q3"))


def speed(row: Reference, groups: tuple[Group, ...], *, is_tuned: bool) -> Answer:
    """Raises: Unanswered, UsageError for what the row lacks or no table has."""
    raw = RawSpeed(row, is_tuned=is_tuned)
    fix = correction(groups, engine=raw.engine, machine=raw.machine, quantity=raw.kind)
    figure = estimated(
        raw.value * fix.factor,
        fix.spread + raw.more_spread,
        formula="",
        source=fix.source,
        ceiling=raw.ceiling,
    )
    return Answer(value=figure.value, low=figure.low, high=figure.high)
