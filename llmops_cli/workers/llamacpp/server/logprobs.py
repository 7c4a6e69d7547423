"""Log-probabilities in the two shapes that OpenAI's endpoints have for them."""

from itertools import accumulate

from llamacpp.server.asgi import JsonObject
from llamacpp.server.sampling import TokenLogprob
from llamacpp.server.vocabulary import Vocabulary


def chat_logprobs(picked: list[TokenLogprob], vocabulary: Vocabulary) -> JsonObject:
    content = []
    for each in picked:
        entry = chat_entry(each.token, each.logprob, vocabulary)
        alternatives = []
        for token, logprob in each.top:
            alternative = chat_entry(token, logprob, vocabulary)
            alternatives.append(alternative)
        entry["top_logprobs"] = alternatives
        content.append(entry)
    return {"content": content}


def chat_entry(
    token: int,
    logprob: float,
    vocabulary: Vocabulary,
) -> JsonObject:
    raw = vocabulary.piece(token, special=True)
    return {
        "token": raw.decode(errors="replace"),
        "logprob": logprob,
        "bytes": list(raw),
    }


def completion_logprobs(
    picked: list[TokenLogprob],
    vocabulary: Vocabulary,
    *,
    first: int | None = None,
) -> JsonObject:
    """`first`: a token before them, which has no log-probability since nothing is before it."""

    def text(token: int) -> str:
        piece = vocabulary.piece(token, special=True)
        return piece.decode(errors="replace")

    tokens: list[str] = []
    logprobs: list[float | None] = []
    top: list[dict[str, float] | None] = []
    if first is not None:
        tokens.append(text(first))
        logprobs.append(None)
        top.append(None)
    for each in picked:
        tokens.append(text(each.token))
        logprobs.append(each.logprob)
        top.append({text(token): logprob for token, logprob in each.top})
    return {
        "tokens": tokens,
        "token_logprobs": logprobs,
        "top_logprobs": top,
        "text_offset": [*accumulate(map(len, tokens), initial=0)][:-1],
    }
