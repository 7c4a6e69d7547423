"""Plain `generate` over static batches, with speculation by prompt lookup or a draft model."""

import argparse
from typing import Any

import torch
from transformers import (
    LogitsProcessor,
    LogitsProcessorList,
    StoppingCriteria,
    StoppingCriteriaList,
)
from transformers.generation.streamers import BaseStreamer

from _openai.batches import StaticBatches
from _openai.completion import PendingCompletion
from _openai.generation import GenerationRequest
from hf.loaded import LoadedModel, load_causal_lm, up_to_end
from hf.picking import Row, picked


class StaticEngine(LoadedModel):
    """What waits is generated together, padded, until the longest answer ends."""

    def __init__(self, args: argparse.Namespace) -> None:
        super().__init__(args)
        self._assistance = self._assistance_of(args.speculative, args.dtype)
        most = args.max_num_seqs
        if self._assistance:
            most = 1
        batches = StaticBatches(self._compute, most=most, kind=adapter_of)
        self.submit = batches.submit
        self.gauges = batches.gauges
        self.failure = batches.failure

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
        requests = [completion.request for completion in batch]
        self._use_adapter(requests[0].model)
        pad = 0
        if self.ends:
            pad = self.ends[0]
        ids_BT, mask_BT = left_padded([request.prompt for request in requests], pad)
        _, width = ids_BT.shape
        picking = BatchPicking(requests, width=width, ends=self.ends)
        longest = max(request.max_tokens for request in requests)
        self.model.generate(
            input_ids=ids_BT.to(self.device),
            attention_mask=mask_BT.to(self.device),
            max_new_tokens=longest,
            pad_token_id=pad,
            do_sample=False,
            use_cache=True,
            logits_processor=LogitsProcessorList([picking]),
            stopping_criteria=StoppingCriteriaList([RowsOver(batch)]),
            streamer=BatchStreamer(batch, self.ends),
            **self._assistance,
        )

    def _use_adapter(self, name: str) -> None:
        if len(self.models) == 1:
            return
        if name == self.models[0]:
            self.model.disable_adapters()
        else:
            self.model.enable_adapters()
            self.model.set_adapter(name)


def adapter_of(completion: PendingCompletion) -> str:
    """What all completions of a batch must share."""
    return completion.request.model


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


class BatchPicking(LogitsProcessor):
    """Each row's token by its own request."""

    def __init__(
        self,
        requests: list[GenerationRequest],
        *,
        width: int,
        ends: list[int],
    ) -> None:
        self._requests = requests
        self._width = width
        self._ends = ends

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Shapes: input_ids (B, T), scores (B, V)."""
        said_BT = input_ids[:, self._width :].tolist()
        rows = []
        for request, said in zip(self._requests, said_BT, strict=True):
            rows.append(Row(request=request, said=said))
        return picked(scores, rows, ends=self._ends)


class RowsOver(StoppingCriteria):
    """A batch ends with the last of its answers that somebody waits for."""

    def __init__(self, batch: list[PendingCompletion]) -> None:
        self._batch = batch

    def __call__(self, input_ids: torch.Tensor, scores: object, **_: object) -> torch.Tensor:
        over_B = [completion.is_over for completion in self._batch]
        return torch.tensor(over_B, device=input_ids.device)


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
