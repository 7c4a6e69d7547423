"""SpinQuant's rotations R1 and R2 as part of the weights, checked: the model must say the same.

Hadamard matrices with random signs, as QuaRot has them; nothing is learned. R3 and R4 would be
work in every step of serving. Shapes: T tokens of one text, V vocabulary.
Source: SpinQuant, arXiv:2405.16406, section 3.1; QuaRot, arXiv:2404.00456.
"""

from typing import Any

import torch

from _shared.protocol import JobError
from quantize.quantizing import QuantizeJob

MOST_DIVERGENCE_NATS = 0.01
"""Float32 comes to 1e-12; a norm that the rotation does not know changes every answer."""
MOST_TOKENS = 256


def rotate(work: QuantizeJob) -> None:
    """Raises: JobError if the rotated model is another one, as with norms that it misreads."""
    from llmcompressor import oneshot
    from llmcompressor.modifiers.transform.spinquant import SpinQuantModifier

    class Rotations(SpinQuantModifier):  # type: ignore[misc] # a class of a library without types
        """Without its shift of the embeddings, which only models with LayerNorm do not see."""

        def _center_embeddings(self, model: Any) -> None:
            return None

    tokens = work.calibration.windows[0][:MOST_TOKENS]
    before_TV = log_probs(work.model, tokens)
    rotations = Rotations(rotations=["R1", "R2"], transform_type="random-hadamard")
    oneshot(model=work.model, recipe=[rotations], tokenizer=work.tokenizer)
    # nothing is left to be done where the model is served, and a folder that says so is refused
    work.model.transform_config = None
    after_TV = log_probs(work.model, tokens)
    terms_TV = before_TV.exp() * (before_TV - after_TV)
    divergence_nats = float(terms_TV.sum(1).mean())
    if not divergence_nats < MOST_DIVERGENCE_NATS:
        kind = type(work.model).__name__
        message = (
            f"llm-compressor's rotation changes what {kind} says ({divergence_nats:.3f} nats), "
            "before anything is rounded"
        )
        raise JobError("UsageError", message, "--method gptq or awq")


@torch.no_grad()
def log_probs(model: Any, tokens: list[int]) -> torch.Tensor:
    ids_BT = torch.tensor([tokens], device=model.device)
    scores_TV: torch.Tensor = model(ids_BT, use_cache=False).logits[0]
    return scores_TV.double().log_softmax(-1)
