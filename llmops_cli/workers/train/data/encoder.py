"""Texts and chats become samples: tokens, and what each of them counts.

Shapes: T tokens.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from _shared.data.forms import Chat, Document, PromptCompletion, Text
from _shared.data.row_error import RowError
from _shared.protocol import JobError
from train.data.answers import Answers, check_tools
from train.data.sample import FULL_WEIGHT, TrainingSample, Weights
from train.data.templates import Span, Template, source_of

NO_TEMPLATE = "--chat-template FILE, --chat-template chatml, or the tokenizer of a chat model"
TOO_LONG = ("cut", "drop", "error")
MOST_CHARS = 4_000_000
"""Of one sample. A tokenizer takes 200 bytes of memory and more for each of its characters."""


@dataclass(frozen=True, kw_only=True)
class Encoding:
    """How samples are made. `length`: most pairs of one; `packs`: texts go on in the next row."""

    length: int
    train_on: str = "answers"
    prompt_weight: float = 0.0
    too_long: str = "cut"
    packs: bool = False


class NumberedDocument(NamedTuple):
    """A document and its number among all samples of the run."""

    number: int
    document: Document


class Rendered(NamedTuple):
    """A text with its answers; None: all of it is learned."""

    text: str
    answers: list[Span] | None
    adds_special: bool
    adds_end: bool


class Encoder:
    """Over a fast tokenizer of Transformers."""

    def __init__(
        self,
        tokenizer: Any,
        how: Encoding,
        *,
        template: str | None = None,
    ) -> None:
        backend = getattr(tokenizer, "backend_tokenizer", None)
        if backend is None:
            raise JobError(
                "UsageError", "the tokenizer is no fast one", "a folder with a tokenizer.json"
            )
        backend.no_truncation()
        backend.no_padding()
        self._backend = backend
        self._how = how
        self._end: int | None = tokenizer.eos_token_id
        added = backend.get_added_tokens_decoder().values()
        control = [token.content for token in added if token.content.strip()]
        self.template = template_of(tokenizer, template)
        self._answers: Answers | None = None
        self._ends = {self._end}
        if self.template is not None:
            self._answers = Answers(self.template, control)
            self._ends.add(self._closing_id(self._answers.closing, control))

    def digest(self) -> str:
        """Of the tokenizer and the template."""
        source = self.template.source if self.template is not None else ""
        text = self._backend.to_str() + source
        return hashlib.sha256(text.encode()).hexdigest()

    def encode(self, batch: Sequence[NumberedDocument]) -> list[TrainingSample]:
        """Raises: RowError whose index says which one is wrong."""
        rendered = [_at(index, self._bounded, one) for index, (_, one) in enumerate(batch)]
        encodings: list[Any] = [None] * len(batch)
        for adds_special in (False, True):
            chosen = [
                index for index, one in enumerate(rendered) if one.adds_special == adds_special
            ]
            texts = [rendered[index].text for index in chosen]
            made = self._tokenized(texts, chosen, adds_special=adds_special)
            for index, encoding in zip(chosen, made, strict=True):
                encodings[index] = encoding
        samples = []
        for index, (number, document) in enumerate(batch):
            sample = self._sample(number, document, rendered[index], encodings[index], index)
            samples.append(sample)
        return samples

    def _bounded(self, document: Document) -> Rendered:
        rendered = self._rendered(document)
        count = len(rendered.text)
        if count > MOST_CHARS:
            raise RowError(
                f"a sample of {count:,} characters; at most {MOST_CHARS:,} are taken",
                "cut it into several rows",
            )
        return rendered

    def _rendered(self, document: Document) -> Rendered:
        if isinstance(document, Text):
            return Rendered(document.text, None, True, document.ends)
        if isinstance(document, PromptCompletion):
            text = document.prompt + document.completion
            span = Span(len(document.prompt), len(text))
            return Rendered(text, [span], True, True)
        return self._rendered_chat(document)

    def _rendered_chat(self, chat: Chat) -> Rendered:
        if self._answers is None or self.template is None:
            raise RowError("it is a chat, and the tokenizer has no chat template", NO_TEMPLATE)
        if self._how.train_on == "all":
            text = self.template.render(chat.messages, chat.tools, chat.options)
            check_tools(chat, text)
            return Rendered(text, None, False, False)
        text, spans = self._answers.render(chat)
        check_tools(chat, text)
        return Rendered(text, spans, False, False)

    def _tokenized(
        self,
        texts: list[str],
        chosen: list[int],
        *,
        adds_special: bool,
    ) -> list[Any]:
        """The tokenizer takes no half of a surrogate pair, which JSON can hold."""
        if not texts:
            return []
        try:
            encodings: list[Any] = self._backend.encode_batch(
                texts, add_special_tokens=adds_special
            )
        except (TypeError, ValueError):
            for index, text in zip(chosen, texts, strict=True):
                _at(index, _check_unicode, text)
            raise
        return encodings

    def _sample(
        self,
        number: int,
        document: Document,
        rendered: Rendered,
        encoding: Any,
        index: int,
    ) -> TrainingSample:
        ids_T = np.array(encoding.ids, np.int32)
        weights_T = self._weights(encoding, rendered.answers)
        if rendered.adds_end and self._end is not None and not _ends_with(ids_T, self._end):
            ids_T = np.append(ids_T, np.int32(self._end))
            weights_T = np.append(weights_T, np.float32(FULL_WEIGHT))
        is_text = isinstance(document, Text)
        sample = TrainingSample(
            number=number,
            ids_T=ids_T,
            weights_T=weights_T,
            is_divisible=is_text and self._how.packs,
            ends=self._is_ended(ids_T, weights_T, document),
        )
        return self._shortened(sample, index)

    def _weights(self, encoding: Any, answers: list[Span] | None) -> Weights:
        """A token counts in full if its last character is part of an answer.

        Not its first one: tokenizers leave blanks out of the offsets of a token, or even leave
        nothing of a token that is blank.
        """
        count = len(encoding.ids)
        if answers is None or self._how.train_on == "all":
            return np.ones(count, np.float32)
        ends_T = np.fromiter((end for _, end in encoding.offsets), np.int64, count)
        weights_T = np.full(count, self._how.prompt_weight, np.float32)
        for begin, end in answers:
            weights_T[(ends_T > begin) & (ends_T <= end)] = FULL_WEIGHT
        return weights_T

    def _is_ended(self, ids_T: Any, weights_T: Weights, document: Document) -> bool:
        if isinstance(document, Text) and not document.ends:
            return True
        trained = np.flatnonzero(weights_T >= FULL_WEIGHT)
        if not len(trained):
            return False
        # With all tokens trained, a template may write a line end behind the end of the turn.
        last_ids = ids_T[trained[-2:]] if self._how.train_on == "all" else ids_T[trained[-1:]]
        return any(int(last) in self._ends for last in last_ids)

    def _shortened(self, sample: TrainingSample, index: int) -> TrainingSample:
        """At most one row of it, unless it may be divided."""
        most = self._how.length + 1
        count = len(sample.ids_T)
        if sample.is_divisible or count <= most:
            return sample
        if self._how.too_long == "error":
            message = f"it has {count} tokens, a row has {self._how.length}"
            error = RowError(message, "a larger --sequence-length, --too-long cut, or drop")
            error.index = index
            raise error
        kept = most if self._how.too_long == "cut" else 0
        is_cut = kept > 0
        return TrainingSample(
            number=sample.number,
            ids_T=sample.ids_T[:kept],
            weights_T=sample.weights_T[:kept],
            cut_tokens=count - kept if is_cut else 0,
            dropped_tokens=0 if is_cut else count,
        )

    def _closing_id(self, closing: str | None, control: Sequence[str]) -> int | None:
        for token in control:
            if closing is not None and closing.endswith(token):
                found: int | None = self._backend.token_to_id(token)
                return found
        return None


def template_of(tokenizer: Any, chosen: str | None) -> Template | None:
    """`chosen`: the text of a template, chatml, or None for the tokenizer's own."""
    source = getattr(tokenizer, "chat_template", None)
    if chosen:
        source = source_of(chosen)
    if isinstance(source, dict):
        source = source.get("default")
    if not source:
        return None
    specials = {name: str(token) for name, token in tokenizer.special_tokens_map.items() if token}
    return Template(source, specials)


def _at(index: int, call: Callable[[Any], Any], argument: Any) -> Any:
    try:
        return call(argument)
    except RowError as error:
        error.index = index
        raise


def _check_unicode(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise RowError(f"half of a surrogate pair at character {error.start}") from None


def _ends_with(ids_T: Any, token: int) -> bool:
    return len(ids_T) > 0 and int(ids_T[-1]) == token
