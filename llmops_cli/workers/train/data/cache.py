"""What lies in the cache of indexes and tokens goes when nobody has used it for long."""

import os
import shutil
import time
from pathlib import Path

UNUSED_S = 30 * 24 * 3600
"""An index of any file is made anew in seconds a gigabyte."""


def used(folder: Path) -> None:
    """Its age begins anew."""
    os.utime(folder)


def prune(cache: Path) -> list[str]:
    """Names of what was removed. Two runs may do it at once; a run that maps a file keeps it."""
    removed = []
    oldest_s = time.time() - UNUSED_S
    for path in sorted(cache.iterdir()):
        try:
            is_old = path.is_dir() and path.stat().st_mtime < oldest_s
        except OSError:  # another run was here
            continue
        if is_old:
            shutil.rmtree(path, ignore_errors=True)
            removed.append(path.name)
    return removed
