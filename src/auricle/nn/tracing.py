# SPDX-License-Identifier: Apache-2.0
"""Whether a module runs for real or is being traced for export."""

from __future__ import annotations

import torch


def tracing() -> bool:
    """Return True while torch traces: shapes are symbols then, and layout hints would end up in the graph."""
    return bool(torch._C._get_tracing_state())
