"""Content blocks of a user's message, or of a tool's result, as parts of a chat."""

from __future__ import annotations

from typing import Any

import msgspec

from llmops_cli.serve.answers.dialects.messages_rules import (
    BLOCKS,
    DOCUMENT_SOURCE,
    IMAGE_SOURCE,
    How,
    RawFields,
    invalid,
    kept,
    missing,
    opened,
    typed,
    unsupported,
)
from llmops_cli.serve.answers.dialects.unsent import Unsent

Json = dict[str, Any]  # Any: OpenAI's fields
IMAGE_KINDS = ("image/jpeg", "image/png", "image/gif", "image/webp")
PDF = "application/pdf"
BETWEEN = "\n\n"
"""Of blocks, where only one string is taken: each is a paragraph of its own."""
READABLE = ("text", "image", "document", "search_result")
"""Blocks that a user, or a tool, may show to a model."""


class ContentBlock:
    """One content block, opened. `where` is told in errors."""

    def __init__(self, raw: msgspec.Raw, where: str, unsent: Unsent) -> None:
        fields = typed(raw, RawFields, where)
        if "type" not in fields:
            raise missing(f"{where}.type")
        self.kind = typed(fields.pop("type"), str, f"{where}.type")
        self.where = where
        self.unsent = unsent
        rule = BLOCKS.get(self.kind)
        if rule is None:
            raise unsupported(f"{where}: content of type {self.kind[:64]!r} is not known")
        if rule.how is How.REFUSED:
            raise unsupported(f"{where}: content of type {self.kind!r} {rule.says}")
        if rule.how is How.TOLD:
            unsent.add(self.kind)
            fields = {}
        self.fields = kept(fields, rule.fields, label=f"{self.kind}.", unsent=unsent)

    def text(self, name: str) -> str:
        """Raises: Refusal if it is missing, or no text."""
        found = self.optional_text(name)
        if found is None:
            raise missing(f"{self.where}.{name}")
        return found

    def optional_text(self, name: str) -> str | None:
        raw = self.fields.get(name)
        return None if raw is None else typed(raw, str, f"{self.where}.{name}")

    def raw(self, name: str) -> msgspec.Raw:
        if name not in self.fields:
            raise missing(f"{self.where}.{name}")
        return self.fields[name]


def blocks_of(raw: msgspec.Raw, where: str, unsent: Unsent) -> str | list[ContentBlock]:
    """A content: a string, or its blocks. Raises: Refusal."""
    content = typed(raw, str | list[msgspec.Raw], where)  # type: ignore[arg-type]
    if isinstance(content, str):
        return content
    return [ContentBlock(each, f"{where}.{index}", unsent) for index, each in enumerate(content)]


def parts_of(block: ContentBlock) -> list[Json]:
    """What a user, or a tool, shows: text, images, files. Raises: Refusal."""
    if block.kind == "text":
        return [text_part(block.text("text"))]
    if block.kind == "image":
        return [_image(block)]
    if block.kind == "document":
        return _document(block)
    if block.kind == "search_result":
        return [_search_result(block)]
    raise invalid(f"{block.where}: content of type {block.kind!r} cannot stand here")


def text_part(text: str) -> Json:
    return {"type": "text", "text": text}


def plain_text(content: str | list[ContentBlock]) -> str:
    """Of blocks that may only be text. Raises: Refusal."""
    if isinstance(content, str):
        return content
    for block in content:
        if block.kind != "text":
            raise invalid(f"{block.where}: only text can stand here, not {block.kind!r}")
    return BETWEEN.join(block.text("text") for block in content)


def _image(block: ContentBlock) -> Json:
    source = _source(block, IMAGE_SOURCE)
    kind = _source_type(source, block)
    where = f"{block.where}.source"
    if kind == "url":
        url = _source_text(source, "url", where)
    elif kind == "base64":
        media_type = _source_text(source, "media_type", where)
        if media_type not in IMAGE_KINDS:
            raise invalid(f"{where}.media_type: images are {', '.join(IMAGE_KINDS)}")
        url = f"data:{media_type};base64,{_source_text(source, 'data', where)}"
    else:
        raise unsupported(f"{where}: an image's source is base64 or url, not {kind[:64]!r}")
    return {"type": "image_url", "image_url": {"url": url}}


def _document(block: ContentBlock) -> list[Json]:
    source = _source(block, DOCUMENT_SOURCE)
    kind = _source_type(source, block)
    where = f"{block.where}.source"
    title = block.optional_text("title")
    heads = [each for each in (title, block.optional_text("context")) if each]
    if kind == "text":
        said = _source_text(source, "data", where)
        return [text_part(BETWEEN.join([*heads, said]))]
    head = [text_part(each) for each in heads]
    if kind == "content":
        if "content" not in source:
            raise missing(f"{where}.content")
        content = blocks_of(source["content"], f"{where}.content", block.unsent)
        if isinstance(content, str):
            return [*head, text_part(content)]
        return head + [part for inner in content for part in _shown(inner)]
    if kind != "base64":
        raise unsupported(f"{where}: a document's source is text, content or base64")
    if _source_text(source, "media_type", where) != PDF:
        raise invalid(f"{where}.media_type: a document in base64 is {PDF}")
    data = _source_text(source, "data", where)
    file = {"filename": title or "document.pdf", "file_data": f"data:{PDF};base64,{data}"}
    return [*head, {"type": "file", "file": file}]


def _shown(block: ContentBlock) -> list[Json]:
    """Of a document's own content, which holds no other documents."""
    if block.kind not in ("text", "image"):
        raise invalid(f"{block.where}: a document holds text and images, not {block.kind!r}")
    return parts_of(block)


def _search_result(block: ContentBlock) -> Json:
    content = blocks_of(block.raw("content"), f"{block.where}.content", block.unsent)
    head = f"{block.text('title')}\n{block.text('source')}"
    return text_part(BETWEEN.join([head, plain_text(content)]))


def _source(block: ContentBlock, rules: Any) -> RawFields:  # Any: rules of a source
    where = f"{block.where}.source"
    return opened(block.raw("source"), rules, where=where, label="source.", unsent=block.unsent)


def _source_type(source: RawFields, block: ContentBlock) -> str:
    return _source_text(source, "type", f"{block.where}.source")


def _source_text(source: RawFields, name: str, where: str) -> str:
    if name not in source:
        raise missing(f"{where}.{name}")
    found = typed(source[name], str, f"{where}.{name}")
    if not found:
        raise invalid(f"{where}.{name}: it is empty")
    return found
