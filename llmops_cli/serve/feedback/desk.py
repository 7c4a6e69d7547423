"""`POST /v1/feedback`: a rating is taken from whoever asked, redacted, counted and written."""

from __future__ import annotations

import re
from typing import Annotated

import msgspec

from llmops_cli.core.rating import Rating, Score
from llmops_cli.serve.context import Asked, RequestContext
from llmops_cli.serve.door.small_body import small_body
from llmops_cli.serve.feedback.book import RATINGS_MOST, AskedBook, AskedRequest
from llmops_cli.serve.judging.judging import Judging
from llmops_cli.serve.refusal import Refusal
from llmops_cli.serve.snapshot import Snapshot
from llmops_cli.serve.watch.audit import AuditLog, now
from llmops_cli.serve.watch.metrics import Metrics

BODY_MOST = 32 << 10
TEXT_MOST = 2000
LABELS_MOST = 8

LABEL = re.compile(r"[\w .:/-]+")
REQUEST_ID = re.compile("[0-9a-f]{16}")
NOT_FOUND = "there is no such request of this key that can be rated"
Label = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]


class FeedbackBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`score`: 0 to 1, or true and false. `request`: the answer's x-request-id."""

    request: str
    score: bool | Score | None = None
    labels: Annotated[list[Label], msgspec.Meta(max_length=LABELS_MOST)] = []
    text: Annotated[str, msgspec.Meta(max_length=TEXT_MOST)] = ""


class FeedbackDesk:
    """Of one worker. Several write to one file, as they do to the audit log."""

    def __init__(
        self,
        book: AskedBook,
        log: AuditLog,
        metrics: Metrics,
        judging: Judging,
    ) -> None:
        self._book = book
        self._log = log
        self._metrics = metrics
        self._judging = judging

    async def take(self, raw: bytes, context: RequestContext, snapshot: Snapshot) -> bytes:
        """What the client is told. It takes a request of the limits. Raises: Refusal."""
        asked = context.asked
        claim, headers = await snapshot.limits.take(asked.key, asked.ip, "", 0)
        context.decided.headers += headers
        try:
            body = _body_of(raw)
            return await self._rate(body, context)
        finally:
            await snapshot.limits.settle(claim, 0, failed=False)

    async def _rate(self, body: FeedbackBody, context: RequestContext) -> bytes:
        asked = context.asked
        found = await self._book.find(body.request)
        if found is None or not _may_rate(asked, found):
            raise Refusal(404, NOT_FOUND, code="request_not_found")
        if not await self._book.count(body.request):
            said = f"request {body.request} was rated {RATINGS_MOST} times already"
            raise Refusal(409, said, code="rated_already")
        raws = [each.encode() for each in (body.text, *body.labels)]
        text, *labels = await self._judging.redacted(raws)
        rating = Rating(
            at=now(),
            request=body.request,
            key=found.key,
            by="" if asked.key.id == found.key else asked.key.id,
            model=found.model,
            prompt=found.prompt,
            upstream=found.upstream,
            side=found.side,
            score=None if body.score is None else float(body.score),
            labels=list(dict.fromkeys(labels)),
            text=text,
        )
        self._write(rating)
        context.decided.rated = rating
        return msgspec.json.encode({"request": body.request, "object": "feedback"})

    def _write(self, rating: Rating) -> None:
        """Raises: Refusal if it could not be kept."""
        lost = self._log.lost
        self._log.write(rating)
        if self._log.lost > lost:
            raise Refusal(503, "the rating could not be kept", code="feedback_unavailable")
        self._metrics.rated(rating)

    def look(self) -> None:
        """Follows the file where another process has turned it over."""
        self._log.look()

    def close(self) -> None:
        self._log.close()
        self._book.close()


def _may_rate(asked: Asked, found: AskedRequest) -> bool:
    return asked.key.id == found.key or asked.key.role == "admin"


def _body_of(raw: bytes) -> FeedbackBody:
    """Raises: Refusal."""
    body = small_body(raw, FeedbackBody)
    if not REQUEST_ID.fullmatch(body.request):
        raise Refusal(404, NOT_FOUND, code="request_not_found")
    if not all(map(LABEL.fullmatch, body.labels)):
        raise _invalid("labels: letters, digits, blanks and .:/- alone")
    if body.score is None and not body.labels and not body.text:
        raise _invalid("a rating has a score, labels or a text")
    return body


def _invalid(said: str) -> Refusal:
    return Refusal(400, said, code="invalid_body")
