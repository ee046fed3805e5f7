# SPDX-License-Identifier: Apache-2.0
"""Public data sets that ``auricle data fetch`` knows: where they lie, under which licence, how they become trainable.

A checksum stands here only if it was read in a source that publishes it (named beside it). Archives that GitHub makes
on demand, and those for which no such source was found, have none: they are recorded when they are first fetched.
The addresses were read in the documents of the data sets and of tools that load them; none was visited from here.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from auricle.errors import DataError
from auricle.files import atomic_write
from auricle.registry import Registry

#: Commas, quotes and line breaks are quoted; names of public data sets begin with no formula.
_TABLE = "labels.csv"


@dataclass(frozen=True)
class Source:
    """A public data set.

    Attributes:
        title: what it is, in a line.
        url: official address of the archive.
        archive: name of the archive; its ending says how it is packed.
        bytes: size of the archive; about, where no checksum is known.
        licence: name of the licence, and what it asks for.
        licence_url: where it can be read.
        homepage: where the data set is described.
        prepare: makes what was unpacked ready for training; returns what ``train`` is to be given.
        sha256: of the archive, where a source that publishes it was read.
        checksum_from: that source.
    """

    title: str
    url: str
    archive: str
    bytes: int
    licence: str
    licence_url: str
    homepage: str
    prepare: Callable[[Path], Path]
    sha256: str | None = None
    checksum_from: str | None = None


SOURCES: Registry[Source] = Registry("data set")


def _write_table(path: Path, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Path:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    atomic_write(path, buffer.getvalue().encode())
    return path


def _need(path: Path) -> Path:
    """Return a path that the archive must have brought."""
    if not path.exists():
        raise DataError(f"{path.name} is not in the archive", ["another version of the data set? unpack it by hand"])
    return path


def prepare_esc50(folder: Path) -> Path:
    """Return the table that comes with ESC-50: five folds, source recordings as groups."""
    return _need(folder / "meta" / "esc50.csv")


def prepare_esc10(folder: Path) -> Path:
    """Write the rows of ESC-10, the subset with a free licence, as a table of their own."""
    with _need(folder / "meta" / "esc50.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["esc10"] == "True"]
    columns = ("filename", "fold", "category", "src_file")
    return _write_table(folder / "meta" / "esc10.csv", columns, ([row[name] for name in columns] for row in rows))


def prepare_fsdd(folder: Path) -> Path:
    """Write a table from names such as ``7_jackson_32.wav``; recordings 0 to 4 are the official test part."""
    names = sorted(path.name for path in _need(folder / "recordings").glob("*_*_*.wav"))
    rows = []
    for name in names:
        digit, _, number = name.removesuffix(".wav").split("_")
        rows.append((f"recordings/{name}", digit, "test" if int(number) < 5 else "train"))
    return _write_table(folder / _TABLE, ("filename", "label", "split"), rows)


def prepare_speech_commands(folder: Path) -> Path:
    """Write a table with the official parts; a speaker, known by the name before ``_nohash_``, is a group."""
    parts: dict[str, str] = {}
    for name, part in (("validation_list.txt", "dev"), ("testing_list.txt", "test")):
        text = _need(folder / name).read_text(encoding="utf-8")
        parts |= dict.fromkeys(text.split(), part)
    files = sorted(f"{path.parent.name}/{path.name}" for path in folder.glob("[!_]*/*.wav"))
    rows = ((name, name.partition("/")[0], parts.get(name, "train"), _speaker(name)) for name in files)
    return _write_table(folder / _TABLE, ("filename", "label", "split", "group"), rows)


def _speaker(name: str) -> str:
    return re.sub(r"_nohash_.*", "", name.partition("/")[2])


def prepare_asvspoof2019(folder: Path) -> Path:
    """Bring the recordings of the three parts into one ``flac/`` and the protocols into ``protocols/``."""
    protocols, recordings = folder / "protocols", folder / "flac"
    protocols.mkdir(exist_ok=True)
    recordings.mkdir(exist_ok=True)
    for part, ending in (("train", "trn"), ("dev", "trl"), ("eval", "trl")):
        name = f"ASVspoof2019.LA.cm.{part}.{ending}.txt"
        lines = _need(folder / "ASVspoof2019_LA_cm_protocols" / name).read_bytes()
        atomic_write(protocols / f"{part}.txt", lines)
        for path in _need(folder / f"ASVspoof2019_LA_{part}" / "flac").glob("*.flac"):
            path.replace(recordings / path.name)
    return folder


def prepare_desed(folder: Path) -> Path:
    """Return the folder: strong labels in ``metadata/eval/public.tsv``, recordings below ``audio/eval``."""
    _need(folder / "metadata")
    return folder


SOURCES.add(
    "esc50",
    Source(
        title="ESC-50: 2,000 clips of 5 s, 50 classes of environmental sound, five folds",
        url="https://github.com/karolpiczak/ESC-50/archive/master.zip",
        archive="ESC-50-master.zip",
        bytes=645_700_000,
        licence="CC BY-NC 3.0: name the authors, no commercial use (the subset ESC-10: CC BY)",
        licence_url="https://github.com/karolpiczak/ESC-50/blob/master/LICENSE",
        homepage="https://github.com/karolpiczak/ESC-50",
        prepare=prepare_esc50,
    ),
)
SOURCES.add(
    "esc10",
    Source(
        title="ESC-10: 400 clips of 5 s, 10 classes, five folds (the archive is that of ESC-50)",
        url="https://github.com/karolpiczak/ESC-50/archive/master.zip",
        archive="ESC-50-master.zip",
        bytes=645_700_000,
        licence="CC BY for the clips of ESC-10: name the authors (the rest of the archive: CC BY-NC 3.0)",
        licence_url="https://github.com/karolpiczak/ESC-50/blob/master/LICENSE",
        homepage="https://github.com/karolpiczak/ESC-50",
        prepare=prepare_esc10,
    ),
)
SOURCES.add(
    "speech-commands",
    Source(
        title="Speech Commands v0.02: 105,829 words of 1 s, 35 classes",
        url="https://storage.googleapis.com/download.tensorflow.org/data/speech_commands_v0.02.tar.gz",
        archive="speech_commands_v0.02.tar.gz",
        bytes=2_428_923_189,
        licence="CC BY 4.0: name the authors",
        licence_url="https://creativecommons.org/licenses/by/4.0/",
        homepage="https://arxiv.org/abs/1804.03209",
        prepare=prepare_speech_commands,
        sha256="af14739ee7dc311471de98f5f9d2c9191b18aedfe957f4a6ff791c709868ff58",
        checksum_from="torchaudio, datasets/speechcommands.py",
    ),
)
SOURCES.add(
    "fsdd",
    Source(
        title="Free Spoken Digit Dataset v1.0.9: 2,500 spoken digits, 5 speakers, 8 kHz",
        url="https://github.com/Jakobovski/free-spoken-digit-dataset/archive/v1.0.9.tar.gz",
        archive="free-spoken-digit-dataset-1.0.9.tar.gz",
        bytes=11_975_353,
        licence="CC BY-SA 4.0: name the authors, share alike",
        licence_url="https://creativecommons.org/licenses/by-sa/4.0/",
        homepage="https://github.com/Jakobovski/free-spoken-digit-dataset",
        prepare=prepare_fsdd,
        sha256="8bc44cde129d505cbbb6b365c09f80c663f2aa77578afc634e6141a2f87100c0",
        checksum_from="TensorFlow Datasets, spoken_digit/checksums.tsv",
    ),
)
SOURCES.add(
    "asvspoof2019-la",
    Source(
        title="ASVspoof 2019 LA: 121,461 utterances, real and synthetic voices",
        url="https://datashare.ed.ac.uk/bitstream/handle/10283/3336/LA.zip?sequence=3&isAllowed=y",
        archive="LA.zip",
        bytes=7_640_000_000,
        licence="ODC-BY 1.0: name the authors",
        licence_url="https://opendatacommons.org/licenses/by/1-0/",
        homepage="https://datashare.ed.ac.uk/handle/10283/3336",
        prepare=prepare_asvspoof2019,
    ),
)
SOURCES.add(
    "desed",
    Source(
        title="DESED public evaluation set: 692 recordings of 10 s, 10 domestic classes, strong labels",
        url="https://zenodo.org/record/3588172/files/DESEDpublic_eval.tar.gz?download=1",
        archive="DESED_public_eval.tar.gz",
        bytes=890_000_000,
        licence="one for each recording: a licence file lies at the root of the data set",
        licence_url="https://zenodo.org/record/3588172",
        homepage="https://github.com/turpaultn/DESED",
        prepare=prepare_desed,
    ),
)
