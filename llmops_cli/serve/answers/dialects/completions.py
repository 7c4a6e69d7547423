"""Choices of a text completion: the same field whole and in a stream."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from llmops_cli.serve.answers.dialects.choices import add_piece, join_pieces, words

Json = dict[str, Any]  # Any: OpenAI's fields


class TextChoices:
    def chunk_object(self, whole: Json) -> str:
        return str(whole.get("object", "text_completion"))

    def pieces(self, choice: Json) -> Iterator[Json]:
        for word in words(choice.get("text")):
            yield {"text": word}
        yield {"text": "", "finish_reason": choice.get("finish_reason") or "stop"}

    def merge(self, choice: Json, piece: Json) -> None:
        if "text" in piece:
            add_piece(choice, "text", piece["text"] or "")

    def tidy(self, choice: Json) -> None:
        join_pieces(choice, ("text",))

    def empty(self, index: int) -> Json:
        return {"index": index, "finish_reason": None}

    def append(
        self,
        choice: Json,
        name: str,
        text: str,
    ) -> None:
        field = "text" if name == "content" else name
        choice[field] = str(choice.get(field) or "") + text

    def replace(self, choice: Json, text: str) -> None:
        choice["text"] = text
