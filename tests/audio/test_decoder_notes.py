# SPDX-License-Identifier: Apache-2.0
"""What C code writes to its standard error during a call: notes of the decoder are kept, all else is passed on."""

from __future__ import annotations

import ctypes
import os
import platform
import sys

import pytest

from auricle.audio import decoder_notes
from auricle.audio.decoder_notes import caught_notes

needs_glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library has no such variable")


def write_in_c(text: str) -> None:
    libc = ctypes.CDLL(None)
    stream = ctypes.c_void_p.in_dll(libc, "stderr")
    libc.fputs.argtypes = [ctypes.c_char_p, ctypes.c_void_p]
    libc.fputs(text.encode(), stream)
    libc.fflush(stream)


@needs_glibc
@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("Note: Illegal Audio-MPEG-Header 0x00000000 at offset 3276.\n", True),
        ("[src/libmpg123/layer3.c:INT123_do_layer3():1774] error: part2_3_length (1920) too large\n", True),
        ("Warning: Xing stream size off by more than 1%, fuzzy seeking may be even more fuzzy\n", False),
    ],
)
def test_notes_of_the_decoder_are_kept_or_dropped(capfd, text, kept):
    notes: list[str] = []
    with caught_notes(notes):
        write_in_c(text)
    assert notes == ([text.strip()] if kept else [])
    assert capfd.readouterr().err == ""


@needs_glibc
@pytest.mark.parametrize("text", ["out of memory\n", "a warning of another library\n"])
def test_what_others_write_is_passed_on(capfd, text):
    notes: list[str] = []
    with caught_notes(notes):
        write_in_c(text)
    assert notes == []
    assert capfd.readouterr().err == text


@needs_glibc
def test_python_and_file_descriptor_2_stay_as_they_are(capfd):
    with caught_notes([]):
        print("from Python", file=sys.stderr, flush=True)
        os.write(2, b"from the descriptor\n")
    assert capfd.readouterr().err == "from Python\nfrom the descriptor\n"


@needs_glibc
def test_afterwards_all_is_as_before_also_after_an_error(capfd):
    with pytest.raises(ValueError, match="inside"), caught_notes([]):
        raise ValueError("inside")
    write_in_c("Note: resync\n")
    assert capfd.readouterr().err == "Note: resync\n"


def test_where_nothing_can_be_caught_the_call_goes_on(monkeypatch):
    monkeypatch.setattr(decoder_notes, "_library", lambda: None)
    with caught_notes([]):
        done = True
    assert done
