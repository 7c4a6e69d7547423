"""Chats in memory, unpacked."""

import random
from collections.abc import Sequence
from pathlib import Path

import torch
from transformers import AutoTokenizer

from _shared.protocol import Json
from train.chats import encode, read_chats
from train.data.batch import Batch
from train.settings import Settings


class Memory:
    def __init__(self, samples: list[tuple[list[int], list[float]]], settings: Settings) -> None:
        self._samples = samples
        self.size = len(samples)
        self._seed = settings.seed
        self._orders: dict[int, list[int]] = {}
        self._batch_size = settings.batch_size

    def rows(self, step: int, numbers: Sequence[int]) -> Batch:
        chosen = []
        for number in numbers:
            place = step * self._batch_size + number
            epoch, index = divmod(place, self.size)
            chosen.append(self._order(epoch)[index])
        picked = [self._samples[i] for i in chosen]
        longest = max(len(ids) for ids, _ in picked) - 1
        ids_BT = torch.zeros(len(picked), longest, dtype=torch.long)
        targets_BT = torch.zeros_like(ids_BT)
        weights_BT = torch.zeros(len(picked), longest)
        for row, (ids, weights) in enumerate(picked):
            n = len(ids) - 1
            ids_BT[row, :n] = torch.tensor(ids[:-1])
            targets_BT[row, :n] = torch.tensor(ids[1:])
            weights_BT[row, :n] = torch.tensor(weights[1:])
        positions_BT = torch.arange(longest).expand(len(picked), longest)
        return Batch(ids_BT, targets_BT, weights_BT, positions_BT, 1, tuple(chosen))

    def _order(self, epoch: int) -> list[int]:
        if epoch not in self._orders:
            rng = random.Random(self._seed * 1000 + epoch)
            self._orders[epoch] = rng.sample(range(self.size), self.size)
        return self._orders[epoch]

    def state(self) -> Json:
        return {}

    def restore(self, state: Json) -> None:
        del state


def source_of(job: Json, settings: Settings) -> Memory:
    tokenizer = AutoTokenizer.from_pretrained(job["tokenizer"])
    chats = read_chats(Path(job["data"]["files"][0]["path"]))
    samples = [encode(tokenizer.backend_tokenizer, chat, 0.1) for chat in chats]
    return Memory(samples, settings)
