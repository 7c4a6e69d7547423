"""What was made from a model is listed with its check; other models' copies are not."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmops_cli.models.copies import copies_of
from llmops_cli.models.provenance import Made, record_beside, write_provenance
from llmops_cli.models.truth import FaultKind, failed
from llmops_cli.runtime.paths import cache_dir


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def made_from(digest: str) -> Made:
    wrong = failed(FaultKind.LOGITS_DIFFER, "KL 1.19")
    return Made(key="k", digest="d", size_bytes=1, source_digest=digest, check=wrong)


def test_copies_are_told_with_their_marks() -> None:
    file = cache_dir() / "quantized" / "abc" / "m-F16.gguf"
    folder = cache_dir() / "quantized" / "abc" / "m-int4"
    other = cache_dir() / "ct2" / "def"
    folder.mkdir(parents=True)
    other.parent.mkdir()
    write_provenance(record_beside(file), made_from("sha256:1"))
    write_provenance(folder / "llmops.json", made_from("sha256:1"))
    write_provenance(record_beside(other), made_from("sha256:2"))
    record_beside(file.with_name("broken.gguf")).write_bytes(b"\0")
    found = {copy.path: copy.check for copy in copies_of("sha256:1")}
    assert set(found) == {str(file), str(folder)}
    assert found[str(file)] == "FAILED beside the original: KL 1.19"
    assert copies_of(None) == []
