"""What is done on the loop for little, and by a judge for much. Nothing here asks anybody."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from llmops_cli.prompt_file.compression import Compressed, compressed
from llmops_cli.serve.answers.dialects.dialect import Dialect
from llmops_cli.serve.answers.whole_guard import GuardedAnswer, guarded_answer
from llmops_cli.serve.context import Asked, Fields
from llmops_cli.serve.door.body import parse
from llmops_cli.serve.door.moderation import moderation
from llmops_cli.serve.judging.crowd import refuse_crowd
from llmops_cli.serve.passed_endpoints import KNOWN
from llmops_cli.serve.privacy import may_be_personal
from llmops_cli.serve.reading import Reading, Text, read
from llmops_cli.serve.watch.audit import BODY_MOST, READ_MOST

if TYPE_CHECKING:
    from llmops_cli.guard.policy import Policy


SENT = "fields"


class ReadBody(NamedTuple):
    """What was noted of a body by name, and a dialect that has heard it.

    Its fields as they are sent, which are its values once more, are made where they are needed.
    `beginning`: of the body in OpenAI's form, as far as an audit log keeps it.
    """

    beginning: bytes
    noted: dict[str, Any]  # Any: fields of Asked
    dialect: Dialect


class Judged(NamedTuple):
    """(action, rule) of each text that is not just let through; the last may be a block.

    `message`: what the client is told then. `suspects`: an attack is let through, as it seems.
    """

    verdicts: Sequence[tuple[str, str]]
    message: str = ""
    suspects: bool = False

    @property
    def blocks(self) -> bool:
        return bool(self.verdicts) and self.verdicts[-1][0] == "block"

    @property
    def redacts(self) -> bool:
        return any(action == "redact" for action, _ in self.verdicts)


class CompressedChat(NamedTuple):
    chat: Compressed
    reading: Reading


def read_body(
    body: bytes,
    path: str,
    session: str,
    dialect: Dialect,
) -> ReadBody:
    """Raises: Refusal."""
    refuse_crowd(body)
    fresh = Asked(route="", id="", start=0.0, endpoint=KNOWN[path], session=session)
    asked = Asked(route="", id="", start=0.0, endpoint=KNOWN[path], session=session)
    plain = parse(body, asked, dialect)
    asked.reading()
    noted = {
        name: getattr(asked, name)
        for name in Asked.__struct_fields__
        if name != SENT and getattr(asked, name) is not getattr(fresh, name)
    }
    return ReadBody(plain[:READ_MOST], noted, dialect)


def judge_input(
    policy: Policy,
    texts: Sequence[Text],
    route: str,
    turns: int = 0,
) -> Judged:
    """`turns`: so many texts, from the first, are read one after the other, and judged so too."""
    from llmops_cli.guard.check import Guard
    from llmops_cli.guard.policy import STRENGTH

    guard = Guard(policy)
    verdicts: list[tuple[str, str]] = []
    strongest = STRENGTH["allow"]
    suspects = False
    for role, text in texts:
        decision = guard.check_input(text, role=role, route=route)
        if decision.action == "allow":
            continue
        verdicts.append((decision.action, decision.findings[0].rule))
        strongest = max(strongest, STRENGTH[decision.action])
        suspects = suspects or decision.suspects
        if decision.action == "block":
            return Judged(verdicts, decision.message or "blocked")
    together = guard.check_together(texts[:turns], route=route)
    if STRENGTH[together.action] > strongest:
        verdicts.append((together.action, together.findings[0].rule))
    return Judged(verdicts, together.message or "", suspects or together.suspects)


def judge_answer(
    policy: Policy,
    raw: bytes,
    path: str,
) -> GuardedAnswer:
    from llmops_cli.guard.check import Guard

    return guarded_answer(Guard(policy), raw, KNOWN[path])


def moderate(
    policy: Policy | None,
    texts: Sequence[str],
    request_id: str,
) -> bytes:
    """Without a guard of the gateway's own, the default one's opinion."""
    from llmops_cli.guard.check import Guard
    from llmops_cli.guard.policy import DEFAULT

    return moderation(Guard(policy or DEFAULT), texts, request_id)


def compressed_chat(
    values: dict[str, Any],  # Any: OpenAI's fields
    path: str,
    further: frozenset[str],
    most_tokens: int | None,
    fixed: int,
) -> CompressedChat:
    """The chat in a body made smaller, and what is read of the body then.

    `fixed`: its first messages, which a prompt of the gateway's says.
    """
    found = compressed(values["messages"], most_tokens=most_tokens, fixed=fixed)
    endpoint = KNOWN[path]
    smaller = {**values, "messages": found.messages}
    reading = read(endpoint.target.fields, smaller, prompt=endpoint.prompt, further=further)
    return CompressedChat(found, reading)


def holds_personal(fields: Fields) -> bool:
    """Of a body that is all text, as far as that is known."""
    asked = Asked(route="", id="", start=0.0, fields=fields, was_read=Reading())
    return may_be_personal(asked)


def warm_up() -> None:
    """Makes what the first request would wait for."""
    from llmops_cli.guard.check import Guard

    guard = Guard()
    guard.check_input("Hello")
    guard.check_output("Hello")
    stream = guard.output_stream()
    stream.feed(
        "My number is +49 30 901820, my address a@example.org, my card 4111 1111 1111 1111."
    )
    stream.finish()


def redacted(raws: Sequence[bytes]) -> list[str]:
    """Beginnings of texts with personal data and secrets taken out."""
    return list(map(_redacted, raws))


def _redacted(raw: bytes) -> str:
    """What is cut by the end of the part that is written is not written."""
    from llmops_cli.guard.personal import find, redact

    text = raw.decode("utf-8", "replace")
    found = find(text)
    end = len(raw[:BODY_MOST].decode("utf-8", "replace"))
    end = min([end, *(entity.span[0] for entity in found if entity.span[1] > end)])
    return redact(text[:end], [entity for entity in found if entity.span[1] <= end])
