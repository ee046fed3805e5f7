# SPDX-License-Identifier: Apache-2.0
"""What a file is, from its first bytes: names lie, and the decoder's "format not recognised" helps nobody.

A ``Kind`` says who reads it: ``sndfile`` (libsndfile), ``codecs`` (the optional ``av``), or nobody.
"""

from __future__ import annotations

import string
from dataclasses import dataclass
from pathlib import PurePath
from typing import Literal

from auricle.audio.headers.mpeg_frames import find_frame, frame_bytes, is_mpeg_frame, stream_key
from auricle.audio.headers.tags import tags_before
from auricle.audio.source import Source

__all__ = ["SNIFF_BYTES", "Kind", "Reader", "is_mpeg_frame", "mismatched_extension", "sniff"]

SNIFF_BYTES = 4096
#: Zeros, and for MP3 anything, that may stand before the first byte of a recording.
_MAX_JUNK_BYTES = 1 << 20
#: Junk looks like one frame of MP3 now and then, never like so many in turn.
_FRAMES_BEHIND_JUNK = 4

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
    (8, b"8SVX", "svx", "an IFF 8SVX file", "sndfile"),
    (8, b"16SV", "svx", "an IFF 16SV file", "sndfile"),
    (8, b"AIFF", "aiff", "an AIFF file", "sndfile"),
    (8, b"AIFC", "aiff", "an AIFF-C file", "sndfile"),
    (0, b"caff", "caf", "a CAF file", "sndfile"),
    (0, b".snd", "au", "an AU file", "sndfile"),
    (0, b"dns.", "au", "an AU file", "sndfile"),
    (0, b"fLaC", "flac", "a FLAC file", "sndfile"),
    (0, b"OggS", "ogg", "an Ogg file", "sndfile"),
    (0, b"Creative Voice File", "voc", "a VOC file", "sndfile"),
    (0, b"NIST_1A", "nist", "a NIST SPHERE file", "sndfile"),
    (0, b"2BIT", "avr", "an AVR file", "sndfile"),
    (0, b"ALawSoundFile**", "wve", "a WVE file", "sndfile"),
    (0, b"\xf0\x7e", "sds", "a MIDI sample dump", "sndfile"),
    (0, b"MATLAB 5.0 MAT-file", "mat5", "a MATLAB 5 file", "sndfile"),
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

_RIFF_FORM_AT = 8
#: What stands before the name of a form: without it the same four letters are a coincidence, or a trap.
_RIFF = {
    b"WAVE": frozenset({b"RIFF", b"RIFX", b"RF64", b"BW64"}),
    b"AVI ": frozenset({b"RIFF"}),
    **dict.fromkeys((b"AIFF", b"AIFC", b"8SVX", b"16SV"), frozenset({b"FORM"})),
}

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
    """Say what a source holds, from its first bytes and, after a leading tag or zeros, the next ones."""
    start = tags_before(source)
    head = source.read_at(start, SNIFF_BYTES)
    if start and (not head.strip(b"\0") or head.startswith(b"TAG")):
        return Kind("id3", "an ID3 tag without audio", "none", start)
    kind = _by_magic(head, start)
    if kind is None and head[:1] == b"\0":
        block = source.read_at(start, _MAX_JUNK_BYTES)
        zeros = len(block) - len(block.lstrip(b"\0"))
        kind = _by_magic(source.read_at(start + zeros, SNIFF_BYTES), start + zeros)
    return kind or _mp3_behind_junk(source, start) or _rest(head, start)


def _by_magic(head: bytes, start: int) -> Kind | None:
    """Name content by its first bytes; None if no rule matches."""
    for offset, magic, name, title, reader in _MAGIC:
        if head[offset : offset + len(magic)] == magic and (offset != _RIFF_FORM_AT or head[:4] in _RIFF[magic]):
            return Kind(name, title, reader, start)
    return Kind("mp3", "an MP3 file", "sndfile", start) if is_mpeg_frame(head) else None


def _mp3_behind_junk(source: Source, start: int) -> Kind | None:
    """Find the first of several frames of MP3, as players do; None if there are none near the beginning."""
    block = source.read_at(start, _MAX_JUNK_BYTES)
    at = find_frame(block, at_end=start + len(block) >= source.size)
    while at >= 0:
        following = at
        for _ in range(_FRAMES_BEHIND_JUNK):
            head = block[following : following + 4]
            length = frame_bytes(head)
            if not length or stream_key(head) != stream_key(block[at : at + 4]):
                break
            following += length
        else:
            return Kind("mp3", "an MP3 file", "sndfile", start + at)
        at = find_frame(block, at + 1, at_end=start + len(block) >= source.size)
    return None


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


def mismatched_extension(path: str, kind: Kind) -> str | None:
    """Return the extension of ``path`` if it promises another known format than the content is."""
    extension = PurePath(path).suffix.lower()
    expected = _EXTENSIONS.get(extension)
    known = any(kind.name in kinds for kinds in _EXTENSIONS.values())
    return extension if expected and known and kind.name not in expected else None


def _excerpt(head: bytes) -> str:
    return " ".join(head[:200].decode("ascii", "replace").split())[:40]
