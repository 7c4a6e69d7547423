"""Runs in a pod before its engine: a model's files, each with the digest that it had when rendered.

Standard library only. A file that is there already is checked and kept.
"""

import hashlib
import json
import sys
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

PIECE = 1 << 20
TIMEOUT_S = 60


def digest_of(path: Path) -> str:
    whole = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            whole.update(piece)
    return whole.hexdigest()


def fetch(url: str, target: Path, row: dict[str, Any]) -> None:  # Any: JSON
    if target.exists() and digest_of(target) == row["sha256"]:
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(target.name + ".partial")
    whole = hashlib.sha256()
    with urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer, partial.open("wb") as file:
        while piece := answer.read(PIECE):
            whole.update(piece)
            file.write(piece)
    if whole.hexdigest() != row["sha256"]:
        partial.unlink()
        sys.exit(f"{url} has another digest: {whole.hexdigest()}, not {row['sha256']}")
    partial.rename(target)


def main() -> None:
    listed, source, folder = sys.argv[1:]
    for row in json.loads(Path(listed).read_text(encoding="utf-8")):
        url = f"{source.rstrip('/')}/{urllib.parse.quote(row['name'])}"
        fetch(url, Path(folder) / row["name"], row)
        print(f"{row['name']}: {row['size']} bytes, sha256 {row['sha256']}", flush=True)


if __name__ == "__main__":
    main()
