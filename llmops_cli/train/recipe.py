"""What a training run asks for: every field of `llmops train`, in the order of its help."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from llmops_cli.core.fields import Flag, Natural, NonNegative, Positive, PositiveNumber, Share
from llmops_cli.core.grammar import read_share
from llmops_cli.train.defaults import DEMO, settle_defaults
from llmops_cli.train.taken import take_from_files

Strategy = Literal[
    "auto",
    "single",
    "ddp",
    "fsdp",
    "hsdp",
    "zero1",
    "zero2",
    "zero3",
    "tp",
    "pp",
    "fsdp+tp",
    "fsdp+pp",
]
Values = dict[str, object]
Origins = dict[str, str]

MODEL = "Model"
DATA = "Data"
SPREAD = "Strategy and launch"
LENGTH = "Length and batches"
LEARNING = "Optimizer and schedule"
NUMBERS = "Precision, memory and speed"
KEEPING = "Evaluation, checkpoints and faults"
WATCHING = "Watching"


class TrainRecipe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Pre-training or full fine-tuning of a causal model.

    The defaults are those of the built-in demo; a model or a configuration of its own has others
    (train.defaults). Null is "as the model, the data or the machine say".
    """

    model: Annotated[
        str | None,
        Flag(
            help="What is trained on: a folder, a hub name, demo, smollm2 (`llmops models list`).",
            default="from scratch",
            argument=True,
        ),
    ] = None
    init: Annotated[
        str | None,
        Flag(help="Begin from scratch with this config.json, or its folder.", group=MODEL),
    ] = None
    tokenizer: Annotated[
        str | None,
        Flag(
            help="Folder of a tokenizer.", default="the model's, else made of the data", group=MODEL
        ),
    ] = None
    hidden_size: Positive = 256
    intermediate_size: Positive = 512
    layers: Positive = 2
    heads: Positive = 4
    kv_heads: Positive = 2
    vocab_size: Annotated[int, msgspec.Meta(ge=300)] = 1024
    context: Positive = 1024

    data: Annotated[
        list[str],
        Flag(
            help="FILE or FILE=WEIGHT: JSONL, Parquet, text, a dataset folder, or demo. May be "
            "repeated.",
            default="demo",
            repeat=True,
            group=DATA,
        ),
    ] = msgspec.field(default_factory=lambda: [DEMO])
    validation: Annotated[
        list[str],
        Flag(
            help="Data of its own to evaluate on. May be repeated.",
            default="none",
            repeat=True,
            group=DATA,
        ),
    ] = []
    validation_share: Annotated[
        Share,
        Flag(help="Of the data, by the hash of each sample: 1%", read=read_share, group=DATA),
    ] = 0.0
    sequence_length: Annotated[Positive, Flag(help="Most tokens of a row.", group=DATA)] = 1024
    packing: Annotated[
        bool,
        Flag(
            help="Several samples to a row, none sees another.",
            names=("--packing/--no-packing",),
            group=DATA,
        ),
    ] = False
    train_on: Annotated[
        Literal["answers", "all"],
        Flag(help="Which tokens of a chat count: answers, all.", group=DATA),
    ] = "answers"
    prompt_loss_weight: Annotated[
        Share,
        Flag(
            help="What the other tokens of a chat count.",
            default="0.1; 0 with --init or a model",
            group=DATA,
        ),
    ] = 0.1
    too_long: Annotated[
        Literal["cut", "drop", "error"],
        Flag(
            help="Samples beyond --sequence-length: cut, drop, error.",
            default="error; cut with --init or a model",
            group=DATA,
        ),
    ] = "error"
    chat_template: Annotated[
        str | None,
        Flag(help="A .jinja file, or chatml.", default="the tokenizer's", group=DATA),
    ] = None
    preview: Annotated[
        Natural, Flag(help="Print so many samples, trained tokens marked.", group=DATA)
    ] = 0

    strategy: Annotated[
        Strategy,
        Flag(
            help="auto, single, ddp, fsdp, hsdp, zero1, zero2, zero3, tp, pp, fsdp+tp, fsdp+pp.",
            group=SPREAD,
        ),
    ] = "auto"
    tensor_parallel: Annotated[
        Positive | None,
        Flag(help="Ranks that share each matrix.", default="by strategy", group=SPREAD),
    ] = None
    pipeline_parallel: Annotated[
        Positive | None, Flag(help="Stages of the model.", default="by strategy", group=SPREAD)
    ] = None
    shard_size: Annotated[
        Positive | None,
        Flag(help="hsdp: ranks that share one copy.", default="a node's", group=SPREAD),
    ] = None
    pipeline_schedule: Annotated[
        Literal["gpipe", "1f1b", "interleaved"],
        Flag(help="gpipe, 1f1b, interleaved.", group=SPREAD),
    ] = "1f1b"
    micro_batches: Annotated[
        Positive | None,
        Flag(help="Pipeline: parts of a batch.", default="twice the stages", group=SPREAD),
    ] = None
    offload: Annotated[
        Literal["none", "optimizer", "parameters"],
        Flag(help="To main memory: none, optimizer, parameters.", group=SPREAD),
    ] = "none"
    nproc: Annotated[
        Positive | None,
        Flag(help="Processes on this node.", default="its GPUs, or 1", group=SPREAD),
    ] = None
    nnodes: Annotated[Positive | None, Flag(help="Nodes.", default="1", group=SPREAD)] = None
    node_rank: Annotated[
        Natural | None, Flag(help="This node's number.", default="0", group=SPREAD)
    ] = None
    rendezvous: Annotated[
        str | None, Flag(help="HOST:PORT of node 0.", default="this machine", group=SPREAD)
    ] = None
    gpu: Annotated[
        str | None,
        Flag(help="--dry-run: the kind of GPU, such as h100.", default="those here", group=SPREAD),
    ] = None
    deepspeed: Annotated[
        str | None, Flag(help="A DeepSpeed JSON to take options from.", group=SPREAD)
    ] = None
    accelerate: Annotated[
        str | None, Flag(help="An accelerate YAML to take options from.", group=SPREAD)
    ] = None

    steps: Annotated[
        Positive | None,
        Flag(help="Optimizer steps.", default="800; with a model --epochs", group=LENGTH),
    ] = 800
    epochs: Annotated[
        PositiveNumber | None,
        Flag(
            help="Times through the data, in place of --steps.",
            default="1 with a model",
            group=LENGTH,
        ),
    ] = None
    batch_size: Annotated[
        Positive,
        Flag(
            help="Samples, or packed rows, of a step over all ranks.",
            default="32; 16 with a model",
            group=LENGTH,
        ),
    ] = 32
    accumulate: Annotated[
        Positive,
        Flag(
            help="Parts that a rank takes its share of a batch in.",
            default="2; 1 with --init or a model",
            group=LENGTH,
        ),
    ] = 2
    seed: Annotated[
        int, Flag(help="The same seed gives the same digest on one machine.", group=LENGTH)
    ] = 0

    optimizer: Annotated[
        Literal["adamw", "muon", "adafactor", "adamw8bit"],
        Flag(
            help="adamw, muon, adafactor, adamw8bit.",
            default="muon; adamw with --init or a model",
            group=LEARNING,
        ),
    ] = "muon"
    learning_rate: Annotated[
        PositiveNumber,
        Flag(
            help="Peak rate; beside Muon AdamW gets a quarter.",
            default="0.02; 3e-4 with --init, 2e-5 with a model",
            group=LEARNING,
        ),
    ] = 0.02
    schedule: Annotated[
        Literal["constant", "linear", "cosine", "wsd"],
        Flag(
            help="constant, linear, cosine, wsd.",
            default="wsd; cosine with --init or a model",
            group=LEARNING,
        ),
    ] = "wsd"
    warmup_steps: Annotated[
        Natural | None,
        Flag(help="Steps to the peak.", default="20; 3 % with --init or a model", group=LEARNING),
    ] = 20
    decay_share: Annotated[Share, Flag(help="wsd: the falling part.", group=LEARNING)] = 0.35
    least_rate: Annotated[
        Share,
        Flag(
            help="The last rate as a share of the peak.",
            default="0.02; 0.1 with --init or a model",
            group=LEARNING,
        ),
    ] = 0.02
    weight_decay: Annotated[
        NonNegative,
        Flag(
            help="Of matrices, never of norms and biases.",
            default="0.01; 0.1 with --init, 0 with a model",
            group=LEARNING,
        ),
    ] = 0.01
    beta1: Share = 0.9
    beta2: Share = 0.95
    clip_norm: Annotated[
        NonNegative, Flag(help="Most norm of the gradients; 0: any.", group=LEARNING)
    ] = 1.0
    ema_decay: Annotated[
        Share,
        Flag(help="Average weights by this decay; 0: no.", names=("--ema",), group=LEARNING),
    ] = 0.0

    precision: Annotated[
        Literal["auto", "f32", "bf16", "fp16"],
        Flag(help="Of the forward pass: auto, f32, bf16, fp16.", group=NUMBERS),
    ] = "auto"
    activation_checkpointing: Annotated[
        Literal["none", "selective", "full"],
        Flag(help="Compute again what is not kept: none, selective, full.", group=NUMBERS),
    ] = "none"
    compile: Annotated[
        bool, Flag(help="torch.compile.", names=("--compile/--no-compile",), group=NUMBERS)
    ] = False
    attention: Annotated[
        Literal["auto", "eager", "sdpa", "flash_attention_2", "flex_attention"],
        Flag(help="auto, eager, sdpa, flash_attention_2, flex_attention.", group=NUMBERS),
    ] = "auto"
    threads: Annotated[
        Positive | None,
        Flag(
            help="CPU threads of a rank.",
            default="cores / ranks, or 1 below 10M parameters",
            group=NUMBERS,
        ),
    ] = None

    evaluate_every: Annotated[
        Natural,
        Flag(help="Steps between evaluations; 0: only at the end.", group=KEEPING),
    ] = 0
    checkpoint_every: Annotated[
        Natural,
        Flag(
            help="Steps between checkpoints; 0: none.",
            default="0; 500 with --init or a model",
            group=KEEPING,
        ),
    ] = 0
    keep: Annotated[
        Positive, Flag(help="Newest checkpoints that stay, beside the best.", group=KEEPING)
    ] = 2
    resume: Annotated[
        Literal["auto", "never"],
        Flag(help="auto: from the newest whole checkpoint; never: anew.", group=KEEPING),
    ] = "auto"
    on_spike: Annotated[
        Literal["skip", "rollback", "stop"],
        Flag(
            help="What a loss that jumps or is no number does: skip, rollback, stop.", group=KEEPING
        ),
    ] = "stop"
    hang_timeout_s: Annotated[
        PositiveNumber,
        Flag(
            help="Seconds without a step until a silent rank is named and all end.",
            names=("--hang-timeout",),
            group=KEEPING,
        ),
    ] = 600.0

    export_dtype: Annotated[
        Literal["bf16", "f32"], Flag(help="Of the model's files: bf16, f32.", group=KEEPING)
    ] = "bf16"

    tensorboard: Annotated[
        bool, Flag(help="Also write a TensorBoard log.", names=("--tensorboard",), group=WATCHING)
    ] = False
    mlflow: Annotated[
        bool,
        Flag(help="Also log to MLflow, in the run's folder.", names=("--mlflow",), group=WATCHING),
    ] = False
    wandb: Annotated[
        bool,
        Flag(help="Also log to Weights & Biases, offline.", names=("--wandb",), group=WATCHING),
    ] = False

    @staticmethod
    def settle(values: Values, origins: Origins) -> None:
        """Other trainers' files, then the defaults of what is trained, below what was asked for."""
        take_from_files(values, origins)
        settle_defaults(values, origins)
