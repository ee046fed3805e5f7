# SPDX-License-Identifier: Apache-2.0
"""How far detection in a long recording has got, in a file, so that a kill costs seconds and not hours.

What scores and events remember is small: the rest of a window, sums where windows overlap, or a causal network's
state; filters, and the sounds that continue. Decoder and resampler are not kept: to continue, the recording is decoded
again from its beginning, which is many times faster than scoring it, and gives the same samples and flags whatever its
form.

The file is an archive of plain arrays and one text of JSON. Objects of the few classes below are stored by their
values; reading it runs no code, and an archive that is damaged, of another recording or of another auricle counts
as none.
"""

from __future__ import annotations

import io
import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from auricle import __version__
from auricle.errors import AuricleError
from auricle.events.boxes import Box, BoxRule, BoxStream, Walk
from auricle.events.segments import Segment, SegmentRule, SegmentState
from auricle.events.smoothing import MedianBank, MedianStream
from auricle.files import atomic_write, sha256_bytes
from auricle.results import Event
from auricle.runtime.npz import read_npz
from auricle.runtime.scoring import FrameOverlap
from auricle.runtime.tracker import ThresholdStage
from auricle.runtime.windows import MarginCutter, WindowCutter

#: Seconds of work between two marks.
EVERY_S = 30.0

_CLASSES = {
    c.__name__: c
    for c in (
        Box,
        BoxRule,
        BoxStream,
        Event,
        FrameOverlap,
        MarginCutter,
        MedianBank,
        MedianStream,
        Segment,
        SegmentRule,
        SegmentState,
        ThresholdStage,
        Walk,
        WindowCutter,
    )
}
_TEXT = "text"
#: A place is small; what unpacks to more is none.
_MOST_BYTES = 256_000_000


@dataclass(frozen=True)
class Place:
    """Where a detection is.

    Attributes:
        samples: at the model's rate that were scored.
        scorer: what ``Scorer.parts`` or ``RunningScorer.parts`` gave.
        tracker: what ``EventTracker.parts`` gave.
        events: so far.
        distances: of windows from the training data, where the model has any.
    """

    samples: int
    scorer: Any
    tracker: Any
    events: list[Event] = field(default_factory=list)
    distances: list[float] = field(default_factory=list)


class LostPlaceError(AuricleError):
    """The recording does not come to the place that was marked: it has to be scored from its beginning."""


class Bookmark:
    """The mark of one recording.

    Args:
        path: of the mark; its folder is made when it is first written.
        recording: whose mark it is. One that has changed since then has none.
        every_s: seconds between two marks.
        clock: monotonic seconds, replaceable in tests.
    """

    def __init__(
        self, path: Path, recording: str, every_s: float = EVERY_S, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._path, self._recording, self._every_s, self._clock = path, recording, every_s, clock
        self._last = clock()

    @property
    def due(self) -> bool:
        """Tell whether it is time for the next mark."""
        return self._clock() - self._last >= self._every_s

    def put(self, place: Place) -> None:
        """Write the mark in place of the last one."""
        content = encode({"of": self._identity(), "place": vars(place)})
        self._path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(self._path, content)
        self._last = self._clock()

    def take(self) -> Place | None:
        """Return the place that was marked, None if there is none of this recording."""
        try:
            found = decode(self._path.read_bytes())
            return Place(**found["place"]) if found.get("of") == self._identity() else None
        except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
            return None

    def remove(self) -> None:
        """Forget the mark."""
        self._path.unlink(missing_ok=True)

    def _identity(self) -> dict[str, Any]:
        facts = os.stat(self._recording)  # noqa: PTH116 - a path may be bytes in disguise
        return {"size": facts.st_size, "mtime_ns": facts.st_mtime_ns, "version": __version__}


def bookmark_in(folder: Path, recording: str, every_s: float = EVERY_S, channel: int | None = None) -> Bookmark:
    """Return the bookmark of a recording, or of one channel of it, in a folder of bookmarks."""
    name = sha256_bytes(os.fsencode(recording) + (b"" if channel is None else b"\0%d" % channel))[:16]
    return Bookmark(folder / f"{name}.npz", recording, every_s)


def encode(value: Any) -> bytes:
    """Return plain values, arrays and objects of the known classes as an archive."""
    arrays: list[np.ndarray[Any, Any]] = []
    seen: dict[int, int] = {}
    text = json.dumps(_plain(value, arrays, seen))
    buffer = io.BytesIO()
    named: dict[str, Any] = {f"a{i}": array for i, array in enumerate(arrays)}
    np.savez(buffer, **{_TEXT: np.frombuffer(text.encode(), np.uint8), **named})
    return buffer.getvalue()


def decode(content: bytes) -> Any:
    """Return what ``encode`` was given; raises ``ValueError`` and others for what it did not write."""
    archive = read_npz(content, _MOST_BYTES)
    return _alive(json.loads(archive[_TEXT].tobytes()), archive)


def _plain(value: Any, arrays: list[np.ndarray[Any, Any]], seen: dict[int, int]) -> Any:
    """Return JSON; arrays go to ``arrays``, each once."""
    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, (np.ndarray, np.generic)):
        if id(value) not in seen:
            seen[id(value)] = len(arrays)
            arrays.append(np.asarray(value))
        return {"array": seen[id(value)]}
    if type(value) in (list, tuple):
        return {type(value).__name__: [_plain(item, arrays, seen) for item in value]}
    if type(value) is dict:
        return {"dict": [[_plain(k, arrays, seen), _plain(v, arrays, seen)] for k, v in value.items()]}
    if type(value) in _CLASSES.values():
        return {"object": type(value).__name__, "values": _plain(vars(value), arrays, seen)}
    raise TypeError(f"a bookmark cannot hold a {type(value).__name__}; add it to the classes that it knows")


def _alive(value: Any, archive: Any) -> Any:
    if not isinstance(value, dict):
        return value
    if "array" in value:
        return archive[f"a{value['array']}"][()]  # a number that stood alone is one again
    if "list" in value:
        return [_alive(item, archive) for item in value["list"]]
    if "tuple" in value:
        return tuple(_alive(item, archive) for item in value["tuple"])
    if "dict" in value:
        return {_alive(k, archive): _alive(v, archive) for k, v in value["dict"]}
    kind = _CLASSES[value["object"]]
    made = object.__new__(kind)
    made.__dict__.update(_alive(value["values"], archive))
    return made
