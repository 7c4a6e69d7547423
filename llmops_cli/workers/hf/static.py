"""Plain `generate` over static batches, with speculation by prompt lookup or a draft model."""

import argparse
from collections.abc import Hashable
from typing import Any

import torch
from transformers import set_seed
from transformers.generation.streamers import BaseStreamer

from _openai.batches import StaticBatches
from _openai.completion import PendingCompletion
from hf.loaded import LoadedModel, load_causal_lm, sampling_of, up_to_end


class StaticEngine(LoadedModel):
    """What waits is generated together, padded, until the longest answer ends."""

    def __init__(self, args: argparse.Namespace) -> None:
        super().__init__(args)
        self._assistance = self._assistance_of(args.speculative, args.dtype)
        most = args.max_num_seqs
        if self._assistance:
            most = 1
        batches = StaticBatches(self._compute, most=most, kind=settings_of)
        self.submit = batches.submit
        self.gauges = batches.gauges

    def _assistance_of(self, speculative: str, dtype: str) -> dict[str, Any]:
        """`ngram:TOKENS` or `draft:FOLDER:TOKENS` as arguments of `generate`."""
        kind, _, rest = speculative.partition(":")
        if kind == "ngram":
            return {"prompt_lookup_num_tokens": int(rest)}
        if kind == "draft":
            path, _, tokens = rest.rpartition(":")
            draft = load_causal_lm(path, dtype)
            draft.generation_config.num_assistant_tokens = int(tokens)
            draft.to(self.device)
            return {"assistant_model": draft.eval()}
        return {}

    @torch.inference_mode()
    def _compute(self, batch: list[PendingCompletion]) -> None:
        first = batch[0]
        self._use_adapter(first.model)
        if first.seed is not None:
            set_seed(int(first.seed))
        pad = 0
        if self.ends:
            pad = self.ends[0]
        prompts = [completion.prompt for completion in batch]
        ids_BT, mask_BT = left_padded(prompts, pad)
        longest = max(completion.max_tokens for completion in batch)
        shortest = None
        ends = self.ends or None
        if first.ignore_eos:
            shortest = longest
            ends = None
        sampling = sampling_of(first.temperature, first.top_p, first.top_k)
        self.model.generate(
            input_ids=ids_BT.to(self.device),
            attention_mask=mask_BT.to(self.device),
            max_new_tokens=longest,
            min_new_tokens=shortest,
            eos_token_id=ends,
            pad_token_id=pad,
            use_cache=True,
            streamer=BatchStreamer(batch, self.ends),
            **self._assistance,
            **sampling,
        )

    def _use_adapter(self, name: str) -> None:
        if len(self.models) == 1:
            return
        if name == self.models[0]:
            self.model.disable_adapters()
        else:
            self.model.enable_adapters()
            self.model.set_adapter(name)


def settings_of(completion: PendingCompletion) -> Hashable:
    """What all completions of a batch must share."""
    return (
        completion.model,
        completion.temperature,
        completion.top_p,
        completion.top_k,
        completion.ignore_eos,
        completion.seed,
    )


def left_padded(prompts: list[list[int]], pad: int) -> tuple[torch.Tensor, torch.Tensor]:
    """ids_BT and mask_BT: B prompts that all end at the last of T places."""
    width = max(len(prompt) for prompt in prompts)
    ids = []
    mask = []
    for prompt in prompts:
        length = len(prompt)
        missing = width - length
        padding = [pad] * missing
        row = [0] * missing + [1] * length
        ids.append(padding + prompt)
        mask.append(row)
    ids_BT = torch.tensor(ids)
    mask_BT = torch.tensor(mask)
    return ids_BT, mask_BT


class BatchStreamer(BaseStreamer):
    """Hands out the tokens of a batch as they come. The first call has the prompts."""

    def __init__(self, batch: list[PendingCompletion], ends: list[int]) -> None:
        self._batch = batch
        self._ends = ends
        self._has_prompts = False

    def put(self, value: torch.Tensor) -> None:
        if not self._has_prompts:
            self._has_prompts = True
            return
        count = len(self._batch)
        rows = value.reshape(count, -1).tolist()
        for completion, row in zip(self._batch, rows, strict=True):
            tokens, ended = up_to_end(row, self._ends, completion)
            for token in tokens:
                completion.put([token])  # one event each, also of tokens that were guessed together
            if ended:
                completion.end("stop")

    def end(self) -> None:
        """Each completion has had its own end."""
