"""What the ranks found becomes the report of the run."""

from __future__ import annotations

import msgspec

from llmops_cli.core.report import Manifest
from llmops_cli.runtime.job import JobResult
from llmops_cli.train.planned import Planned
from llmops_cli.train.prepare import Prepared
from llmops_cli.train.report import HERE, TrainReport, Validation

Json = dict[str, object]


def report_of(
    result: JobResult,
    manifest: Manifest,
    *,
    prepared: Prepared,
    plan: Planned,
) -> TrainReport:
    output = result.output
    in_force = output["in_force"]
    measured = output["plan"]
    speed = output["tokens_per_s"]
    flops_per_s = plan.arithmetic.flops_per_token * speed
    peak = plan.arithmetic.peak_flops_per_s
    return TrainReport(
        manifest=manifest,
        path=HERE,
        digest=manifest.digests["model"],
        parameters=output["parameters"],
        steps=output["steps"],
        loss=output["loss"],
        tokens=output["tokens"],
        tokens_per_s=speed,
        cpu_s=output["cpu_s"],
        memory=result.memory,
        loss_curve=output["loss_curve"],
        grad_norm_curve=output["grad_norm_curve"],
        learning_rate_curve=output["learning_rate_curve"],
        tokens_per_s_curve=output["tokens_per_s_curve"],
        strategy=in_force["strategy"],
        world_size=in_force["world_size"],
        in_force=in_force,
        validation=msgspec.convert(output["validation"], list[Validation]),
        plan={**plan.json(), **measured, **plan.of_pass(measured["largest_pass"])},
        data={
            "training": prepared.training,
            "validation": prepared.validation,
            "used": output["used"],
        },
        notices=[*prepared.notices, *output["notices"]],
        spikes=output["spikes"],
        saves=output["saves"],
        resumed_from=output["resumed_from"] or None,
        training_cpu_s=output["training_cpu_s"],
        flops_per_s=flops_per_s or None,
        mfu=flops_per_s / peak if peak else None,
        export=output.get("export", {}),
    )
