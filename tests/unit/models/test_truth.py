"""What a comparison's figures come to: a limit by type, faults by kind, and what an error says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from llmops_cli.core.artifact import Artifact
from llmops_cli.core.errors import EngineFailed
from llmops_cli.models.checked import NO_CHECK, Check, require_true, truth_of
from llmops_cli.models.compared import Copy, compared, judged
from llmops_cli.models.provenance import Made, note_check, write_provenance
from llmops_cli.models.truth import FaultKind, Outcome, Truth, failed, unchecked
from llmops_cli.models.truth_limits import LEAST_NATS, bits_of, limit_nats
from tests.unit.heard import Heard

SOURCE = Artifact(reference="m", format="hf", path="/nowhere", digest="sha256:11")
MADE = Made(key="k", digest="d", size_bytes=1)


def copy_of(scheme: str, **more: Any) -> Copy:
    return Copy(original=SOURCE, path=Path("m.gguf"), format="gguf", scheme=scheme, **more)


def figures(**changed: Any) -> dict[str, Any]:
    found = {
        "kl_divergence": 1e-6,
        "known_nats": 8.0,
        "scored": 256,
        "top1_agreement": 1.0,
        "texts": 60,
        "texts_different": 0,
        "texts_composed": 0,
        "texts_known": 0,
        "examples": [],
        "cpu_s": 2.0,
        "peak_rss_bytes": 1,
    }
    return {**found, **changed}


def kinds(truth: Truth) -> list[FaultKind]:
    return [fault.kind for fault in truth.faults]


def test_a_wrong_conversion_is_found_by_its_logits_and_a_lossy_type_by_its_loss() -> None:
    right = judged(copy_of("F16"), figures(), reference="t")
    assert right.outcome is Outcome.PASSED
    wrong = judged(copy_of("F16"), figures(kl_divergence=1.19), reference="t")
    assert kinds(wrong) == [FaultKind.LOGITS_DIFFER]
    assert judged(copy_of("Q4_K_M"), figures(kl_divergence=0.05), reference="t").faults == []
    lossy = judged(copy_of("Q4_K_M"), figures(kl_divergence=7.9), reference="t")
    assert kinds(lossy) == [FaultKind.LOST_TOO_MUCH]


def test_a_copy_of_which_no_token_was_compared_is_not_right() -> None:
    silent = judged(copy_of("F16"), figures(scored=0, kl_divergence=0.0), reference="t")
    assert silent.outcome is Outcome.UNCHECKED
    assert "too short" in silent.reason
    example = {"text": "a", "original": [1], "copy": [2]}
    cut = figures(scored=0, texts_different=1, examples=[example])
    assert kinds(judged(copy_of("F16"), cut, reference="t")) == [FaultKind.TOKENS_DIFFER]


def test_one_text_that_is_cut_otherwise_is_a_fault_with_its_example() -> None:
    example = {"text": "a  b", "original": [1, 2], "copy": [1, 3]}
    found = judged(copy_of("F16"), figures(texts_different=1, examples=[example]), reference="t")
    assert kinds(found) == [FaultKind.TOKENS_DIFFER]
    assert "1 of 60 texts" in found.faults[0].text
    assert "'a  b'" in found.faults[0].text


def test_an_encoder_may_cut_a_few_texts_otherwise() -> None:
    example = {"text": "a", "original": [1], "copy": [2]}
    copy = copy_of("F16", makes_vectors=True)
    few = figures(vector_distance=1e-6, texts_different=5, examples=[example])
    assert judged(copy, few, reference="t").outcome is Outcome.PASSED
    many = figures(vector_distance=1e-6, texts_different=20, examples=[example])
    assert kinds(judged(copy, many, reference="t")) == [FaultKind.TOKENS_DIFFER]
    far = figures(vector_distance=0.5)
    assert kinds(judged(copy, far, reference="t")) == [FaultKind.LOGITS_DIFFER]


def test_limits_grow_as_bits_fall_and_scale_with_what_the_original_knows() -> None:
    types = ["F32", "F16", "BF16", "Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M", "Q3_K_M", "Q2_K"]
    limits = [limit_nats(name, 8.0) for name in types]
    assert limits == sorted(limits)
    assert limit_nats("Q4_0", 4.0) == limit_nats("Q4_0", 8.0) / 2
    assert limit_nats("F32", 1e-3) == LEAST_NATS
    assert limit_nats("anything", 8.0, bits=8) == limit_nats("Q8_0", 8.0)


@pytest.mark.parametrize(
    ("scheme", "bits"),
    [
        ("Q4_K_M", 4),
        ("IQ2_XS", 2),
        ("W8A8", 8),
        ("NF4", 4),
        ("TQ1_0", 1),
        ("FP8", 8),
        ("odd", None),
    ],
)
def test_bits_are_in_the_name(scheme: str, bits: int | None) -> None:
    assert bits_of(scheme) == bits


def test_the_switch_leaves_it_out_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLMOPS_CHECK", "0")
    found = compared(copy_of("F16"), progress=Heard())
    assert found.outcome is Outcome.UNCHECKED
    assert "LLMOPS_CHECK=0" in str(found)
    wrong = failed(FaultKind.LOGITS_DIFFER, "far")
    require_true(Check(scheme="F16", format="gguf"), wrong, Path("m.gguf"))


def test_what_is_known_is_not_compared_again_and_no_check_is_kept_as_such() -> None:
    check = Check(scheme="F16", format="gguf", left_out=NO_CHECK)
    first = truth_of(check, SOURCE, Path("m"), MADE, progress=Heard())
    assert first == unchecked(NO_CHECK)
    wrong = failed(FaultKind.LOGITS_DIFFER, "far")
    known = msgspec.structs.replace(MADE, check=wrong)
    assert truth_of(check, SOURCE, Path("m"), known, progress=Heard()) == wrong


def test_a_wrong_copy_ends_the_command_where_nothing_may_be_lost() -> None:
    wrong = failed(FaultKind.LOGITS_DIFFER, "KL 1.19")
    with pytest.raises(EngineFailed, match=r"not the model that it was made from: KL 1\.19"):
        require_true(Check(scheme="F16", format="gguf"), wrong, Path("m.gguf"))
    require_true(Check(scheme="Q2_K", format="gguf", is_strict=False), wrong, Path("m.gguf"))


def test_a_note_leaves_all_else_in_the_record(tmp_path: Path) -> None:
    record = tmp_path / "m.gguf.json"
    write_provenance(record, MADE)
    record.write_bytes(record.read_bytes().replace(b'"key"', b'"extra": 1, "key"'))
    truth = failed(FaultKind.TOKENS_DIFFER, "one text")
    note_check(record, truth)
    fields = msgspec.json.decode(record.read_bytes())
    assert fields["extra"] == 1
    assert msgspec.convert(fields["check"], Truth) == truth
