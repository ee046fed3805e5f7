# SPDX-License-Identifier: Apache-2.0
"""What to say where no format fits: which known data set it looks like, where the right folder is, what to type."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path

from auricle.data.formats.containers import container_names
from auricle.data.formats.label_rows import LABEL_SUFFIXES, kind_of
from auricle.data.paths import suffixes_seen
from auricle.errors import DataError
from auricle.files import AUDIO_EXTENSIONS

#: Data sets by what their files and folders are called, with what ``auricle`` reads them by.
_KNOWN = (
    ("ASVspoof 2019", r"ASVspoof2019[._].*", "read at its folder LA or PA, with ASVspoof2019_*_cm_protocols/ in it"),
    ("ASVspoof 2021", r"ASVspoof2021[._].*", "read with its keys (keys/LA/CM/trial_metadata.txt) beside it"),
    ("ASVspoof 5", r"ASVspoof5.*|flac_[TDE](_\w+)?", "read with ASVspoof5.train.tsv and the others beside flac_T/"),
    ("FSD50K", r"FSD50K.*", "read with FSD50K.ground_truth/ beside FSD50K.dev_audio/"),
    ("FSDKaggle", r"FSDKaggle20\d\d.*", "read with its .meta/ beside its audio folders"),
    ("UrbanSound8K", r"UrbanSound8K.*|fold(10|[1-9])", "read with metadata/UrbanSound8K.csv beside audio/"),
    ("ESC-50", r"ESC-?50.*", "read with meta/esc50.csv beside audio/"),
    ("AudioSet", r"(un)?balanced_train_segments.*|audioset.*", "read with its segments table beside the audio"),
    ("Speech Commands", r"_background_noise_|speech_commands.*", "read with validation_list.txt beside its words"),
    ("DESED", r"DESED.*", "read with metadata/ beside audio/"),
    ("In-the-Wild", r"release_in_the_wild", "read with meta.csv beside its recordings"),
)
_EXPECTED = (
    "expected class folders, or a .csv with path and label, or a .tsv with filename, onset, offset, event_label, "
    "or label files beside the audio, or an export of Label Studio or Whombat, or .npy files with a table of soft "
    "labels"
)
_UNREADABLE = {
    ".parquet": "parquet tables are not read; save it as .csv",
    ".xlsx": "spreadsheets are not read; save it as .csv",
    ".ods": "spreadsheets are not read; save it as .csv",
    ".json": "of JSON, exports of Label Studio and Whombat are read; save other labels as .csv",
    **dict.fromkeys((".zip", ".tar", ".gz", ".tgz", ".7z", ".rar", ".bz2", ".xz"), "an archive; unpack it first"),
}
_MOST_FOLDERS = 50
#: Returns the name of the format at a path; given a folder, only if the data set there lists a recording in it.
Recogniser = Callable[[Path, Path | None], str | None]


def known_data_set(path: Path) -> str | None:
    """Return the data set that a folder looks like by its name and what it holds, with how it is read."""
    names = [path.name, *(p.name for p in _children(path))]
    for title, pattern, how in _KNOWN:
        if any(re.fullmatch(pattern, name, re.IGNORECASE) for name in names):
            return f"it looks like {title}, which is {how}"
    return None


def nearby_data(path: Path, recognised: Recogniser) -> list[str]:
    """Return a line for each data set that lies just below or above a folder, with what to type.

    Args:
        path: where nothing was recognised.
        recognised: returns the name of the format at a path; given a folder, only if a recording in it is listed there.
    """
    below = [p for p in _children(path) if p.is_dir() and not p.is_symlink()]
    below += [p for folder in below for p in _children(folder) if p.is_dir() and not p.is_symlink()]
    found = [(p, format) for p in below[:_MOST_FOLDERS] if (format := recognised(p, None)) is not None]
    found = [item for item in found if not any(item[0].is_relative_to(p) for p, _ in found if p != item[0])]
    if not found and container_names([path.name]):
        above = list(path.absolute().parents)[:2]
        found = [(p, format) for p in above if (format := recognised(p, path)) is not None][:1]
    return [_line(p, format) for p, format in found[:3]]


def nested_data(path: Path, recognised: Recogniser) -> list[str]:
    """Return a line for each data set with a table that is a folder directly in a folder."""
    folders = [p for p in _children(path) if p.is_dir() and not p.is_symlink()][:_MOST_FOLDERS]
    return [_line(p, format) for p in folders if (format := recognised(p, None)) is not None][:3]


def _line(path: Path, format: str) -> str:
    return f"a data set ({format}) lies at {path}: auricle data check {shlex.quote(str(path))}"


def unknown_data(path: Path, recognised: Recogniser) -> DataError:
    """Return the error of a path where nothing is that auricle knows."""
    if path.is_file():
        reason = _UNREADABLE.get(path.suffix.lower(), "expected a folder, or a table (.csv, .tsv, .jsonl)")
        return DataError(f"{path} is no data set that auricle knows", [f"{path.name}: {reason}"])
    seen = suffixes_seen(str(p) for p in path.rglob("*") if p.is_file()) or "nothing"
    lines = [f"seen: {seen}; {_EXPECTED}"]
    loose = sum(p.suffix.lower() in AUDIO_EXTENSIONS for p in _children(path))
    if loose:
        lines.append(f"{loose} recordings lie here without a table or class folders, so nothing says what they are")
    lines += [f"{p.name}: {_UNREADABLE[p.suffix.lower()]}" for p in _children(path) if p.suffix.lower() in _UNREADABLE][
        :3
    ]
    lines += _stray_labels(path)
    known = known_data_set(path)
    lines += [] if known is None else [known]
    return DataError(f"{path} is no data set that auricle knows", [*lines, *nearby_data(path, recognised)])


def _stray_labels(path: Path) -> list[str]:
    """Return a line where a file of labels fits no recording by its name."""
    children = _children(path)
    recordings = [p for p in children if p.suffix.lower() in AUDIO_EXTENSIONS]
    stray = [p for p in children if p.suffix.lower() in LABEL_SUFFIXES and kind_of(p) == "audacity"]
    if not (recordings and stray):
        return []
    name = f"{recordings[0].stem}{stray[0].suffix}"
    return [f"{stray[0].name} holds labels and fits no recording by its name; call it as its recording, such as {name}"]


def _children(path: Path) -> list[Path]:
    """Return what lies in a folder, sorted; nothing for what is no folder or not readable."""
    try:
        return sorted(p for p in path.iterdir() if not p.name.startswith("."))
    except OSError:
        return []
