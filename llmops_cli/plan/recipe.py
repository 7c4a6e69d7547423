"""What a plan is asked for."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from llmops_cli.core.fields import (
    FiniteAmount,
    Flag,
    Natural,
    Positive,
    PositiveNumber,
    Rate,
    Share,
)

Engine = Literal["llamacpp", "vllm", "sglang", "transformers", "sim"]
Billing = Literal["on-demand", "spot", "reserved"]


class PlanRecipe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A model on some cards under some load."""

    model: Annotated[
        str | None,
        Flag(
            help="A folder, a config.json, a .gguf file or its URL, or a public model's name.",
            argument=True,
        ),
    ] = None
    gpu: Annotated[
        str | None, Flag(help="A card by name: h100, 'RTX 4090', a100-40; or one of --gpu-file.")
    ] = None
    gpus: Annotated[
        Positive | None, Flag(help="How many of them.", default="as few as hold the model")
    ] = None
    this_machine: Annotated[
        bool, Flag(help="This machine, its bandwidth measured once and kept.")
    ] = False
    engine: Annotated[
        Engine | None,
        Flag(help="llamacpp, vllm, sglang, transformers.", default="llamacpp for GGUF, else vllm"),
    ] = None
    quant: Annotated[
        str | None,
        Flag(help="The weights' format: BF16, FP8, AWQ-INT4, Q4_K_M ...", default="as the model"),
    ] = None
    kv_type: Annotated[str, Flag(help="The cache's type: F16, FP8, Q8_0, Q4_0.")] = "F16"
    context: Annotated[Positive, Flag(help="Tokens of a request, prompt and answer.")] = 4096
    output_tokens: Annotated[
        Positive | None, Flag(help="Of them, the answer's.", default="256, or a quarter")
    ] = None
    concurrency: Annotated[
        Positive | None, Flag(help="Clients, each with one request at a time.", default="1")
    ] = None
    rate: Annotated[
        Rate | None, Flag(help="Requests a second that come whether or not others are done.")
    ] = None
    slo: Annotated[
        str | None, Flag(help="Limits that the means must keep within: ttft=500ms,tpot=50ms.")
    ] = None
    tensor_parallel: Annotated[
        Positive | None,
        Flag(help="Cards that share each layer.", default="chosen: llmops plan layouts"),
    ] = None
    pipeline_parallel: Annotated[
        Positive | None, Flag(help="Stages of layers one after another.", default="chosen")
    ] = None
    data_parallel: Annotated[
        Positive | None, Flag(help="Copies of the model.", default="chosen")
    ] = None
    expert_parallel: Annotated[
        Positive | None,
        Flag(help="Cards over which whole experts lie, of all copies.", default="chosen"),
    ] = None
    gpu_layers: Annotated[
        Natural | None,
        Flag(help="Layers on cards (llama.cpp's -ngl).", default="as many as fit"),
    ] = None
    cpu_offload_gib: Annotated[
        PositiveNumber | None,
        Flag(help="GiB of weights a card that stay in main memory (vLLM).", default="none"),
    ] = None
    host_gb_per_s: Annotated[
        PositiveNumber, Flag(help="What main memory is read at, for what stays there.")
    ] = 35.0
    pcie_gb_per_s: Annotated[PositiveNumber, Flag(help="What is sent from there to a card.")] = 25.0
    memory_share: Annotated[Share, Flag(help="Of a card's memory, what the engine may use.")] = 0.9
    draft_tokens: Annotated[
        Positive | None, Flag(help="Drafted tokens a step (speculation).", default="none")
    ] = None
    acceptance: Annotated[Share, Flag(help="Chance that a drafted token is right.")] = 0.7
    price: Annotated[
        FiniteAmount | None,
        Flag(help="US dollars for a card and hour.", default="the table's hint"),
    ] = None
    billing: Annotated[Billing, Flag(help="on-demand, spot, reserved.")] = "on-demand"
    gpu_file: Annotated[str | None, Flag(help="A YAML file with cards and prices of your own.")] = (
        None
    )
    fitted: Annotated[
        str | None, Flag(help="What `llmops plan fit` wrote.", default="published measurements")
    ] = None
