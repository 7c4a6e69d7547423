"""`llmops guard truth`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from llmops_cli.cli.settings import JSON

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmops_cli.evaluate.claim_model import ClaimQuestion
    from llmops_cli.evaluate.claims import ClaimReading
    from llmops_cli.runtime.chat import ChatEndpoint


def truth(
    file: Path = typer.Argument(None, help="The answer; - or nothing reads stdin."),
    document: Path = typer.Option(None, help="What the answer has to agree with."),
    labels: Path = typer.Option(
        None, help='In place of an answer: lines of {"document", "claim", "verdict"}.'
    ),
    rates: bool = typer.Option(
        False, "--rates", help="The error rates on our own labelled claims."
    ),
    judge_url: str = typer.Option(None, help="A model that reads in place of our rules."),
    judge_model: str = typer.Option(None, help="Its name.  [default: its first]"),
    judge_key_env: str = typer.Option(
        None, help="The variable that holds its API key.  [default: no key]"
    ),
    strict: bool = typer.Option(
        False, "--strict", help="Exit 5 if a claim of the answer is contradicted."
    ),
    as_json: bool = JSON,
) -> None:
    """What a document says of each claim of an answer: supported, contradicted or not said.

    With --rates or --labels: how often that is right.
    """
    from llmops_cli.core.errors import UsageError
    from llmops_cli.evaluate.claim_rates import OWN

    judge = _judge(judge_url, judge_model, judge_key_env)
    if labels is not None or rates:
        if file is not None or document is not None or strict:
            raise UsageError(
                "--labels and --rates measure on labelled claims, not on an answer",
                hint="leave ANSWER, --document and --strict out",
            )
        _measure(labels or OWN, judge, as_json=as_json)
        return
    if document is None:
        raise UsageError(
            "an answer is true or not beside a document",
            hint="--document FILE, or --rates for the error rates",
        )
    _check(file, document, judge, strict=strict, as_json=as_json)


def _check(
    file: Path | None,
    document: Path,
    judge: ChatEndpoint | None,
    *,
    strict: bool,
    as_json: bool,
) -> None:
    from llmops_cli.cli.guard import read_text
    from llmops_cli.cli.screen import print_json, print_table
    from llmops_cli.core.errors import GateFailed
    from llmops_cli.evaluate.claim_model import ClaimQuestion
    from llmops_cli.evaluate.claim_tables import readings_table
    from llmops_cli.evaluate.claims import ClaimVerdict, claims_of

    told = read_text(document)
    claims = claims_of(read_text(file))
    readings = _readings([ClaimQuestion(told, claim) for claim in claims], judge)
    if as_json:
        print_json(readings)
    else:
        print_table(readings_table(readings, claims))
    verdicts = [reading.verdict for reading in readings if reading is not None]
    contradicted = verdicts.count(ClaimVerdict.CONTRADICTED)
    if strict and contradicted:
        raise GateFailed(f"{contradicted} of {len(claims)} claims are contradicted")


def _measure(
    labels: Path,
    judge: ChatEndpoint | None,
    *,
    as_json: bool,
) -> None:
    from llmops_cli.cli.screen import print_json, print_table
    from llmops_cli.evaluate.claim_model import ClaimQuestion
    from llmops_cli.evaluate.claim_rates import HELD, OWN, rates_of, read_labelled
    from llmops_cli.evaluate.claim_tables import rates_table

    labelled = read_labelled(labels)
    if labels == OWN:
        labelled = [one for one in labelled if one.half == HELD]
    questions = [ClaimQuestion(one.document, one.claim) for one in labelled]
    found = rates_of(labelled, _readings(questions, judge))
    if as_json:
        print_json(found)
    else:
        print_table(rates_table(found))


def _readings(
    questions: Sequence[ClaimQuestion],
    judge: ChatEndpoint | None,
) -> list[ClaimReading | None]:
    from llmops_cli.evaluate.claim_model import ask_all
    from llmops_cli.evaluate.claims import read_claim

    if judge is not None:
        return ask_all(judge, questions)
    return [read_claim(question.document, question.claim) for question in questions]


def _judge(
    url: str | None,
    model: str | None,
    key_env: str | None,
) -> ChatEndpoint | None:
    """Raises: UsageError for no URL; EnvironmentMissing if nothing answers there."""
    from llmops_cli.core.errors import UsageError
    from llmops_cli.runtime.chat import chat_endpoint, require_answer
    from llmops_cli.runtime.http import Http
    from llmops_cli.runtime.keys import api_key, bearer
    from llmops_cli.serving.recognise import served_model

    if url is None:
        if model or key_env:
            raise UsageError("--judge-model and --judge-key-env are of a --judge-url")
        return None
    key = api_key(key_env)
    endpoint = chat_endpoint(url, model or "", key=key, field="judge_url")
    require_answer(endpoint, field="judge_url")
    name = model or served_model(endpoint.url, Http(bearer(key))) or "default"
    return chat_endpoint(url, name, key=key, field="judge_url")
