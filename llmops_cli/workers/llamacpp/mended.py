"""What llama.cpp's converter would do without a word, looked after.

Each function changes one of its objects: code of a model's folder is not run, a tensor beyond F16
stays wide, a splitting rule is named by its structure where no hash knows it, pieces keep their
scores, BOS and every end of an answer are told of, the chat template is Transformers' own.
"""

import importlib
import json
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from _shared.protocol import Events, Json
from llamacpp.splits import split_name
from llamacpp.tokenizer_form import read_tokenizer

WITH_BOS = ("gpt2", "llama")
"""Kinds of tokenizers that may put BOS first, as GGUF names them."""

HEAD_IS_NEEDED = frozenset(
    {
        *("apertus", "dots1", "gpt-oss", "gptneox", "minimax-m2", "nemotron"),
        *("olmo2", "olmoe", "phi2", "qwen2moe", "stablelm"),
    }
)
"""In these llama.cpp does not take the embeddings for a head that is missing."""
HEADS = {
    "model.embed_tokens.weight": "lm_head.weight",
    "gpt_neox.embed_in.weight": "embed_out.weight",
}

VOCABULARY_SIZES = ("vocab_size_per_layer_input", "vocab_size")
"""Where config.json tells it, the first that is there."""


# An object of llama.cpp's scripts, which are no package of types.
Converter = Any


def run_no_code_of_the_folder() -> None:
    """The converter trusts some models' folders with running their Python files; we do not."""
    transformers = importlib.import_module("transformers")
    for name in ("AutoConfig", "AutoTokenizer"):
        loader = getattr(transformers, name)
        loader.from_pretrained = _without_trust(loader.from_pretrained)


def _without_trust(load: Callable[..., object]) -> Callable[..., object]:
    def load_without_trust(*args: object, **options: object) -> object:
        return load(*args, **{**options, "trust_remote_code": False})

    return load_without_trust


def tell_writing(events: Events) -> None:
    """What the converter's own bar shows of the bytes that are written."""
    bar = importlib.import_module("tqdm").tqdm
    usual = bar.update

    def update(self: Any, count: float = 1) -> Any:  # Any: a bar, and what it returns
        result = usual(self, count)
        events.progress("converting", self.n, self.total or 0, unit="bytes")
        return result

    bar.update = update


def leave_out_missing_drafts(kind: Any, names: Collection[str]) -> None:
    """Its class counts on layers for drafting, which a further trained model has lost.

    `kind`: the class; `names`: of the folder's tensors.
    """
    if kind.supports_mtp_export and not any("mtp." in name for name in names):
        kind.no_mtp = True


def keep_wide(model: Converter, wide: set[str]) -> None:
    """These of the file's tensors are written as F32, whatever the others are."""
    gguf = importlib.import_module("gguf")
    usual = model.tensor_force_quant

    def type_of(name: str, new_name: str, block: int | None, dimensions: int) -> Any:
        if new_name in wide:
            return gguf.GGMLQuantizationType.F32
        return usual(name, new_name, block, dimensions)

    model.tensor_force_quant = type_of


def name_splits_by_structure(model: Converter) -> None:
    """Where the hash of what a tokenizer makes of a text is unknown: a tokenizer of few words, say.

    The converter knows real tokenizers by that hash; what splits as one of them has its name.
    """
    by_hash = model.get_vocab_base_pre

    def name_of(tokenizer: Any) -> str:  # Any: a tokenizer of Transformers
        try:
            return str(by_hash(tokenizer))
        except NotImplementedError:
            backend = getattr(tokenizer, "backend_tokenizer", None)
            if backend is None:
                raise
            fields = json.loads(backend.to_str())
            return split_name(fields, model.dir_model / "tokenizer.json")

    model.get_vocab_base_pre = name_of


def read_pieces_of_tokenizer_json(model: Converter) -> None:
    """Where a SentencePiece tokenizer is kept as tokenizer.json alone.

    The converter would give all pieces the same score, or ask for tokenizer.model.
    """
    path = model.dir_model / "tokenizer.json"
    if (model.dir_model / "tokenizer.model").is_file() or not path.is_file():
        return
    tokenizer = read_tokenizer(path)
    model_fields = tokenizer.get("model") or {}
    if not model_fields.get("byte_fallback"):
        return
    # it imports gguf, which must be llama.cpp's own copy by now
    from llamacpp.added_numbers import check_numbers
    from llamacpp.added_tokens import added_tokens
    from llamacpp.byte_fallback import Spaces, byte_fallback_vocabulary

    added = added_tokens(model.dir_model)
    check_numbers(tokenizer, path)
    spaces = Spaces(tokenizer, path)
    set_vocabulary = model.set_vocab

    def pieces() -> Any:  # Any: tokens, their scores and types
        size = model.find_hparam(VOCABULARY_SIZES)
        table = byte_fallback_vocabulary(tokenizer, size, added, spaces)
        return table.tokens, table.scores, table.types

    def set_spaced_vocabulary() -> None:
        set_vocabulary()
        written = model.gguf_writer.kv_data[0]
        gguf = importlib.import_module("gguf")
        if gguf.Keys.Tokenizer.ADD_PREFIX not in written:
            model.gguf_writer.add_add_space_prefix(spaces.prefix)

    model._create_vocab_sentencepiece = pieces  # noqa: SLF001 - no other way in
    # some architectures take every tokenizer.json for byte-level BPE
    model._set_vocab_gpt2 = model._set_vocab_sentencepiece  # noqa: SLF001 - likewise
    model.set_vocab = set_spaced_vocabulary


def fill_shared_caches(model: Converter) -> None:
    """Keys and values of Gemma 3n's last layers: nobody reads them, and llama.cpp wants them.

    Transformers leaves them out when it saves.
    """
    gguf = importlib.import_module("gguf")
    if model.model_arch != gguf.MODEL_ARCH.GEMMA3N:
        return
    tensors: dict[str, Callable[[], Any]] = model.model_tensors
    layers = model.hparams["num_hidden_layers"]
    for layer in range(layers - model.hparams["num_kv_shared_layers"], layers):
        for part in ("k_proj", "v_proj", "k_norm"):
            of_first = next(
                name for name in tensors if name.endswith(f".0.self_attn.{part}.weight")
            )
            name = of_first.replace(".0.self_attn.", f".{layer}.self_attn.")
            tensors.setdefault(name, _zeros_like(tensors[of_first]))


def repeat_tied_head(model: Converter) -> None:
    """Where llama.cpp looks for a head of its own, and Transformers keeps the embeddings alone."""
    if model.gguf_writer.arch not in HEAD_IS_NEEDED or not model.hparams.get("tie_word_embeddings"):
        return
    tensors: dict[str, Callable[[], Any]] = model.model_tensors
    for embeddings, head in HEADS.items():
        if embeddings in tensors:
            tensors.setdefault(head, tensors[embeddings])


def _zeros_like(load: Callable[[], Any]) -> Callable[[], Any]:
    return lambda: load() * 0


def say_whether_bos_is_added(model: Converter) -> None:
    """Where the tokenizer's files do not tell: llama.cpp would go by the splitting rule's name."""
    gguf = importlib.import_module("gguf")
    tokenizers = importlib.import_module("transformers").AutoTokenizer
    keys = gguf.Keys.Tokenizer
    set_vocabulary = model.set_vocab

    def set_whole_vocabulary() -> None:
        set_vocabulary()
        written = model.gguf_writer.kv_data[0]
        kind = written.get(keys.MODEL)
        if keys.ADD_BOS in written or kind is None or kind.value not in WITH_BOS:
            return
        tokenizer = tokenizers.from_pretrained(model.dir_model)
        first = tokenizer("a").input_ids[0]
        model.gguf_writer.add_add_bos_token(first == tokenizer.bos_token_id)

    model.set_vocab = set_whole_vocabulary


def take_template_of_its_file(gguf: Any) -> None:
    """The converter prefers a field of tokenizer_config.json; Transformers a file of its own.

    `gguf`: llama.cpp's copy of the package, whose reader of a folder's tokens is changed.
    """
    from llamacpp.chat_template import chat_template_of

    usual = gguf.SpecialVocab._try_load_from_tokenizer_json  # noqa: SLF001 - no other way in

    def load(vocabulary: Any, folder: Path) -> Any:  # Any: its own class, and what it returns
        result = usual(vocabulary, folder)
        vocabulary.chat_template = chat_template_of(folder)
        return result

    gguf.SpecialVocab._try_load_from_tokenizer_json = load  # noqa: SLF001 - likewise


def name_ends_of_answers(model: Converter, told: list[Json]) -> None:
    """Every token at which Transformers ends an answer; `told` hears of those without a key."""
    gguf = importlib.import_module("gguf")
    # it imports gguf, which must be llama.cpp's own copy by now
    from llamacpp.end_tokens import KEYS, end_tokens, named_ends

    set_vocabulary = model.set_vocab

    def set_ended_vocabulary() -> None:
        set_vocabulary()
        written = model.gguf_writer.kv_data[0]
        texts = written.get(gguf.Keys.Tokenizer.LIST)
        if texts is None:
            return
        numbers = {name: written.get(f"tokenizer.ggml.{name}_token_id") for name in KEYS}
        has = {name: number.value for name, number in numbers.items() if number is not None}
        ends = named_ends(end_tokens(model.dir_model), has, [_text(each) for each in texts.value])
        for name, number in ends.keys.items():
            model.gguf_writer.add_uint32(f"tokenizer.ggml.{name}_token_id", number)
        if ends.notice is not None:
            told.append(ends.notice.as_json())

    model.set_vocab = set_ended_vocabulary


def _text(token: str | bytes) -> str:
    """Some of its classes list tokens as bytes."""
    return token if isinstance(token, str) else bytes(token).decode(errors="replace")
