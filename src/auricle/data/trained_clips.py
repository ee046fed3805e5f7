# SPDX-License-Identifier: Apache-2.0
"""``clips.json`` of a model folder: which recordings trained the model, which selected it, which were held out.

Recordings are noted by what they hold, not by their names, so that they are recognised after they were moved or
renamed, and the model folder tells nobody what they were called.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from auricle.errors import BundleError
from auricle.files import sha256_file

if TYPE_CHECKING:  # a model that only scores recordings needs no data sets
    from auricle.data.manifest import Clip

CLIPS_FILE = "clips.json"
TRAIN, DEV, TEST = "train", "dev", "test"
_DIGITS = 16


def clip_id(clip: Clip) -> str:
    """Return what identifies a recording, or a segment of one, by its content; an absent file has no content."""
    try:
        content = sha256_file(clip.path)[:_DIGITS]
    except OSError:
        return ""
    _, onset, offset = clip.segment
    return (
        content if onset == 0 and offset is None else f"{content} {onset:g} {'' if offset is None else f'{offset:g}'}"
    )


def dump_clips(parts: Mapping[str, Iterable[Clip]]) -> bytes:
    """Return the file's content; ``parts`` has ``train``, ``dev`` and ``test``."""
    ids = {name: sorted(filter(None, map(clip_id, clips))) for name, clips in parts.items()}
    return json.dumps(ids, indent=0).encode()


def parse_clips(content: bytes, where: str) -> dict[str, str]:
    """Return the part of each recording by its id.

    Raises:
        BundleError: the file is not what ``dump_clips`` wrote.
    """
    try:
        values: Any = json.loads(content)
        parts = {name: list(values[name]) for name in (TRAIN, DEV, TEST)}
        if not all(isinstance(i, str) for ids in parts.values() for i in ids):
            raise TypeError
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise BundleError(f"{where}: {CLIPS_FILE} is damaged; get the model folder again") from error
    # A recording that stands twice in the data may be on several sides: then it was trained on.
    return {i: name for name in (TEST, DEV, TRAIN) for i in parts[name]}


def parts_of(known: Mapping[str, str], clips: Sequence[Clip]) -> list[str | None]:
    """Return for each clip the part that it was in when the model was trained; None for clips new to the model."""
    return [known.get(clip_id(clip)) for clip in clips]


def worst_parts(first: Mapping[str, str] | None, second: Mapping[str, str] | None) -> dict[str, str] | None:
    """Return the part of each recording for two models at once: what one of them was trained on is held out from none.

    A model of which nothing is known adds nothing; None if that is so of both.
    """
    if first is None and second is None:
        return None
    found: dict[str, str] = {}
    for known in (first, second):
        for clip, part in (known or {}).items():
            found[clip] = max(part, found.get(clip, part), key=(TEST, DEV, TRAIN).index)
    return found
