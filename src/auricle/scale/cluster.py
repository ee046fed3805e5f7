# SPDX-License-Identifier: Apache-2.0
"""A Ray cluster to work on: the one that ``RAY_ADDRESS`` names, or one of this machine that lasts as long as the work.

Ray is imported here and in the functions that need it, nowhere at import.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from auricle.processors import usable_processors

#: Variables that workers need as they are here, where they are set.
_PASSED_ON = ("AURICLE_CACHE", "XDG_CACHE_HOME")


@contextmanager
def joined_cluster(jobs: int) -> Iterator[Any]:
    """Join the cluster and give the module ``ray``; a cluster of this machine has a processor for each of ``jobs``."""
    # Read when Ray is imported: nothing is sent home, and workers without a GPU see what this process sees.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    import ray  # noqa: PLC0415 (the extra `scale`)

    if ray.is_initialized():  # by the caller, whose cluster it is
        yield ray
        return
    size: dict[str, Any] = {} if os.environ.get("RAY_ADDRESS") else {"num_cpus": max(jobs, usable_processors())}
    ray.init(
        include_dashboard=None if os.environ.get("RAY_ADDRESS") else False,
        logging_level=logging.ERROR,
        log_to_driver=False,
        runtime_env={"env_vars": {name: os.environ[name] for name in _PASSED_ON if name in os.environ}},
        **size,
    )
    try:
        yield ray
    finally:
        ray.shutdown()
