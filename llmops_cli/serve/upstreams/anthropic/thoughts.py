"""Thoughts that a model has signed: behind a call of a tool it wants them back as they were."""

from __future__ import annotations

from llmops_cli.runtime.messages_words import Json, signed_thought

CHARS_MOST = 1 << 20
"""Of one answer; of more than that none are kept."""


class SignedThoughts:
    """Of one stream, by the places of its blocks."""

    def __init__(self) -> None:
        self._blocks: dict[int, Json] = {}
        self._words: dict[int, list[str]] = {}
        self._chars = 0

    def begin(self, index: int, block: Json) -> None:
        self._blocks[index] = dict(block)
        self._words[index] = []
        self.add(index, str(block.get("thinking") or ""))

    def add(self, index: int, words: str) -> None:
        if index not in self._words or self._chars > CHARS_MOST:
            return
        self._words[index].append(words)
        self._chars += len(words)

    def sign(self, index: int, signature: object) -> None:
        if index in self._blocks:
            self._blocks[index]["signature"] = signature

    def blocks(self) -> list[Json]:
        if self._chars > CHARS_MOST:
            return []
        whole = []
        for index, block in self._blocks.items():
            words = "".join(self._words[index])
            whole.append(signed_thought({**block, "thinking": words}))
        return [block for block in whole if block is not None]
