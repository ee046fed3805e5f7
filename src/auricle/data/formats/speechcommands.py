# SPDX-License-Identifier: Apache-2.0
"""The format ``speechcommands``: folders of words with lists of the recordings that are dev and test.

``validation_list.txt`` and ``testing_list.txt`` lie beside the folders of words, or beside ``audio/`` with them. What
stands in neither is train. The speaker, named before ``_nohash_``, is the group. Recordings in
``_background_noise_`` and ``_silence_`` are negatives.
"""

from __future__ import annotations

import os
from pathlib import Path

from auricle.data.formats.draft import Draft
from auricle.data.formats.registry import FORMATS, Format
from auricle.data.labels import is_negative
from auricle.data.manifest import Clip, Manifest
from auricle.data.paths import Found, regular_size
from auricle.data.read_options import ReadOptions
from auricle.errors import DataError
from auricle.files import AUDIO_EXTENSIONS
from auricle.results import Flag

LISTS = {"validation_list.txt": "dev", "testing_list.txt": "test"}
_NEGATIVES = frozenset({"_background_noise_", "_silence_"})
_SPEAKER_END = "_nohash_"
_AUDIO = "audio"


def _words_in(path: Path) -> Path:
    """Return the folder that holds the folders of words."""
    below = path / _AUDIO
    return below if below.is_dir() and any(p.is_dir() for p in below.iterdir()) else path


def looks_like_speechcommands(path: Path, options: ReadOptions) -> bool:
    """Recognise the two lists beside folders."""
    if not path.is_dir() or not all((path / name).is_file() for name in LISTS):
        return False
    return any(p.is_dir() for p in _words_in(path).iterdir())


def _listed_parts(path: Path) -> dict[str, str]:
    """Return the part of each listed recording, by ``word/file``; raises ``DataError``."""
    parts: dict[str, str] = {}
    for name, part in LISTS.items():
        try:
            text = (path / name).read_text(encoding="utf-8-sig")
        except (OSError, UnicodeError) as error:
            raise DataError(f"{path} cannot be read", [f"{name}: {error}"]) from error
        parts |= dict.fromkeys((line.strip() for line in text.splitlines() if line.strip()), part)
    return parts


def _clip(path: Path, key: str, word: str, part: str) -> Clip:
    """Return the clip of a recording; the noise, of which pieces are drawn, belongs to nobody."""
    if word in _NEGATIVES or is_negative(word):
        return Clip(key, str(path), (), True, split="train")
    speaker, found, _ = path.stem.partition(_SPEAKER_END)
    return Clip(key, str(path), (word,), split=part, group=speaker if found else None)


def read_speechcommands(path: Path, options: ReadOptions) -> Manifest:
    """Read folders of words and the lists of their parts; raises ``DataError`` with all problems."""
    path = Path(os.path.abspath(path))  # noqa: PTH100 (Path.absolute keeps "..")
    if not looks_like_speechcommands(path, options):
        expected = f"expected {' and '.join(LISTS)} beside one folder a word"
        raise DataError(f"{path} is not laid out like Speech Commands", [expected])
    draft, parts, words = Draft(path, "speechcommands", options), _listed_parts(path), _words_in(path)
    left = set(parts)
    for folder in sorted(p for p in words.iterdir() if p.is_dir() and not p.name.startswith(".")):
        for file in sorted(p for p in folder.iterdir() if p.suffix.lower() in AUDIO_EXTENSIONS):
            name, key = f"{folder.name}/{file.name}", file.relative_to(path).as_posix()
            left.discard(name)
            clip = _clip(file, key, folder.name, parts.get(name, "train"))
            draft.add(key, clip, Found(str(file), key, regular_size(str(file))))
    draft.missing += sorted(left)
    if draft.missing and len(left) == len(parts):
        draft.problems.add("missing", f"none of the {len(parts)} listed recordings is below {words}")
    loose = [p.name for p in sorted(words.iterdir()) if p.suffix.lower() in AUDIO_EXTENSIONS]
    if loose:
        draft.flags.append(Flag("unlisted_file", {"count": len(loose), "first": loose[0]}))
    return draft.finish()


FORMATS.add("speechcommands", Format(looks_like_speechcommands, read_speechcommands, order=10))
