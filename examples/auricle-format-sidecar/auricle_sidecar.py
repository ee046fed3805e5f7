# SPDX-License-Identifier: Apache-2.0
"""The format ``sidecar``: beside each recording a JSON file of its name, ``{"labels": ["dog"], "site": "north"}``."""

from __future__ import annotations

import json
import os
from pathlib import Path

from auricle.data.formats.draft import Draft
from auricle.data.formats.registry import Format
from auricle.data.manifest import Clip, Manifest
from auricle.data.paths import Found, regular_size
from auricle.data.read_options import ReadOptions
from auricle.files import AUDIO_EXTENSIONS


def recordings(path: Path) -> list[Path]:
    """Return the recordings below a folder that have a JSON file of their name beside them, sorted."""
    files = (p for p in path.rglob("*") if p.suffix.lower() in AUDIO_EXTENSIONS)
    return sorted(p for p in files if p.with_suffix(".json").is_file())


def looks_like_sidecar(path: Path, options: ReadOptions) -> bool:
    """Recognise a folder with such a recording."""
    return path.is_dir() and bool(recordings(path))


def read_sidecar(path: Path, options: ReadOptions) -> Manifest:
    """Read all of them; what is wrong is collected in the draft, and stops at its end."""
    draft = Draft(path, "sidecar", options)
    for recording in recordings(path):
        key = recording.relative_to(path).as_posix()
        place = f"{Path(key).with_suffix('.json')}"
        try:
            said = json.loads(recording.with_suffix(".json").read_text(encoding="utf-8"))
            labels, site = ";".join(said["labels"]), said.get("site")
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            draft.problems.add("json", f'{place}: expected {{"labels": [...]}} ({type(error).__name__}: {error})')
            continue
        classes, negative = draft.labels(place, labels)
        file = os.path.abspath(recording)  # noqa: PTH100 (Path.absolute keeps "..")
        draft.add(place, Clip(key, file, classes, negative, group=site), Found(file, key, regular_size(file)))
    return draft.finish()


SIDECAR = Format(looks_like_sidecar, read_sidecar, order=15)
