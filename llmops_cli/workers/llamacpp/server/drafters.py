"""Makes the drafter that `--speculative` asks for."""

import msgspec

from llamacpp.server.binding import LoadError
from llamacpp.server.drafting import Drafter, DraftModel, PromptLookup
from llamacpp.server.model import GgufModel, Llama
from llamacpp.server.vocabulary import Vocabulary


def make_drafter(text: str, target: Llama) -> Drafter | None:
    """From `ngram:5`, `draft:PATH:5` or nothing. Raises: LoadError if it cannot work."""
    if not text:
        return None
    if not target.can_share_prefixes:
        raise LoadError(
            "speculation needs a model that can forget its last tokens; a recurrent one cannot"
        )
    kind, _, rest = text.partition(":")
    if kind == "ngram":
        return PromptLookup(int(rest))
    path, _, most = rest.rpartition(":")
    draft_model = load_draft_model(path, target)
    return DraftModel(draft_model, int(most))


def load_draft_model(path: str, target: Llama) -> Llama:
    """With room for as much text as the target has. Raises: LoadError."""
    options = msgspec.structs.replace(
        target.options,
        pool=target.pool,
        kv_type="f16",
    )
    model = GgufModel(path, gpu_layers=options.gpu_layers)
    small = Llama(model, options)
    if not is_same_vocabulary(small.vocabulary, target.vocabulary):
        raise LoadError(f"the draft model {path} has another vocabulary than the model")
    return small


def is_same_vocabulary(one: Vocabulary, other: Vocabulary) -> bool:
    """Judged by about a thousand of their tokens."""
    if one.size != other.size:
        return False
    step = max(1, other.size // 1000)
    for token in range(0, other.size, step):
        ours = one.piece(token, special=True)
        theirs = other.piece(token, special=True)
        if ours != theirs:
            return False
    return True
