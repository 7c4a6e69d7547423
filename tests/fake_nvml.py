"""A driver of NVIDIA's that is played: two cards, of which the second does not tell its power.

`FAKE_NVML_HANGS=1` in the environment: it tells everything once and never answers again.
`FAKE_NVML_UNREADY=FILE`: it cannot be used while that file exists. `FAKE_NVML_LOST=FILE`: while it
does, the first card is lost.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

SOURCE = r"""
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
static int asked = 0;
static int is_there(const char *name) {
    const char *path = getenv(name);
    return path && !access(path, F_OK);
}
int nvmlInit_v2(void) { return is_there("FAKE_NVML_UNREADY") ? 9 : 0; }
int nvmlInitWithFlags(unsigned flags) { return nvmlInit_v2(); }
int nvmlDeviceGetCount_v2(unsigned *count) { *count = 2; return 0; }
int nvmlDeviceGetHandleByIndex_v2(unsigned number, void **card) {
    if (number == 0 && is_there("FAKE_NVML_LOST")) return 15;
    *card = (void *)(unsigned long)(number + 1);
    return 0;
}
int nvmlDeviceGetUtilizationRates(void *card, unsigned *rates) {
    if (getenv("FAKE_NVML_HANGS") && ++asked > 2) sleep(60);
    rates[0] = 39 + (unsigned long)card;
    rates[1] = 7;
    return 0;
}
int nvmlDeviceGetMemoryInfo(void *card, unsigned long long *memory) {
    memory[0] = 1ULL << 32;
    memory[1] = 3ULL << 30;
    memory[2] = 1ULL << 30;
    return 0;
}
int nvmlDeviceGetTemperature(void *card, int kind, unsigned *celsius) {
    *celsius = 61;
    return kind;
}
int nvmlDeviceGetPowerUsage(void *card, unsigned *milliwatts) {
    if (card != (void *)1) return 3;
    *milliwatts = 250000;
    return 0;
}
int nvmlDeviceGetUUID(void *card, char *text, unsigned size) {
    strncpy(text, card == (void *)1 ? "GPU-0" : "GPU-1", size);
    return 0;
}
int nvmlDeviceGetName(void *card, char *text, unsigned size) {
    strncpy(text, "H200", size);
    return 0;
}
"""


def library_folder(folder: Path) -> Path:
    """For LD_LIBRARY_PATH."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("a C compiler is missing: apt-get install gcc")
    source = folder / "nvml.c"
    source.write_text(SOURCE)
    argv = [compiler, "-shared", "-fPIC", "-o", str(folder / "libnvidia-ml.so.1"), str(source)]
    subprocess.run(argv, check=True, timeout=60)
    return folder
