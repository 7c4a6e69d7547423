"""What nobody has used for long goes from the cache; what was used stays."""

from __future__ import annotations

import os
import time
from pathlib import Path

from train.data.cache import UNUSED_S, prune, used


def test_old_folders_go_and_used_ones_stay(tmp_path: Path) -> None:
    old_s = time.time() - 2 * UNUSED_S
    for name in ("old", "tokens-old", "again", "new"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "index.json").write_text("{}")
        if name != "new":
            os.utime(folder, (old_s, old_s))
    (tmp_path / "old.lock").touch()
    used(tmp_path / "again")
    assert prune(tmp_path) == ["old", "tokens-old"]
    assert {path.name for path in tmp_path.iterdir()} == {"again", "new", "old.lock"}
