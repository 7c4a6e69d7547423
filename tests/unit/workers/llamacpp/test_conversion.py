"""What decides how a model and its tokenizer are written: rope, splits, spaces, BOS, adapters."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("gguf", reason="gguf is not installed")

import gguf

from _shared.protocol import JobError
from llamacpp.added_tokens import AddedToken, name_for
from llamacpp.architectures import read_config
from llamacpp.byte_fallback import ByteFallback, Spaces
from llamacpp.context import context_of
from llamacpp.defaults import complete
from llamacpp.ends import ends_of
from llamacpp.lora import paired, scale_of
from llamacpp.lora import read_config as read_adapter
from llamacpp.notices import (
    BEYOND_WINDOW,
    COMPOSED,
    CONTEXT_CUT,
    END_LEFT_OUT,
    FIRST_SPACE,
    MATRIX_LACKS,
    ROPE_ROUNDED,
    TAKEN_AS_SPECIAL,
    TOKENS_LEFT_OUT,
)
from llamacpp.rope import rope_of
from llamacpp.sentencepiece_model import read_model
from llamacpp.splits import SPLITS, split_name
from llamacpp.taken_as_special import special_looking_notice
from llamacpp.token_table import TokenTable
from llmops_cli.models.notices import NoticeKind


def write(folder: Path, name: str, value: object) -> None:
    (folder / name).write_text(json.dumps(value))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({}, "architecture '(none)' has no GGUF converter"),
        ({"architectures": ["T5"]}, "architecture 'T5'"),
        ({"architectures": ["LlamaForCausalLM"], "quantization_config": {"a": 1}}, "already"),
    ],
)
def test_models_that_cannot_be_converted(tmp_path: Path, config: Any, message: str) -> None:
    write(tmp_path, "config.json", config)
    with pytest.raises(JobError) as caught:
        read_config(tmp_path)
    assert message in caught.value.message


def test_a_folder_without_a_config_and_one_with_a_broken_one(tmp_path: Path) -> None:
    with pytest.raises(JobError, match=r"has no config\.json"):
        read_config(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(JobError, match="is not JSON"):
        read_config(tmp_path)


def tokenizer(*steps: dict[str, Any], **model: Any) -> dict[str, Any]:
    return {"pre_tokenizer": {"pretokenizers": list(steps)}, "model": model}


BYTES = {"type": "ByteLevel", "use_regex": False}
DBRX = next(pattern for pattern, name in SPLITS.items() if name == "dbrx")


@pytest.mark.parametrize(
    ("given", "name"),
    [
        (tokenizer({"type": "ByteLevel"}), "gpt-2"),
        (tokenizer({"type": "Digits", "individual_digits": True}, {"type": "ByteLevel"}), "smollm"),
        (tokenizer({"type": "Split", "pattern": {"Regex": DBRX}}, BYTES), "dbrx"),
        (
            tokenizer({"type": "Split", "pattern": {"Regex": DBRX}}, BYTES, ignore_merges=True),
            "llama-bpe",
        ),
        (tokenizer(BYTES), None),
        (tokenizer({"type": "Digits"}, {"type": "ByteLevel"}), None),
        (tokenizer({"type": "Split", "pattern": {"Regex": "x"}}, BYTES), None),
        (tokenizer({"type": "Metaspace"}), None),
        ({"pre_tokenizer": None, "model": {}}, None),
    ],
)
def test_a_splitting_rule_has_its_name_or_is_refused(given: Any, name: str | None) -> None:
    path = Path("tokenizer.json")
    if name is None:
        with pytest.raises(JobError, match="no known name"):
            split_name(given, path)
    else:
        assert split_name(given, path) == name


PIECES = {f"<0x{value:02X}>": 10 + value for value in range(256)}
FALLBACK = {
    "model": {
        "vocab": {"<unk>": 0, "a": 1, "b": 2, "c": 3, "ab": 4, "abc": 5, **PIECES},
        "merges": [["a", "b"], "ab c"],
        "unk_token": "<unk>",
    },
    "normalizer": {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"},
}
PATH = Path("tokenizer.json")


def fallback(**change: Any) -> ByteFallback:
    """Of a vocabulary with six added tokens, the last beyond the model's."""
    added = [
        AddedToken(6, "<s>", special=True),
        AddedToken(7, "\u2581x", normalized=True),
        AddedToken(8, "\u2581y"),
        AddedToken(999, "outside"),
    ]
    tokenizer = {**FALLBACK, **change}
    return ByteFallback(tokenizer, 266, added, Spaces(tokenizer, PATH), PATH)


def test_scores_follow_the_merges_and_added_tokens_lie_over_them() -> None:
    pieces = fallback()
    table = pieces.table
    assert pieces.has_scores
    assert table.tokens[:10] == [
        "<unk>",
        "a",
        "b",
        "c",
        "ab",
        "abc",
        "<s>",
        " x",
        "\u2581y",
        "[PAD9]",
    ]
    assert table.types[:11] == [2, 1, 1, 1, 1, 1, 3, 4, 4, 5, 6]
    assert table.scores[3:6] == [-2.0, 0.0, -1.0]


def test_merges_that_follow_no_score_are_taken_as_merges_where_nothing_is_put_first() -> None:
    model = {**FALLBACK["model"], "vocab": {**FALLBACK["model"]["vocab"], "bc": 9}}
    assert not fallback(model=model).has_scores
    first = {"type": "Metaspace", "replacement": "\u2581", "split": False}
    with pytest.raises(JobError, match="one score each"):
        fallback(model=model, normalizer=None, pre_tokenizer=first)


def test_missing_bytes_and_pieces_across_words_are_refused() -> None:
    pieces = {text: number for text, number in FALLBACK["model"]["vocab"].items() if number != 20}
    with pytest.raises(JobError, match="byte tokens are missing: 1, such as <0x0A>"):
        fallback(model={**FALLBACK["model"], "vocab": pieces})
    pieces = {**FALLBACK["model"]["vocab"], "a\u2581": 9}
    words = {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "never"}
    with pytest.raises(JobError, match="across words"):
        fallback(model={**FALLBACK["model"], "vocab": pieces}, normalizer=None, pre_tokenizer=words)


NAMED = {"bos": "<s>", "eos": "</s>"}


def test_bos_and_eos_are_put_as_the_tokenizer_puts_them(tmp_path: Path) -> None:
    assert ends_of(tmp_path, NAMED) == (False, False, {})
    text = {"Sequence": {"id": "A"}}
    single = [{"SpecialToken": {"id": "<s>"}}, text, {"SpecialToken": {"id": "</s>"}}]
    numbers = {"<s>": {"ids": [1]}, "</s>": {"ids": [2]}}
    template = {"type": "TemplateProcessing", "single": single, "special_tokens": numbers}
    write(tmp_path, "tokenizer.json", {"post_processor": {"processors": [template]}})
    both = (True, True, {"bos": [1], "eos": [2]})
    assert ends_of(tmp_path, NAMED) == both
    with pytest.raises(JobError, match="it puts <s> around a text"):
        ends_of(tmp_path, {"bos": "<begin>", "eos": "</s>"})
    write(tmp_path, "tokenizer_config.json", {"add_bos_token": True})
    assert ends_of(tmp_path, NAMED) == both
    (tmp_path / "tokenizer.json").unlink()
    assert ends_of(tmp_path, NAMED) == (True, False, {})
    assert ends_of(tmp_path, {}) == (False, False, {})


@pytest.mark.parametrize(
    "single", [[], [{"Sequence": {"id": "B"}}], 2 * [{"Sequence": {"id": "A"}}]]
)
def test_a_template_that_does_not_put_the_text_once_is_refused(
    tmp_path: Path, single: list[Any]
) -> None:
    template = {"type": "TemplateProcessing", "single": single}
    write(tmp_path, "tokenizer.json", {"post_processor": template})
    with pytest.raises(JobError, match="does not put the text once"):
        ends_of(tmp_path, NAMED)


def test_pieces_that_llama_cpp_takes_for_special_tokens_are_told() -> None:
    table = table_of("</s>", "a")
    assert special_looking_notice(table) is None
    table.set(0, "</s>", gguf.TokenType.NORMAL)
    found = special_looking_notice(table)
    assert found is not None
    assert "takes </s> for special tokens" in found.text


def table_of(*texts: str) -> TokenTable:
    table = TokenTable(len(texts))
    for number, text in enumerate(texts):
        table.set(number, text, gguf.TokenType.CONTROL)
    return table


PHI3 = ("<unk>", "<s>", "</s>", "<|endoftext|>", "<|end|>")


@pytest.mark.parametrize(
    ("name", "stripping", "expected"),
    [
        ("My-Phi-3", (), "My-Phi_3"),
        ("phi3.5-mini", (), "phi_3.5-mini"),
        ("Modern-BERT", (), "Modern_BERT"),
        ("smollm", (), "smollm"),
        ("Phi-3-mini", ("</s>", "<|end|>"), "Phi-3-mini"),
        ("mine", ("</s>", "<|end|>"), "phi-3 mine"),
        ("mine", ("</s>",), None),
    ],
)
def test_a_name_makes_llama_cpp_strip_just_what_the_tokenizer_strips(
    name: str,
    stripping: tuple[str, ...],
    expected: str | None,
) -> None:
    table = table_of(*PHI3)
    tokens = [
        AddedToken(number, text, strips=("rstrip",) if text in stripping else ())
        for number, text in enumerate(PHI3)
    ]
    if expected is None:
        with pytest.raises(JobError, match="'</s>' has rstrip"):
            name_for(name, table, tokens)
    else:
        assert name_for(name, table, tokens) == expected


def test_a_text_that_two_tokens_have_is_refused_before_llama_cpp_ends() -> None:
    with pytest.raises(JobError, match="tokens 0 and 1 are both 'a'"):
        table_of("a", "a").check()
    table = TokenTable(2)
    table.set(0, "[PAD1]", gguf.TokenType.NORMAL)
    table.check()
    assert table.tokens[1] != "[PAD1]"


def test_a_file_that_is_no_sentencepiece_model_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.model"
    endless = b"\x0a" + b"\xff" * 4_000_000
    for content in (b"", b"\x0a\xff", b"version https://git-lfs", bytes(range(1, 200)), endless):
        path.write_bytes(content)
        with pytest.raises(JobError, match="is no SentencePiece model"):
            read_model(path)


def test_the_kinds_of_notices_are_those_that_reports_know() -> None:
    told = (
        *(CONTEXT_CUT, BEYOND_WINDOW, COMPOSED, END_LEFT_OUT, ROPE_ROUNDED),
        *(FIRST_SPACE, MATRIX_LACKS, TAKEN_AS_SPECIAL, TOKENS_LEFT_OUT),
    )
    assert {NoticeKind(kind) for kind in told} == set(NoticeKind)


def config_with(**given: Any) -> dict[str, Any]:
    return complete(given, "MistralForCausalLM")


def test_a_context_is_cut_to_the_window_and_the_flag_lifts_it() -> None:
    config = config_with(sliding_window=64, max_position_embeddings=512)
    rope = rope_of(config, gguf.MODEL_ARCH.LLAMA)
    cut = context_of(config, gguf.MODEL_ARCH.LLAMA, rope, beyond_window=False)
    assert cut.tokens == 64
    assert cut.notice is not None
    assert cut.notice.kind == NoticeKind.CONTEXT_CUT
    assert "from 512 tokens to 64" in cut.notice.text
    lifted = context_of(config, gguf.MODEL_ARCH.LLAMA, rope, beyond_window=True)
    assert lifted.tokens == 512
    assert lifted.notice is not None
    assert lifted.notice.kind == NoticeKind.BEYOND_WINDOW
    assert "differ from the original's beyond 64 tokens" in lifted.notice.text
    wide = config_with(sliding_window=512, max_position_embeddings=512)
    assert context_of(wide, gguf.MODEL_ARCH.LLAMA, rope, beyond_window=False) == (512, None)


def test_an_adapters_scale_is_pefts() -> None:
    config = {"lora_alpha": 8, "alpha_pattern": {"k_proj": 16}}
    assert scale_of(config, "layers.0.q_proj", 4) == 2.0
    assert scale_of(config, "layers.0.k_proj", 4) == 4.0
    assert scale_of({**config, "use_rslora": True}, "layers.0.q_proj", 4) == 4.0
    assert scale_of({"lora_alpha": None}, "layers.0.q_proj", 4) == 2.0
    assert scale_of({"lora_alpha": 0}, "layers.0.q_proj", 4) == 0.0


def test_folders_that_are_no_adapter_of_ours(tmp_path: Path) -> None:
    with pytest.raises(JobError, match="is no PEFT adapter"):
        read_adapter(tmp_path)
    write(tmp_path, "adapter_config.json", {"peft_type": "IA3"})
    with pytest.raises(JobError, match="is a IA3 adapter"):
        read_adapter(tmp_path)
    with pytest.raises(JobError, match=r"no adapter_model\.safetensors"):
        paired(tmp_path)
