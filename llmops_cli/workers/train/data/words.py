"""The text of a run's data, for a tokenizer that is made of it."""

from collections.abc import Iterator

from _shared.data.forms import Document, PromptCompletion, Text
from _shared.data.row_error import RowError
from train.data.corpus import RowFile
from train.data.plan import DataPlan, training_files

MOST_DOCUMENTS = 8000
MOST_CHARACTERS = 50_000_000
"""Of the beginning; more change little."""


def texts_of(plan: DataPlan) -> Iterator[str]:
    """Contents without a template's words, the same number of documents of each file."""
    left = MOST_CHARACTERS
    files = training_files(plan)
    most = max(1, MOST_DOCUMENTS // len(files))
    for file in files:
        for text in _texts_in(file, most):
            left -= len(text)
            if left < 0:
                return
            yield text


def _texts_in(file: RowFile, most: int) -> Iterator[str]:
    for index in range(min(most, file.size)):
        try:
            document = file.document(index).document
        except RowError as error:
            raise file.refusal(index, error) from None
        yield from _words(document)


def _words(document: Document) -> Iterator[str]:
    if isinstance(document, Text):
        yield document.text
    elif isinstance(document, PromptCompletion):
        yield document.prompt
        yield document.completion
    else:
        for message in document.messages:
            yield message.get("content") or ""
