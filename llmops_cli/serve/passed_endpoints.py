"""Endpoints that are there where the file names them: passed on to servers that have them.

Sources: openai-python 3.54 (audio, images), vLLM 0.32 (rerank, score, tokenize, audio), Jina's and
Cohere's rerank.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from llmops_cli.gateway_file.config import EndpointGroup
from llmops_cli.serve.answers.dialects.choice_texts import Json, TextPlace
from llmops_cli.serve.answers.dialects.slots import slots_in
from llmops_cli.serve.endpoints import ENDPOINTS, FEEDBACK, AnswerKind, Endpoint
from llmops_cli.serve.field_tables import REFUSED
from llmops_cli.serve.fields import FieldTable, answers, messages, passed, text, words

RERANK_FIELDS: FieldTable = {
    **text("query", media=True),
    **text("documents", role="document", media=True),
    **text("instruction chat_template_kwargs"),
    **REFUSED,
    **passed(
        "model user top_n top_k return_documents rank_fields max_chunks_per_doc"
        " max_tokens_per_doc overlap_tokens truncation truncate_prompt_tokens truncation_side"
        " activation use_activation softmax cache_salt"
    ),
}
SCORE_FIELDS: FieldTable = {
    **text("text_1 data_1 queries query", media=True),
    **text("text_2 data_2 documents items", role="document", media=True),
    **text("instruction chat_template_kwargs"),
    **REFUSED,
    **passed(
        "model user truncate_prompt_tokens truncation_side activation use_activation softmax"
        " label_token_ids apply_softmax item_first cache_salt"
    ),
}
TOKENIZE_FIELDS: FieldTable = {
    **text("prompt"),
    **messages("messages"),
    **text("tools", role="tool"),
    **text("chat_template_kwargs"),
    **REFUSED,
    **passed(
        "model add_special_tokens return_token_strs add_generation_prompt continue_final_message"
    ),
}
DETOKENIZE_FIELDS: FieldTable = {**text("tokens"), **passed("model")}
SPEECH_FIELDS: FieldTable = {
    **text("input instructions"),
    **passed("model user"),
    **words("voice response_format speed stream_format language"),
}
TRANSCRIPTION_FIELDS: FieldTable = {
    **text("prompt hotwords"),
    **passed("model user known_speaker_references[]"),
    **words(
        "language to_language response_format temperature stream include[]"
        " timestamp_granularities[] chunking_strategy known_speaker_names[] seed top_p top_k min_p"
        " frequency_penalty repetition_penalty presence_penalty stream_include_usage"
        " stream_continuous_usage_stats"
    ),
}
IMAGE_FIELDS: FieldTable = {
    **text("prompt negative_prompt"),
    **answers("n"),
    **passed("model user"),
    **words(
        "size quality style response_format background output_format output_compression moderation"
        " partial_images stream seed input_fidelity"
    ),
}


def places_in(answer: Json) -> list[TextPlace]:
    """Every string of it, but for names, kinds and media."""
    return [TextPlace(answer, "content", slot.holder, slot.field) for slot in slots_in(answer)]


def _rerank(path: str) -> Endpoint:
    return Endpoint(
        path=path,
        right="rerank",
        summary="Documents by how well they answer a question",
        operation="rerank",
        required=("model", "query"),
        missing=f"{path} needs a query",
        fields=RERANK_FIELDS,
        pairs=True,
        caches=False,
    )


def _score(path: str) -> Endpoint:
    return Endpoint(
        path=path,
        right="score",
        summary="How well two texts go together",
        operation="score",
        required=("model",),
        fields=SCORE_FIELDS,
        pairs=True,
        caches=False,
    )


def _transcription(path: str, summary: str) -> Endpoint:
    return Endpoint(
        path=path,
        right="audio",
        summary=summary,
        operation="transcription",
        required=("model",),
        fields=TRANSCRIPTION_FIELDS,
        files=("file",),
        places=places_in,
        caches=False,
        answers=AnswerKind.TEXT,
    )


TOKENIZE = Endpoint(
    path="/tokenize",
    right="tokenize",
    summary="A text's tokens",
    operation="tokenize",
    required=("model",),
    fields=TOKENIZE_FIELDS,
    caches=False,
)
DETOKENIZE = Endpoint(
    path="/detokenize",
    right="tokenize",
    summary="The text of tokens",
    operation="detokenize",
    required=("model",),
    fields=DETOKENIZE_FIELDS,
    places=places_in,
    caches=False,
)
SPEECH = Endpoint(
    path="/v1/audio/speech",
    right="audio",
    summary="A text read aloud",
    operation="speech",
    missing="/v1/audio/speech needs an input",
    fields=SPEECH_FIELDS,
    caches=False,
    answers=AnswerKind.SOUND,
)
IMAGES = Endpoint(
    path="/v1/images/generations",
    right="images",
    summary="Images of a text",
    operation="image_generation",
    required=("model", "prompt"),
    missing="/v1/images/generations needs a prompt",
    fields=IMAGE_FIELDS,
    places=places_in,
    caches=False,
    answers=AnswerKind.MEDIA,
)
IMAGE_EDITS = Endpoint(
    path="/v1/images/edits",
    right="images",
    summary="Images made of others",
    operation="image_edit",
    required=("model", "prompt"),
    missing="/v1/images/edits needs a prompt",
    fields=IMAGE_FIELDS,
    files=("image", "image[]", "mask"),
    places=places_in,
    caches=False,
    answers=AnswerKind.MEDIA,
)
GROUPS: Mapping[EndpointGroup, tuple[Endpoint, ...]] = {
    "rerank": tuple(map(_rerank, ("/v1/rerank", "/rerank", "/v2/rerank"))),
    "score": tuple(map(_score, ("/v1/score", "/score"))),
    "tokenize": (TOKENIZE, DETOKENIZE),
    "audio": (
        _transcription("/v1/audio/transcriptions", "What is said, in its language"),
        _transcription("/v1/audio/translations", "What is said, in English"),
        SPEECH,
    ),
    "images": (IMAGES, IMAGE_EDITS),
}
PASSED = {endpoint.path: endpoint for group in GROUPS.values() for endpoint in group}

KNOWN = {**ENDPOINTS, **PASSED}


def advice(path: str) -> str:
    """What may have been meant by a path that is not served."""
    if path == FEEDBACK.path:
        return ": the gateway's file has no feedback: {}"
    if path in PASSED:
        return ": the gateway's file does not name it in endpoints"
    longer = f"/v1{path}"
    if longer in KNOWN:
        return f": did you mean {longer}?"
    return ""


def endpoints_of(
    groups: Iterable[EndpointGroup],
    *,
    feedback: bool = False,
) -> Mapping[str, Endpoint]:
    """By path: those that are always there, and what the file adds."""
    found = dict(ENDPOINTS)
    for group in groups:
        found |= {endpoint.path: endpoint for endpoint in GROUPS[group]}
    if feedback:
        found[FEEDBACK.path] = FEEDBACK
    return found
