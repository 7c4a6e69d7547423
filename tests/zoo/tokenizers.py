"""Small tokenizers of every form, trained on a few lines that lie in the repository."""

from __future__ import annotations

import copy
import functools
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from llmops_cli.runtime.paths import recipes_dir

VOCABULARY = 512
SPECIAL = ("<pad>", "<s>", "</s>", "<unk>")
ENDINGS = r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
WORDS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"
QWEN2 = WORDS + r"\p{N}|" + ENDINGS
LLAMA3 = WORDS + r"\p{N}{1,3}|" + ENDINGS
UPPER = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]"
LOWER = r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
TEKKEN = (
    rf"{UPPER}*{LOWER}+|{UPPER}+{LOWER}*|"
    r"\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
NAMES = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}

# tokenizer.json and tokenizer_config.json
Json = dict[str, Any]
Writer = Callable[[Path], None]


def corpus() -> list[str]:
    return (recipes_dir() / "data" / "calibration.txt").read_text().splitlines()[:400]


@functools.cache
def _byte_level(pattern: str) -> str:
    """Trained once for each pattern; "" cuts as GPT-2 does."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

    steps = [pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=not pattern)]
    if pattern:
        steps.insert(0, pre_tokenizers.Split(Regex(pattern), "isolated"))
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(steps)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=list(SPECIAL),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(corpus(), trainer)
    return str(tokenizer.to_str())


@functools.cache
def sentencepiece_model(kind: str = "bpe", **options: Any) -> bytes:
    import sentencepiece

    out = io.BytesIO()
    given = {
        "vocab_size": VOCABULARY,
        "byte_fallback": True,
        "add_dummy_prefix": False,
        "remove_extra_whitespaces": False,
        "normalization_rule_name": "identity",
        **options,
    }
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(corpus()),
        model_writer=out,
        model_type=kind,
        pad_id=0,
        bos_id=1,
        eos_id=2,
        unk_id=3,
        character_coverage=0.99,
        minloglevel=2,
        num_threads=1,
        **given,
    )
    return out.getvalue()


@functools.cache
def _byte_fallback() -> str:
    """A SentencePiece model as Transformers stores it: merges by the numbers of what they make."""
    import sentencepiece
    from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers

    pieces = sentencepiece.SentencePieceProcessor(model_proto=sentencepiece_model())
    vocabulary = {pieces.IdToPiece(n): n for n in range(pieces.vocab_size())}
    merges = []
    for piece in sorted(vocabulary, key=vocabulary.__getitem__):
        cuts = range(1, len(piece))
        pairs = [(piece[:cut], piece[cut:]) for cut in cuts]
        merges += [pair for pair in pairs if pair[0] in vocabulary and pair[1] in vocabulary]
    model = models.BPE(vocabulary, merges, unk_token="<unk>", byte_fallback=True, fuse_unk=True)
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    fallback = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    tokenizer.decoder = decoders.Sequence(fallback)
    tokenizer.add_special_tokens([AddedToken(text, normalized=False) for text in SPECIAL])
    return str(tokenizer.to_str())


def written(
    source: Callable[[], str],
    change: Callable[[Json], None] | None = None,
    **config: Any,
) -> Writer:
    """tokenizer.json, changed, and tokenizer_config.json."""

    def write(folder: Path) -> None:
        tokenizer = copy.deepcopy(json.loads(source()))
        if change is not None:
            change(tokenizer)
        (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
        write_config(folder, **config)

    return write


def write_config(folder: Path, **config: Any) -> None:
    given = {"tokenizer_class": "TokenizersBackend", **NAMES, **config}
    (folder / "tokenizer_config.json").write_text(json.dumps(given))


def with_old_map(write: Writer, **named: Any) -> Writer:
    """special_tokens_map.json beside what `write` writes."""

    def write_both(folder: Path) -> None:
        write(folder)
        (folder / "special_tokens_map.json").write_text(json.dumps(named))

    return write_both


def trained(**options: Any) -> Writer:
    """tokenizer.model alone; `config` and `added` beside it."""
    config = options.pop("config", {})
    added = options.pop("added", None)

    def write(folder: Path) -> None:
        (folder / "tokenizer.model").write_bytes(sentencepiece_model(**options))
        write_config(folder, **config)
        if added is not None:
            (folder / "added_tokens.json").write_text(json.dumps(added))

    return write


def set_at(*path: str | int, value: Any) -> Callable[[Json], None]:
    """What puts a value at a place in tokenizer.json."""

    def change(tokenizer: Json) -> None:
        place: Any = tokenizer
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = value

    return change


def strip_after(*texts: str) -> Callable[[Json], None]:
    def change(tokenizer: Json) -> None:
        for token in tokenizer["added_tokens"]:
            token["rstrip"] = token["content"] in texts

    return change


def add(*tokens: Json) -> Callable[[Json], None]:
    plain = {
        "single_word": False,
        "lstrip": False,
        "rstrip": False,
        "normalized": False,
        "special": False,
    }

    def change(tokenizer: Json) -> None:
        tokenizer["added_tokens"] += [{**plain, **token} for token in tokens]

    return change


def template(*parts: str) -> Json:
    """A post-processor; "$A" is the text."""
    single = []
    for part in parts:
        if part == "$A":
            single.append({"Sequence": {"id": "A", "type_id": 0}})
        else:
            single.append({"SpecialToken": {"id": part, "type_id": 0}})
    numbers = {text: [SPECIAL.index(text)] for text in parts if text != "$A"}
    special = {text: {"id": text, "ids": ids, "tokens": [text]} for text, ids in numbers.items()}
    pair = [*single, {"Sequence": {"id": "B", "type_id": 1}}]
    return {
        "type": "TemplateProcessing",
        "single": single,
        "pair": pair,
        "special_tokens": special,
    }


def metaspace(scheme: str, *, split: bool = False) -> Callable[[Json], None]:
    def change(tokenizer: Json) -> None:
        tokenizer["normalizer"] = None
        tokenizer["pre_tokenizer"] = {
            "type": "Metaspace",
            "replacement": "▁",
            "prepend_scheme": scheme,
            "split": split,
        }

    return change


def prepend(tokenizer: Json) -> None:
    first = {"type": "Prepend", "prepend": "▁"}
    tokenizer["normalizer"] = {
        "type": "Sequence",
        "normalizers": [first, tokenizer["normalizer"]],
    }


def only_first_merges(tokenizer: Json) -> None:
    """As a BPE trained on whole texts has them: one way to each piece."""
    made = set()
    kept = []
    for left, right in tokenizer["model"]["merges"]:
        if left + right not in made:
            made.add(left + right)
            kept.append([left, right])
    tokenizer["model"]["merges"] = kept


def unigram(folder: Path) -> None:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    pieces = [("<pad>", 0.0), ("<s>", 0.0), ("</s>", 0.0), ("<unk>", -10.0)]
    pieces += [(chr(code), -5.0 - code / 100) for code in range(33, 127)]
    pieces += [("▁", -4.0), ("▁the", -3.0), ("ing", -3.5)]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=3))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.save(str(folder / "tokenizer.json"))
    write_config(folder)


def byte_level(pattern: str = QWEN2) -> Callable[[], str]:
    return functools.partial(_byte_level, pattern)


byte_fallback = _byte_fallback
