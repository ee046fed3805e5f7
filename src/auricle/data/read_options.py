# SPDX-License-Identifier: Apache-2.0
"""What a caller may fix about the reading of a data set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

#: Share of listed files that may be absent before the data set is refused.
MAX_MISSING = 0.1


@dataclass(frozen=True)
class ReadOptions:
    """What a caller may fix about the reading of a data set.

    Attributes:
        task: ``auto`` looks at the labels.
        labels: the only classes allowed, in this order; None takes those found, sorted.
        encoding: of tables; UTF-8 if None.
        delimiter: of tables; the header decides if None.
        label_column: of tables and label files; None takes the one that is called as if it named the classes.
        sample_rate: of ``.npy`` waveforms that no ``features.json`` describes, in Hz.
        frontend: front end of the model that is to read log-mels; theirs must match it.
        follow_links: also take files that symbolic links in class folders lead to outside the root.
        max_missing: share of listed files that may be absent.
        named: the caller named the format: names are taken as they are.
    """

    task: str = "auto"
    labels: tuple[str, ...] | None = None
    encoding: str | None = None
    delimiter: str | None = None
    label_column: str | None = None
    sample_rate: int | None = None
    frontend: Mapping[str, Any] | None = None
    follow_links: bool = False
    max_missing: float = MAX_MISSING
    named: bool = False
