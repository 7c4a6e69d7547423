"""Models that say how likely each next token is, whatever library computes them.

Shapes: T tokens of one text, V vocabulary.
"""

from typing import Any, Protocol

import torch
from transformers import AutoModelForCausalLM

from hf.unpacked import dtype_of


class Scorer(Protocol):
    """One loaded model."""

    def log_probs(self, tokens: list[int]) -> torch.Tensor:
        """Log-probabilities of the next token after each one, shape (T, V), float32."""

    def say(self, tokens: list[int], count: int) -> list[int]:
        """The next `count` tokens, greedily."""


class HfScorer:
    """A model that Transformers computes."""

    def __init__(self, model: Any) -> None:
        self.model = model.eval()

    @classmethod
    def load(cls, path: str) -> "HfScorer":
        """On the GPU if there is one."""
        model: Any = AutoModelForCausalLM.from_pretrained(
            path, dtype=dtype_of(path), trust_remote_code=False
        )
        is_on_cpu = model.device.type == "cpu"
        if is_on_cpu and torch.cuda.is_available():
            model = model.to("cuda")
        return cls(model)

    @torch.inference_mode()
    def log_probs(self, tokens: list[int]) -> torch.Tensor:
        tokens_BT = torch.tensor([tokens], device=self.model.device)
        logits_TV: torch.Tensor = self.model(tokens_BT).logits[0]
        return logits_TV.float().log_softmax(-1).cpu()

    @torch.inference_mode()
    def say(self, tokens: list[int], count: int) -> list[int]:
        prompt_BT = torch.tensor([tokens], device=self.model.device)
        answer_BT = self.model.generate(
            prompt_BT,
            attention_mask=torch.ones_like(prompt_BT),
            max_new_tokens=count,
            do_sample=False,
            use_cache=True,
            pad_token_id=0,
        )
        fresh_T = answer_BT[0, len(tokens) :]
        return list(fresh_T.tolist())


class Ct2Scorer:
    """A model that CTranslate2 computes."""

    def __init__(
        self,
        path: str,
        tokenizer: Any,
        threads: int,
    ) -> None:
        import ctranslate2

        self._generator = ctranslate2.Generator(path, intra_threads=threads)
        self._names_of = tokenizer.convert_ids_to_tokens

    def log_probs(self, tokens: list[int]) -> torch.Tensor:
        import numpy as np

        names = self._names_of(tokens)
        view_BTV = self._generator.forward_batch([names], return_log_probs=True)
        log_probs_TV = np.array(view_BTV)[0]
        plain_TV = log_probs_TV.astype(np.float32)
        return torch.from_numpy(plain_TV)

    def say(self, tokens: list[int], count: int) -> list[int]:
        (result,) = self._generator.generate_batch(
            [self._names_of(tokens)],
            max_length=count,
            sampling_topk=1,
            include_prompt_in_result=False,
        )
        return list(result.sequences_ids[0])
