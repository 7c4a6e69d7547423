"""A Hugging Face tokenizer as GGUF metadata. Refuses what llama.cpp would tokenize differently."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import gguf

from _shared.protocol import JobError
from llamacpp.added_numbers import check_numbers
from llamacpp.added_tokens import AddedToken, added_tokens, beyond_notice, name_for
from llamacpp.bpe_model import check_bpe
from llamacpp.byte_fallback import METASPACE_NOTICE, ByteFallback, Spaces
from llamacpp.byte_level import (
    byte_level_split,
    byte_level_vocabulary,
    normalizer_notice,
)
from llamacpp.chat_template import chat_template_of
from llamacpp.class_tokenizer import as_class_reads, check_pieces_alone, class_named
from llamacpp.defaults import ModelFields
from llamacpp.end_tokens import end_tokens, named_ends
from llamacpp.ends import Ends, ends_of
from llamacpp.from_sentencepiece import puts_space_first, sentencepiece_vocabulary
from llamacpp.llama_class import (
    check_code_llama,
    check_code_llama_alone,
    reads_as_class,
    with_its_spaces,
)
from llamacpp.notices import Notice
from llamacpp.taken_as_special import special_looking_notice
from llamacpp.token_table import TokenTable
from llamacpp.tokenizer_files import SPECIAL_NAMES, Json, named_tokens
from llamacpp.tokenizer_form import check_switches, read_tokenizer

RAW_SPLIT = "sarvam-moe"
"""llama.cpp's name for BPE over text as it is, spaces marked, with byte fallback."""


class Vocabulary(NamedTuple):
    """`split` None: found by scores. `notices`: what it reads differently from Transformers."""

    table: TokenTable
    split: str | None = None
    space_prefix: bool = False
    notices: tuple[Notice | None, ...] = ()


class SpecialTokens(gguf.SpecialVocab):
    """Merges, special tokens and chat template; the configuration is given, as it is read."""

    def __init__(
        self,
        folder: Path,
        config: ModelFields,
        *,
        load_merges: bool,
    ) -> None:
        self._config = config
        template = chat_template_of(folder)
        super().__init__(
            folder,
            load_merges=load_merges,
            special_token_types=SPECIAL_NAMES,
            n_vocab=config["vocab_size"],
        )
        self.chat_template = template

    def _try_load_from_config_json(self, path: Path) -> bool:
        for name in self.special_token_types:
            number = self._config.get(f"{name}_token_id")
            if isinstance(number, int) and number >= 0:
                self._set_special_token(name, number)
        return True


def add_vocabulary(
    writer: gguf.GGUFWriter,
    folder: Path,
    config: ModelFields,
    architecture: str,
) -> list[Notice]:
    """Writes the model's name, tokens, types, merges or scores, special ids and chat template.

    The name is the folder's; llama.cpp reads some tokens differently by it. Returns what the user
    must know. Raises: JobError for a tokenizer that llama.cpp has not.
    """
    size = config["vocab_size"]
    check_switches(folder)
    tokenizer_class = class_named(folder, architecture)
    added = added_tokens(folder, keeps_list=tokenizer_class is None)
    found = vocabulary_of(folder, size, added, architecture)
    found.table.check()
    writer.add_name(name_for(folder.resolve().name, found.table, added))
    if found.split is None:
        found.table.add_with_scores(writer, space_prefix=found.space_prefix)
    else:
        found.table.add_with_split(writer, split=found.split)
    special = SpecialTokens(folder, config, load_merges=found.split is not None)
    _settle_special(special, folder, found.table)
    ends = named_ends(end_tokens(folder), special.special_token_ids, found.table.tokens)
    special.special_token_ids.update(ends.keys)
    special.add_to_gguf(writer, quiet=True)
    of_tokens = (special_looking_notice(found.table), beyond_notice(added, size), ends.notice)
    notices = (*found.notices, *of_tokens)
    return [notice for notice in notices if notice is not None]


def _settle_special(special: SpecialTokens, folder: Path, table: TokenTable) -> None:
    """Numbers by the tokens' texts, and whether the tokenizer itself puts BOS and EOS."""
    named = named_tokens(folder)
    numbers = table.numbers()
    for name, text in named.items():
        if text in numbers:
            special.special_token_ids[name] = numbers[text]
    ends = ends_of(folder, named)
    _check_ends(ends, special)
    special.add_special_token = {"bos": ends.bos, "eos": ends.eos}


def _check_ends(ends: Ends, special: SpecialTokens) -> None:
    for name, is_put in (("bos", ends.bos), ("eos", ends.eos)):
        if is_put and name not in special.special_token_ids:
            message = f"the tokenizer puts a {name} token, and the model's vocabulary has none"
            raise JobError("UsageError", message, "tokenizer and model are not of one kind")
        number = special.special_token_ids.get(name)
        told = ends.numbers.get(name, [number])
        if is_put and told != [number]:
            message = f"the tokenizer puts {told} around a text, and its {name} token is {number}"
            raise JobError("UsageError", message, "llama.cpp puts the token itself")


def vocabulary_of(
    folder: Path,
    size: int,
    added: Sequence[AddedToken],
    architecture: str,
) -> Vocabulary:
    """tokenizer.json goes first, as in Transformers."""
    path = folder / "tokenizer.json"
    tokens = list(added)
    if path.exists():
        return _of_json(path, size, tokens, architecture)
    if (folder / "tokenizer.model").exists():
        check_pieces_alone(class_named(folder, architecture), folder)
        check_code_llama_alone(folder, architecture)
        table, model = sentencepiece_vocabulary(folder, size, tokens)
        if not puts_space_first(model, folder, architecture):
            return Vocabulary(table)
        return Vocabulary(table, space_prefix=True, notices=(METASPACE_NOTICE,))
    message = f"{folder} has no tokenizer.json or tokenizer.model"
    if (folder / "vocab.json").exists():
        hint = "AutoTokenizer.from_pretrained(folder).save_pretrained(folder) writes the first"
        raise JobError("UsageError", message, hint)
    raise JobError("UsageError", message, "copy the model's tokenizer there")


def _of_json(
    path: Path,
    size: int,
    added: list[AddedToken],
    architecture: str,
) -> Vocabulary:
    tokenizer = read_tokenizer(path)
    model: Json = tokenizer.get("model") or {}
    has_pieces = isinstance(model.get("vocab"), dict) and isinstance(model.get("merges"), list)
    kind = model.get("type", "BPE" if has_pieces else "nameless")
    if kind != "BPE":
        message = f"{path}: a {kind} tokenizer is not supported"
        raise JobError("UsageError", message, "BPE and SentencePiece's BPE are")
    check_bpe(model, path)
    check_numbers(tokenizer, path)
    check_code_llama(tokenizer, path.parent, architecture)
    own = class_named(path.parent, architecture)
    if own is not None:
        tokenizer = as_class_reads(tokenizer, own, path.parent)
        model = tokenizer["model"]
    if model.get("byte_fallback"):
        if reads_as_class(path.parent, architecture):
            tokenizer = with_its_spaces(tokenizer, path.parent, architecture)
        spaces = Spaces(tokenizer, path)
        pieces = ByteFallback(tokenizer, size, added, spaces, path)
        split = None if pieces.has_scores else RAW_SPLIT
        return Vocabulary(pieces.table, split, spaces.prefix, (spaces.notice,))
    notice = normalizer_notice(tokenizer, path)
    split = byte_level_split(tokenizer, path, added)
    table = byte_level_vocabulary(tokenizer, size, added)
    return Vocabulary(table, split, notices=(notice,))
