"""Log-probabilities in the two shapes that OpenAI's endpoints have for them."""

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


def completion_logprobs(picked: list[TokenLogprob], vocabulary: Vocabulary) -> JsonObject:
    def text(token: int) -> str:
        piece = vocabulary.piece(token, special=True)
        return piece.decode(errors="replace")

    top = []
    for each in picked:
        alternatives = {text(token): logprob for token, logprob in each.top}
        top.append(alternatives)
    tokens = [text(each.token) for each in picked]
    return {
        "tokens": tokens,
        "token_logprobs": [each.logprob for each in picked],
        "top_logprobs": top,
    }
