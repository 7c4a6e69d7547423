"""The folder that is rendered into: ours are the files whose digests its list has.

What others have put there stays, and so does what they have changed, unless they say otherwise.
"""

from __future__ import annotations

import hashlib
import re
import tempfile
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from pathlib import Path

import msgspec

from llmops_cli.core.errors import UsageError
from llmops_cli.runtime.files import cannot_write, locked, make_folder, to_json, write_atomic

LIST = ".llmops-deploy.json"
LOCK = f".{LIST}.lock"
HALF = re.compile(r"\.(.+)\.\d+\.tmp")
"""As `write_atomic` calls it."""
SHOWN = 8


Known = Mapping[str, AbstractSet[str]]
"""Path below the folder -> digests of what we have written there."""


class WrittenFiles(msgspec.Struct, frozen=True, kw_only=True):
    """Path below the folder -> sha256 of what was rendered.

    `begun`: of what a rendering that has not ended may have written.
    """

    schema: str = "llmops.deploy-files/1"
    files: dict[str, str] = {}
    begun: dict[str, list[str]] = {}

    def known(self) -> Known:
        found = {name: {digest} for name, digest in self.files.items()}
        for name, digests in self.begun.items():
            found.setdefault(name, set()).update(digests)
        return found


class Written(msgspec.Struct, frozen=True, kw_only=True):
    written: tuple[str, ...]
    unchanged: int
    removed: tuple[str, ...]
    kept: tuple[str, ...]


def digest_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def write_rendered(folder: Path, files: Mapping[str, bytes], *, force: bool) -> Written:
    """`force`: also over files that somebody has changed or made.

    Another rendering into the same folder has its turn after this one. One that breaks off is gone
    on with by the next.
    Raises: UsageError naming those files, before anything is written; EnvironmentMissing.
    """
    make_folder(folder)
    _require_writable(folder)
    with locked(folder / LIST):
        return _write(folder, files, force=force)


def _write(folder: Path, files: Mapping[str, bytes], *, force: bool) -> Written:
    listed = _read_list(folder, force=force)
    before = listed.known()
    _refuse_in_the_way(folder, files)
    _remove_halves(folder, {*files, *before, LIST})
    kept = tuple(sorted(_foreign(folder, files, before)))
    changed = [] if force else _changed(folder, files, before)
    if changed:
        raise _changed_by_hand(folder, changed)
    _begin(folder, files, listed)
    written = []
    for name, content in files.items():
        path = folder / name
        if _content(path) != content:
            write_atomic(path, content)
            written.append(name)
    removed = _remove_old(folder, files, before)
    digests = {name: digest_of(content) for name, content in sorted(files.items())}
    write_atomic(folder / LIST, to_json(WrittenFiles(files=digests)))
    return Written(
        written=tuple(written),
        unchanged=len(files) - len(written),
        removed=tuple(removed),
        kept=kept,
    )


def _begin(folder: Path, files: Mapping[str, bytes], listed: WrittenFiles) -> None:
    """Says what is going to be ours: a full disk must not make half of it somebody's."""
    new = {name: digest_of(content) for name, content in files.items()}
    if new == listed.files and not listed.begun:
        return
    begun = {name: list(digests) for name, digests in listed.begun.items()}
    for name, digest in new.items():
        begun[name] = sorted({*begun.get(name, ()), digest})
    write_atomic(folder / LIST, to_json(msgspec.structs.replace(listed, begun=begun)))


def _remove_halves(folder: Path, names: AbstractSet[str]) -> None:
    """What a rendering that was killed had not put in its place."""
    for path in folder.rglob(".*.tmp"):
        half = HALF.fullmatch(path.name)
        if half is not None and path.is_file():
            name = path.with_name(half[1]).relative_to(folder).as_posix()
            if name in names:
                path.unlink()


def _read_list(folder: Path, *, force: bool) -> WrittenFiles:
    """Raises: UsageError for a list that is none: everything would be taken for somebody's."""
    try:
        raw = (folder / LIST).read_bytes()
    except OSError:
        return WrittenFiles()
    with suppress(msgspec.DecodeError):
        found = msgspec.json.decode(raw, type=WrittenFiles)
        if all(_is_below(folder, name) for name in found.known()):
            return found
    if force:
        return WrittenFiles()
    raise UsageError(
        f"{folder / LIST} is damaged, so nobody can say which files are ours",
        hint="--force writes over them, or choose another -o",
    )


def _is_below(folder: Path, name: str) -> bool:
    """A list comes with its folder, from wherever that was copied; it names nothing outside."""
    return _leads_below(folder, (folder / name).parent)


def _leads_below(folder: Path, path: Path) -> bool:
    """Through whatever links."""
    try:
        return path.resolve().is_relative_to(folder.resolve())
    except (OSError, ValueError, RuntimeError):
        return False


def _refuse_in_the_way(folder: Path, files: Mapping[str, bytes]) -> None:
    """Raises: UsageError for a folder where a file of ours would be, and the other way round.

    So does a link out of the folder: what it leads to is somebody else's, with `--force` too.
    """
    for name in files:
        path = folder / name
        if not _is_below(folder, name) or (path.is_symlink() and not _leads_below(folder, path)):
            raise UsageError(f"{path} leads out of {folder}", hint="choose another -o")
        if path.is_dir():
            raise UsageError(f"{path} is a folder, and would be a file", hint="choose another -o")
        for above in path.relative_to(folder).parents:
            place = folder / above
            if place.exists() and not place.is_dir():
                raise UsageError(f"{place} is a file, and would be a folder", hint="another -o")


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None


def _changed(folder: Path, files: Mapping[str, bytes], before: Known) -> list[str]:
    """What stands where we would write or remove, and is not what we wrote."""
    found = []
    for name in sorted({*files, *before}):
        content = _content(folder / name)
        if content is None or content == files.get(name):
            continue
        if digest_of(content) not in before.get(name, ()):
            found.append(name)
    return found


def _changed_by_hand(folder: Path, changed: list[str]) -> UsageError:
    return UsageError(
        f"{folder} has files that were changed by hand: {first_of(changed)}",
        hint="--force writes over them; llmops deploy diff shows what would change",
    )


def first_of(names: Sequence[str]) -> str:
    """Some of them in a line, and how many more there are."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def _foreign(
    folder: Path,
    files: Mapping[str, bytes],
    before: Known,
) -> list[str]:
    found = []
    for path in folder.rglob("*"):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and name not in {LIST, LOCK} and name not in {*files, *before}:
            found.append(name)
    return found


def _require_writable(folder: Path) -> None:
    try:
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise cannot_write(folder, error) from error


def _remove_old(
    folder: Path,
    files: Mapping[str, bytes],
    before: Known,
) -> list[str]:
    """What was ours and is rendered no more."""
    found = []
    for name in sorted(before):
        path = folder / name
        if name not in files and path.is_file():
            path.unlink()
            found.append(name)
    return found
