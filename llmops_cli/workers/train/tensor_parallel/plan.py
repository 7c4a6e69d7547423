"""Which layers of a model are cut how: Transformers' plan for it, or ours where it has none."""

import re
from typing import Any

from torch.distributed.device_mesh import DeviceMesh

from _shared.protocol import JobError
from train.tensor_parallel import layers
from train.tensor_parallel.layers import Cutter

# GPT-2 has queries, keys and values in one matrix, so its attention is computed whole on each rank.
GPT2 = {
    "transformer.wte": "embedding_rowwise",
    "transformer.h.*.attn.c_attn": "colwise_gather_output",
    "transformer.h.*.attn.c_proj": "rowwise_split_input",
    "transformer.h.*.mlp.c_fc": "colwise",
    "transformer.h.*.mlp.c_proj": "rowwise",
    "lm_head": "colwise_gather_output",
}
OWN_PLANS = {"gpt2": GPT2}
"""For families that Transformers has no plan for."""
WHOLE_ATTENTION = {
    "colwise": "colwise_gather_output",
    "rowwise": "rowwise_split_input",
    "replicated_with_grad_allreduce": None,
}
"""What layers of attention do where heads cannot be shared out."""
Plan = dict[str, str]


def cut_model(model: Any, mesh: DeviceMesh) -> None:
    """Cuts what `model` has over `mesh`, in place; it may be on the meta device.

    Raises: JobError for a family without a plan, or with one of another kind (experts).
    """
    plan = plan_of(model, mesh.size())
    cutter = Cutter(mesh)
    for name, module in model.named_modules():
        style = _style(name, plan)
        if style is not None:
            apply(style, module, cutter)


def plan_of(model: Any, size: int) -> Plan:
    """From patterns of modules' names to styles.

    Raises: JobError for a family without a plan.
    """
    model_type = model.config.model_type
    theirs = model._tp_plan or {}  # noqa: SLF001  it has no other name
    plan = OWN_PLANS.get(model_type) or dict(theirs)
    if not plan:
        message = f"neither Transformers nor we have a tensor parallel plan for '{model_type}'"
        raise JobError("UsageError", message, "--strategy fsdp")
    if heads_can_be_shared_out(model.config, size):
        return plan
    return with_whole_attention(plan)


def heads_can_be_shared_out(config: Any, size: int) -> bool:
    """Not where they do not divide, nor where attention drops out: ranks would drop alike."""
    text = config.get_text_config()
    heads = text.num_attention_heads
    kv_heads = getattr(text, "num_key_value_heads", None) or heads
    dropout = getattr(text, "attention_dropout", 0.0)
    return heads % size == 0 and kv_heads % size == 0 and not dropout


def with_whole_attention(plan: Plan) -> Plan:
    """The same, but every rank computes all heads; their matrices stay cut."""
    changed = {}
    for name, style in plan.items():
        new_style: str | None = style
        if ".self_attn." in name:
            new_style = WHOLE_ATTENTION.get(style, style)
        if new_style is not None:
            changed[name] = new_style
    return changed


def apply(style: str, module: Any, cutter: Cutter) -> None:
    """Raises: JobError for a style that we have not."""
    if style == "colwise":
        layers.cut_columns(module, cutter, gathers=False)
    elif style == "colwise_gather_output":
        layers.cut_columns(module, cutter, gathers=True)
    elif style == "rowwise":
        layers.cut_rows(module, cutter, splits=False)
    elif style == "rowwise_split_input":
        layers.cut_rows(module, cutter, splits=True)
    elif style == "embedding_rowwise":
        layers.cut_vocabulary(module, cutter)
    elif style == "replicated_with_grad_allreduce":
        layers.sum_gradient(module, cutter)
    else:
        message = f"the model's tensor parallel plan has '{style}', which cannot be trained here"
        raise JobError("UsageError", message, "--strategy fsdp")


def _style(name: str, plan: Plan) -> str | None:
    return plan.get(re.sub(r"(?<=\.)\d+(?=\.)", "*", name))
