# SPDX-License-Identifier: Apache-2.0
"""How many processors there are for this process: in a container, fewer than the machine has."""

from __future__ import annotations

import os


def usable_processors() -> int:
    """Return how many processors this process may use; 1 where nobody can tell."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS and Windows
        return len(os.sched_getaffinity(0))
    count = os.cpu_count()
    return 1 if count is None else count
