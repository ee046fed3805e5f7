# SPDX-License-Identifier: Apache-2.0
"""Where and with what a figure was measured, and how to measure on one thread."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = ("numpy", "onnxruntime", "torch", "soundfile", "soxr", "librosa", "kaldi_native_fbank", "transformers")
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


def describe() -> dict[str, str | int | float]:
    """Return the machine, the versions, the commit, the time, and how busy the machine was."""
    facts: dict[str, str | int | float] = {
        "cpu": cpu_name(),
        "cores": os.cpu_count() or 0,
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        **{name: found for name in PACKAGES if (found := version(name)) is not None},
        "commit": commit(),
        "date": datetime.now(UTC).isoformat(timespec="minutes"),
        "load": round(os.getloadavg()[0], 2),
    }
    return facts


def cpu_name() -> str:
    """Return the name of the processor, or of its architecture where the system does not tell."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def version(package: str) -> str | None:
    """Return the version of an installed package, or None."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def commit() -> str:
    """Return the commit of this checkout, with ``+`` where files differ from it."""

    def git(*words: str) -> str:
        return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()

    try:
        changed = git("status", "--porcelain", "--untracked-files=no")
        return git("rev-parse", "--short=12", "HEAD") + ("+" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def one_thread(module: str) -> None:
    """Start this script again with one thread for each numeric library, unless that is so already.

    The libraries read these variables when they are imported, so they cannot be set later.
    """
    if any(os.environ.get(name) != "1" for name in THREAD_VARIABLES):
        environment = {**os.environ, **dict.fromkeys(THREAD_VARIABLES, "1")}
        os.execve(sys.executable, [sys.executable, "-m", module, *sys.argv[1:]], environment)
