"""Workers import one another by their own names, as when they run."""

from __future__ import annotations

import sys

from llmops_cli.runtime.paths import WORKERS

sys.path.insert(0, str(WORKERS))
