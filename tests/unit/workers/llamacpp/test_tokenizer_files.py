"""Files that no tokenizer wrote are refused, and the right chat template is taken."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("gguf", reason="gguf is not installed")

import gguf

from _shared.protocol import JobError
from llamacpp.added_numbers import check_numbers
from llamacpp.added_tokens import AddedToken, added_tokens, overlay
from llamacpp.bpe_model import check_bpe
from llamacpp.chat_template import chat_template_of
from llamacpp.token_table import TokenTable
from llamacpp.tokenizer_files import read_if_there
from llamacpp.tokenizer_form import check_switches, read_tokenizer

PATH = Path("tokenizer.json")
EOS_FIRST = {2: "</s>", 3: "<x>"}
NAMED = [{"name": "default", "template": "A"}, {"name": "tool_use", "template": "B"}]


@pytest.mark.parametrize("merges", [["a b"], [["a", "b"]], []], ids=str)
def test_both_forms_of_merges_are_known(merges: list[Any]) -> None:
    check_bpe({"vocab": {"a": 0, "b": 1, "ab": 5}, "merges": merges}, PATH)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"vocab": {"a": "0"}}, "number of piece 'a' is '0'"),
        ({"vocab": {"a": -1}}, "number of piece 'a' is -1"),
        ({"vocab": {"a": True}}, "number of piece 'a' is True"),
        ({"vocab": {"a": 3, "b": 3}}, "pieces 'a' and 'b' are both 3"),
        ({"vocab": ["a"]}, "no pieces"),
        ({"merges": None}, "no merges"),
        ({"merges": [5]}, "a merge is 5"),
        ({"merges": ["ab"]}, "a merge is 'ab'"),
        ({"merges": [["a", "b", "c"]]}, "a merge is"),
    ],
    ids=str,
)
def test_a_model_that_is_none_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(JobError, match=message):
        check_bpe({"vocab": {"a": 0}, "merges": [], **change}, PATH)


def write(folder: Path, name: str, content: object) -> None:
    (folder / name).write_text(json.dumps(content))


@pytest.mark.parametrize(
    "entry",
    [{"id": -1, "content": "<a>"}, {"id": "x", "content": "<a>"}, {"id": 5}, {"content": "<a>"}],
    ids=str,
)
def test_an_added_token_without_text_or_number_is_refused(
    tmp_path: Path, entry: dict[str, Any]
) -> None:
    write(tmp_path, "tokenizer.json", {"added_tokens": [entry]})
    with pytest.raises(JobError, match="an added token is"):
        added_tokens(tmp_path)


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"model": ["BPE"]}, "model"),
        ({"added_tokens": ["<a>"]}, "added_tokens"),
        ({"added_tokens": {"<a>": 5}}, "added_tokens"),
        ({"normalizer": "NFC"}, "normalizer"),
        ({"normalizer": {"type": "Replace", "pattern": " "}}, "normalizer"),
        ({"pre_tokenizer": ["ByteLevel"]}, "pre_tokenizer"),
        ({"pre_tokenizer": {"pretokenizers": "ByteLevel"}}, "pre_tokenizer"),
        ({"pre_tokenizer": {"pretokenizers": [{"type": "Split"}]}}, "pre_tokenizer"),
        ({"post_processor": {"type": "TemplateProcessing"}}, "post_processor"),
        ({"post_processor": {"type": "TemplateProcessing", "single": "$A"}}, "post_processor"),
        (
            {"post_processor": {"processors": [{"type": "TemplateProcessing", "single": [{}]}]}},
            "post_processor",
        ),
    ],
    ids=str,
)
def test_a_part_of_another_form_is_refused_by_name(
    tmp_path: Path, change: dict[str, Any], part: str
) -> None:
    write(tmp_path, "tokenizer.json", {"model": {"vocab": {}, "merges": []}, **change})
    with pytest.raises(JobError, match=f"its {part} is not as tokenizers write it"):
        added_tokens(tmp_path)


@pytest.mark.parametrize("decoder", [["<a>"], {"5": "<a>"}, "<a>"], ids=str)
def test_a_list_of_added_tokens_of_another_form_is_refused(tmp_path: Path, decoder: object) -> None:
    write(tmp_path, "tokenizer_config.json", {"added_tokens_decoder": decoder})
    with pytest.raises(JobError, match="no object of tokens by number"):
        added_tokens(tmp_path)


def test_an_added_token_of_no_text_is_never_found(tmp_path: Path) -> None:
    write(tmp_path, "tokenizer_config.json", {"added_tokens_decoder": {"7": {"content": ""}}})
    assert added_tokens(tmp_path) == []
    write(tmp_path, "tokenizer_config.json", {"added_tokens_decoder": {"x": {"content": "<a>"}}})
    with pytest.raises(JobError, match="number 'x'"):
        added_tokens(tmp_path)


def test_a_template_of_its_own_file_goes_before_the_field(tmp_path: Path) -> None:
    assert chat_template_of(tmp_path) is None
    write(tmp_path, "chat_template.json", {"chat_template": "old"})
    assert chat_template_of(tmp_path) == "old"
    write(tmp_path, "tokenizer_config.json", {"chat_template": "field"})
    assert chat_template_of(tmp_path) == "field"
    (tmp_path / "chat_template.jinja").write_text("file")
    assert chat_template_of(tmp_path) == "file"
    more = tmp_path / "additional_chat_templates"
    more.mkdir()
    (more / "tool_use.jinja").write_text("tools")
    assert chat_template_of(tmp_path) == [
        {"name": "default", "template": "file"},
        {"name": "tool_use", "template": "tools"},
    ]


@pytest.mark.parametrize(
    ("told", "found"),
    [(NAMED, NAMED), (NAMED[:1], "A"), (None, None), ("", "")],
    ids=str,
)
def test_templates_in_the_field(tmp_path: Path, told: object, found: object) -> None:
    write(tmp_path, "tokenizer_config.json", {"chat_template": told})
    assert chat_template_of(tmp_path) == found


@pytest.mark.parametrize("told", [5, {"default": "A"}, [], [{"name": "default"}], ["A"]], ids=str)
def test_a_field_that_holds_no_template_is_refused(tmp_path: Path, told: object) -> None:
    write(tmp_path, "tokenizer_config.json", {"chat_template": told})
    with pytest.raises(JobError, match="neither a text nor a list"):
        chat_template_of(tmp_path)


def test_a_file_that_is_no_utf8_is_refused(tmp_path: Path) -> None:
    (tmp_path / "chat_template.jinja").write_bytes(b"\xe9")
    with pytest.raises(JobError, match="cannot be read as UTF-8"):
        chat_template_of(tmp_path)


PIECES = {"a": 0, "b": 1, "ab": 2, "c": 3}


@pytest.mark.parametrize(
    ("added", "message"),
    [
        ([(2, "ab"), (4, "<x>"), (5, "<y>")], ""),
        ([(4, "<x>"), (4, "<x>"), (3, "c"), (9, "")], ""),
        ([(2, "<x>")], "'<x>' is said to be 2, which is piece 'ab'; Transformers makes it 4"),
        ([(7, "<x>")], "'<x>' is said to be 7; Transformers makes it 4"),
        ([(4, "<x>"), (4, "<y>")], "'<y>' is said to be 4; Transformers makes it 5"),
        ([(2, "c")], "'c' is said to be 2, which is piece 'ab'; Transformers makes it 3"),
        ([(5, "<y>"), (4, "<x>")], "'<y>' is said to be 5; Transformers makes it 4"),
    ],
    ids=["right", "twice", "taken", "hole", "same", "known", "order"],
)
def test_numbers_are_those_that_tokenizers_gives(
    added: list[tuple[int, str]], message: str
) -> None:
    entries = [{"id": number, "content": text} for number, text in added]
    tokenizer = {"model": {"vocab": PIECES}, "added_tokens": entries}
    if message:
        with pytest.raises(JobError, match=message):
            check_numbers(tokenizer, PATH)
    else:
        check_numbers(tokenizer, PATH)
    assert given_by_tokenizers(entries) == (not message)


def given_by_tokenizers(entries: list[dict[str, Any]]) -> bool:
    """Whether the library itself leaves these numbers as they are."""
    from tokenizers import Tokenizer, models

    plain = json.loads(Tokenizer(models.BPE(PIECES, [("a", "b")])).to_str())
    whole = {**dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)}
    plain["added_tokens"] = [{**whole, "special": True, **entry} for entry in entries]
    made = Tokenizer.from_str(json.dumps(plain))
    return all(made.token_to_id(each["content"]) in (each["id"], None) for each in entries)


def test_an_added_token_on_the_number_of_a_piece_is_refused() -> None:
    table = TokenTable(2)
    table.set(0, "a", gguf.TokenType.NORMAL)
    overlay(table, [AddedToken(0, "a", special=True), AddedToken(1, "<x>")])
    assert table.tokens == ["a", "<x>"]
    with pytest.raises(JobError, match="'<y>' has number 0, which is 'a'"):
        overlay(table, [AddedToken(0, "<y>")])


ALL_THREE = {0: "a", 1: "b", 2: "<x>"}


@pytest.mark.parametrize(
    ("config", "old_map", "expected"),
    [
        ({"pad_token": "[PAD]"}, {}, {2: "[PAD]"}),
        ({"pad_token": "a", "additional_special_tokens": ["b", "<x>"]}, {}, ALL_THREE),
        ({"extra_special_tokens": {"image_token": "<x>"}, "eos_token": "</s>"}, {}, EOS_FIRST),
        ({"pad_token": "a"}, {"pad_token": "[PAD]"}, {2: "[PAD]"}),
        ({"pad_token": "a", "added_tokens_decoder": {}}, {"pad_token": "[PAD]"}, {0: "a"}),
        ({"image_token": "<x>", "pad_token": "b"}, {}, {1: "b", 2: "<x>"}),
        ({}, {"image_token": "<x>"}, {2: "<x>"}),
    ],
    ids=str,
)
def test_special_tokens_that_are_named_alone_have_their_piece_or_the_next_number(
    tmp_path: Path, config: dict[str, Any], old_map: dict[str, Any], expected: dict[int, str]
) -> None:
    tokenizer = {"model": {"type": "BPE", "vocab": {"a": 0, "b": 1}, "merges": []}}
    (tmp_path / "tokenizer.json").write_text(json.dumps(tokenizer))
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    (tmp_path / "special_tokens_map.json").write_text(json.dumps(old_map))
    found = added_tokens(tmp_path)
    assert {token.number: token.text for token in found} == expected
    assert all(token.special for token in found)


@pytest.mark.parametrize("file", ["generation_config.json", "tokenizer_config.json"])
@pytest.mark.parametrize("value", [[], [["a", "b"]], "text", None, 3], ids=str)
def test_a_file_that_holds_no_object_is_refused(tmp_path: Path, file: str, value: object) -> None:
    (tmp_path / file).write_text(json.dumps(value))
    with pytest.raises(JobError, match=f"{file} holds a .* and no object"):
        read_if_there(tmp_path / file)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"bos_token": 3}, "bos_token is 3, not a text"),
        ({"pad_token": []}, r"pad_token is \[\], not a text"),
        ({"additional_special_tokens": 3}, "special tokens are 3, no list"),
        ({"extra_special_tokens": [1]}, "extra_special_tokens is 1, not a text"),
        ({"added_tokens_decoder": []}, "added_tokens_decoder is no object"),
        ({"added_tokens_decoder": {"0": {"content": "a", "lstrip": 1}}}, "lstrip of added token"),
        ({"added_tokens_decoder": {"7": {"content": "<x>"}}}, "'<x>' is said to be 7"),
    ],
    ids=str,
)
def test_names_of_another_kind_are_refused(
    tmp_path: Path, config: dict[str, Any], message: str
) -> None:
    tokenizer = {"model": {"type": "BPE", "vocab": {"a": 0, "b": 1}, "merges": []}}
    (tmp_path / "tokenizer.json").write_text(json.dumps(tokenizer))
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    with pytest.raises(JobError, match=message):
        added_tokens(tmp_path)


def test_what_tokenizer_config_says_of_a_token_goes_before_tokenizer_json(tmp_path: Path) -> None:
    plain = {"id": 2, "content": "<x>", "normalized": False, "special": False}
    tokenizer = {"model": {"type": "BPE", "vocab": {"a": 0, "b": 1}}, "added_tokens": [plain]}
    (tmp_path / "tokenizer.json").write_text(json.dumps(tokenizer))
    told = {"2": {"content": "<x>", "rstrip": True}}
    config = {"added_tokens_decoder": told}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    (token,) = added_tokens(tmp_path)
    assert token.strips == ("rstrip",)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"split_special_tokens": True}, "takes special tokens whole"),
        ({"split_special_tokens": "no"}, "split_special_tokens is 'no'"),
        ({"model_max_length": "512"}, "model_max_length '512'"),
    ],
    ids=str,
)
def test_switches_that_llama_cpp_has_not_are_refused(
    tmp_path: Path, config: dict[str, Any], message: str
) -> None:
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    with pytest.raises(JobError, match=message):
        check_switches(tmp_path)


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("version", "2.0"),
        ("truncation", [1]),
        ("padding", "x"),
        ("added_tokens", None),
        ("normalizer", {}),
        ("post_processor", {"type": "TemplateProcessing", "single": [], "special_tokens": None}),
    ],
)
def test_more_parts_of_another_form_are_refused(tmp_path: Path, part: str, value: object) -> None:
    (tmp_path / "tokenizer.json").write_text(json.dumps({part: value}))
    with pytest.raises(JobError, match=f"its {part} is not as tokenizers write it"):
        read_tokenizer(tmp_path / "tokenizer.json")
