# SPDX-License-Identifier: Apache-2.0
"""What a file is, from its first bytes: names lie, and the decoder's "format not recognised" helps nobody.

A ``Kind`` says who reads it: ``sndfile`` (libsndfile), ``codecs`` (the optional ``av``), or nobody.
"""

from __future__ import annotations

import string
from dataclasses import dataclass
from pathlib import PurePath
from typing import Literal

from auricle.audio.source import Source

SNIFF_BYTES = 4096
#: Zeros that may stand between a tag and the audio.
_MAX_PADDING_BYTES = 1 << 20

Reader = Literal["sndfile", "codecs", "none"]


@dataclass(frozen=True)
class Kind:
    """What the content is.

    Attributes:
        name: short name, as in ``wav``; ``unknown`` if no rule matched.
        title: name for people, with its article.
        reader: who can read it.
        start: where the content begins, after a leading ID3 tag and its padding.
    """

    name: str
    title: str
    reader: Reader
    start: int = 0


#: (offset, bytes, name, title, reader): the first rule that matches wins.
_MAGIC: tuple[tuple[int, bytes, str, str, Reader], ...] = (
    (8, b"WAVE", "wav", "a WAV file", "sndfile"),
    (8, b"AVI ", "avi", "an AVI video", "codecs"),
    (0, b"RIFF", "wav", "a RIFF file", "sndfile"),
    (0, b"riff\x2e\x91\xcf\x11", "w64", "a W64 file", "sndfile"),
    (8, b"AIFF", "aiff", "an AIFF file", "sndfile"),
    (8, b"AIFC", "aiff", "an AIFF-C file", "sndfile"),
    (0, b"caff", "caf", "a CAF file", "sndfile"),
    (0, b".snd", "au", "an AU file", "sndfile"),
    (0, b"dns.", "au", "an AU file", "sndfile"),
    (0, b"fLaC", "flac", "a FLAC file", "sndfile"),
    (0, b"OggS", "ogg", "an Ogg file", "sndfile"),
    (0, b"Creative Voice File", "voc", "a VOC file", "sndfile"),
    (0, b"NIST_1A", "nist", "a NIST SPHERE file", "sndfile"),
    (4, b"ftypM4P ", "m4p", "an encrypted iTunes file", "none"),
    (4, b"ftyp", "mp4", "an MP4, M4A or MOV file", "codecs"),
    (4, b"moov", "mp4", "a MOV file", "codecs"),
    (0, b"\x1a\x45\xdf\xa3", "matroska", "a WebM or Matroska file", "codecs"),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "asf", "a WMA or WMV file", "codecs"),
    (0, b"FLV\x01", "flv", "a Flash video", "codecs"),
    (0, b"#!AMR", "amr", "an AMR file", "codecs"),
    (0, b"ADIF", "aac", "an AAC file", "codecs"),
    (0, b"\xff\xf1", "aac", "an AAC file", "codecs"),
    (0, b"\xff\xf9", "aac", "an AAC file", "codecs"),
    (0, b"\x0b\x77", "ac3", "an AC-3 file", "codecs"),
    (0, b"wvpk", "wavpack", "a WavPack file", "codecs"),
    (0, b"MAC ", "ape", "a Monkey's Audio file", "codecs"),
    (0, b"TTA1", "tta", "a TTA file", "codecs"),
    (0, b"\x00\x05\x16\x07", "appledouble", "an AppleDouble file (the resource fork beside a Mac's file)", "none"),
    (0, b"version https://git-lfs", "lfs", "a git-LFS pointer; run 'git lfs pull' to get the audio", "none"),
    (0, b"PK\x03\x04", "zip", "a ZIP archive; unpack it", "none"),
    (0, b"\x1f\x8b", "gzip", "a gzip archive; unpack it", "none"),
    (0, b"7z\xbc\xaf\x27\x1c", "7z", "a 7-Zip archive; unpack it", "none"),
    (257, b"ustar", "tar", "a tar archive; unpack it", "none"),
    (0, b"%PDF", "pdf", "a PDF document", "none"),
    (0, b"\x89PNG", "png", "a PNG picture", "none"),
    (0, b"\xff\xd8\xff", "jpeg", "a JPEG picture", "none"),
    (0, b"GIF8", "gif", "a GIF picture", "none"),
    (0, b"\x93NUMPY", "npy", "a NumPy array", "none"),
    (0, b"\x7fELF", "elf", "a program", "none"),
    (0, b"SQLite format 3", "sqlite", "a database", "none"),
    (0, b"bplist", "plist", "a property list", "none"),
)

_EXTENSIONS: dict[str, frozenset[str]] = {
    extension: frozenset(kinds.split())
    for extensions, kinds in (
        (".wav .wave .bwf .rf64", "wav"),
        (".w64", "w64"),
        (".aif .aiff .aifc", "aiff"),
        (".caf", "caf"),
        (".au .snd", "au"),
        (".flac", "flac"),
        (".ogg .oga .opus .ogv .ogx", "ogg"),
        (".mp3 .mp2 .mp1", "mp3"),
        (".m4a .m4b .mp4 .mov .3gp", "mp4"),
        (".webm .mkv .mka", "matroska"),
        (".wma .wmv .asf", "asf"),
        (".aac", "aac mp4"),
        (".avi", "avi"),
        (".amr", "amr"),
        (".voc", "voc"),
    )
    for extension in extensions.split()
}

_TEXT = frozenset(string.printable.encode())
_HTML = (b"<!doctype html", b"<html", b"<head", b"<body")


def sniff(source: Source) -> Kind:
    """Say what a source holds, from its first bytes and, after a leading ID3 tag, the next ones."""
    head = source.read_at(0, SNIFF_BYTES)
    start = _id3_bytes(head)
    if start:
        rest = source.read_at(start, _MAX_PADDING_BYTES)
        head = rest.lstrip(b"\0")[:SNIFF_BYTES]
        if not head or head.startswith(b"TAG"):
            return Kind("id3", "an ID3 tag without audio", "none", start)
        start += len(rest) - len(rest.lstrip(b"\0"))
    for offset, magic, name, title, reader in _MAGIC:
        if head[offset : offset + len(magic)] == magic:
            return Kind(name, title, reader, start)
    if is_mpeg_frame(head):
        return Kind("mp3", "an MP3 file", "sndfile", start)
    return _rest(head, start)


def _rest(head: bytes, start: int) -> Kind:
    """Name what has no magic number: text, HTML, zeros; else leave it to libsndfile, which knows more formats."""
    opening = head[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if opening.startswith(_HTML):
        return Kind("html", "an HTML page, perhaps an error page saved by a download", "none", start)
    if head and _TEXT.issuperset(head):
        return Kind("text", f"text that begins with {_excerpt(head)!r}", "none", start)
    if not head.strip(b"\0"):
        return Kind("zeros", "zero bytes, perhaps an unfinished copy", "none", start)
    return Kind("unknown", "no format known here", "sndfile", start)


def is_mpeg_frame(head: bytes) -> bool:
    """Tell whether bytes begin with a valid header of an MPEG audio frame, layer I to III."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return False
    version, layer = head[1] >> 3 & 3, head[1] >> 1 & 3
    bitrate, rate = head[2] >> 4, head[2] >> 2 & 3
    return version != 1 and layer != 0 and bitrate != 15 and rate != 3


def mismatched_extension(path: str, kind: Kind) -> str | None:
    """Return the extension of ``path`` if it promises another known format than the content is."""
    extension = PurePath(path).suffix.lower()
    expected = _EXTENSIONS.get(extension)
    known = any(kind.name in kinds for kinds in _EXTENSIONS.values())
    return extension if expected and known and kind.name not in expected else None


def _id3_bytes(head: bytes) -> int:
    """Return the length of a leading ID3v2 tag, 0 if there is none: ten bytes and a size of four 7-bit digits."""
    if head[:3] != b"ID3" or len(head) < 10:
        return 0
    size = 0
    for digit in head[6:10]:
        size = size << 7 | digit & 0x7F
    has_footer = head[5] & 0x10
    return 10 + size + (10 if has_footer else 0)


def _excerpt(head: bytes) -> str:
    return " ".join(head[:200].decode("ascii", "replace").split())[:40]
