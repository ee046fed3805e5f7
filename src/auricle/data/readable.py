# SPDX-License-Identifier: Apache-2.0
"""Which clips of a data set can be read: figures are over those, and the others are named and counted."""

from __future__ import annotations

from collections.abc import Callable

from auricle.data.clip_audio import read_clip
from auricle.data.manifest import Manifest
from auricle.errors import InputError
from auricle.results import Failure

#: Called for each clip that cannot be read: its key, and why.
OnFailure = Callable[[str, Failure], object]


def keep_readable(manifest: Manifest, on_failure: OnFailure) -> Manifest:
    """Return the clips that can be decoded to their end.

    Args:
        manifest: clips of recordings; each is decoded once.
        on_failure: is called for the others.

    Raises:
        InputError: none can be read; this is the first one's reason.
    """
    kept, first = [], None
    for i, clip in enumerate(manifest.clips):
        try:
            read_clip(clip, manifest.arrays)
        except InputError as error:
            first = error if first is None else first
            on_failure(clip.key, Failure(error.code, error.message))
        else:
            kept.append(i)
    if not kept and first is not None:
        raise first
    return manifest if first is None else manifest.select(kept)
