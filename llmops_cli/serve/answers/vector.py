"""A question's request for its vector: of whoever asks the question, and as private as that."""

from __future__ import annotations

import msgspec

from llmops_cli.serve.answers.admitted import AdmittedRequest
from llmops_cli.serve.context import RequestContext
from llmops_cli.serve.endpoints import EMBEDDINGS
from llmops_cli.serve.request import RequestBody
from llmops_cli.serve.token_estimate import estimated_tokens


def vector_context(request: AdmittedRequest, model: str, text: str) -> RequestContext:
    """Who asks, and whether it is personal, is what it was of the whole request."""
    values = {"model": model, "input": text}
    inner = RequestContext(EMBEDDINGS.path, EMBEDDINGS)
    inner.asked = msgspec.structs.replace(
        request.asked,
        endpoint=EMBEDDINGS,
        body=RequestBody(model=model, input=text),
        values=values,
        fields={name: msgspec.Raw(msgspec.json.encode(value)) for name, value in values.items()},
        was_read=None,
    )
    inner.decided.prompt_tokens = estimated_tokens(text)
    inner.decided.destinations = request.decided.destinations
    return inner
