# SPDX-License-Identifier: Apache-2.0
"""Where a recording comes from: names and headers as recorders write them, against times worked out by hand."""

from __future__ import annotations

import io
import struct

import pytest
from helpers.recorders import bext, chunk, guano, info, ixml, write_wav

from auricle.audio.origin.clocks import Clocks
from auricle.audio.origin.metadata import audiomoth_statement, ixml_statement
from auricle.audio.origin.names import read_name
from auricle.audio.origin.reader import read_origin
from auricle.results import Origin

NAMES = {
    # AudioMoth: local or UTC, as it was set up; with its number in front; T where a trigger began it
    "20190401_064500.WAV": ("2019-04-01T06:45:00", ""),
    "24F31901603710D6_20210101_120000T.WAV": ("2021-01-01T12:00:00", "24F31901603710D6"),
    # 0x5CA1B0DC = 1554100444 s = 17,987 days (2019-04-01) and 23,644 s (06:34:04)
    "5CA1B0DC.WAV": ("2019-04-01T06:34:04+00:00", ""),
    # Song Meter Mini and SM4; SM3 with its channels, and with $ for recordings of a trigger
    "S4A01234_20190401_064500.wav": ("2019-04-01T06:45:00", "S4A01234"),
    "SM303106_0+1_20160101_060000.wav": ("2016-01-01T06:00:00", "SM303106_0+1"),
    "SM303106_0+1_20160101$060000.wav": ("2016-01-01T06:00:00", "SM303106_0+1"),
    # Arbimon
    "LaSelva-2012-05-21_14-30.flac": ("2012-05-21T14:30:00", "LaSelva"),
    # BirdNET-Pi: from its microphone, from a camera, an extracted detection, and twelve hours (noon and midnight)
    "2023-05-01-birdnet-06:45:09.wav": ("2023-05-01T06:45:09", ""),
    "2023-05-01-birdnet-RTSP_1-06:45:09.wav": ("2023-05-01T06:45:09", ""),
    "Eurasian_Wren-87-2023-05-01-birdnet-06:45:09.mp3": ("2023-05-01T06:45:09", "Eurasian_Wren-87"),
    "2023-05-01-birdnet-12:00:00am.wav": ("2023-05-01T00:00:00", ""),
    "2023-05-01-birdnet-12:30:00pm.wav": ("2023-05-01T12:30:00", ""),
    # ISO 8601, extended and basic, and as file systems without colons make of it; Frontier Labs
    "2023-05-01T06:45:00Z.wav": ("2023-05-01T06:45:00+00:00", ""),
    "2023-05-01T06-45-00-0330.wav": ("2023-05-01T06:45:00-03:30", ""),
    "20230501T0645.wav": ("2023-05-01T06:45:00", ""),
    "2023-05-01T06:45:00.250+02:00.wav": ("2023-05-01T06:45:00.250000+02:00", ""),
    "20230501T064500+1000_REC [-27.3888+152.8808].flac": ("2023-05-01T06:45:00+10:00", "REC"),
    "2023-05-01 06.45.00.wav": ("2023-05-01T06:45:00", ""),
}


@pytest.mark.parametrize("name", NAMES)
def test_a_name_says_when(name):
    found = read_name(f"/card/{name}")
    assert (found.start.isoformat(), found.rest) == NAMES[name]


def test_a_name_says_where():
    found = read_name("20230501T064500+1000_REC [-27.3888+152.8808].flac")
    assert (found.latitude, found.longitude) == (-27.3888, 152.8808)


@pytest.mark.parametrize(
    "name",
    [
        "1-100032-A-0.wav",  # ESC-50
        "57304480.wav",  # a number of eight digits, though 0x57304480 is a day in 2016
        "deadbeef.wav", "5ca1b0dc.wav",  # hashes; AudioMoths write capitals
        "DEADBEEF.WAV",  # 2088
        "20231399_064500.wav", "20230501_250000.wav",  # no such month, no such hour
        "120230501_064500.wav", "2023-05-01.wav", "20230501.wav", "",
    ],
)  # fmt: skip
def test_a_name_that_says_nothing(name):
    assert read_name(name) is None


COMMENTS = {
    # firmware 1.0: no zone; 1.2.1: with one; 1.4.2: V and C; 1.8: deployment, microphone, why it stopped
    "Recorded at 10:30:00 11/04/2018 by AudioMoth 0FE081F80FE081F0 at gain setting 2 while battery state was 3.65V": (
        "2018-04-11T10:30:00",
        {"model": "AudioMoth", "id": "0FE081F80FE081F0", "gain": "2", "battery_v": 3.65},
    ),
    "Recorded at 06:30:00 31/05/2019 (UTC+2) by AudioMoth 247AA5015FB2A9D2 at gain setting 3 while battery state was "
    "> 5.0V": (
        "2019-05-31T06:30:00+02:00",
        {"model": "AudioMoth", "id": "247AA5015FB2A9D2", "gain": "3", "battery": "> 5.0 V"},
    ),
    "Recorded at 20:28:00 28/04/2020 (UTC-3:30) by AudioMoth 24F31901603710D6 at medium-high gain setting while "
    "battery state was less than 2.5V and temperature was -4.2C.": (
        "2020-04-28T20:28:00-03:30",
        {"model": "AudioMoth", "id": "24F31901603710D6", "gain": "medium-high", "battery": "< 2.5 V",
         "temperature_c": -4.2},
    ),
    "Recorded at 10:06:19 06/12/2020 (UTC) during deployment EEC909D42565A5F0 using external microphone at low gain "
    "while battery was 4.2V and temperature was 19.6C. Recording stopped due to switch position change.": (
        "2020-12-06T10:06:19+00:00",
        {"model": "AudioMoth", "deployment": "EEC909D42565A5F0", "gain": "low", "battery_v": 4.2,
         "temperature_c": 19.6, "microphone": "external", "stopped": "switch position change"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("comment", COMMENTS)
def test_the_comment_of_an_audiomoth(comment):
    said = audiomoth_statement(comment)
    assert (said.start.isoformat(), said.recorder) == COMMENTS[comment]


def test_a_comment_of_somebody_else():
    assert audiomoth_statement("Recorded at home by my neighbour") is None


GUANO = (
    "GUANO|Version: 1.0\nTimestamp: 2025-02-27T07:39:02.5+01:00\nMake: Wildlife Acoustics, Inc.\n"
    "Model: Song Meter Mini\nSerial:  2MA04827\nFirmware Version: 4.6\nLoc Position: 46.765390 8.738140\n"
    "Loc Elevation: 1912.5\nTemperature Int: -1.25\nNote: a: b\\nc\nLength: 3597.99   "
)


def test_guano_before_and_behind_the_audio(tmp_path):
    for where in ("before", "behind"):
        path = write_wav(tmp_path / f"{where}.wav", 0.501, **{where: guano(GUANO)})
        origin, flags = read_origin(path)
        assert origin.to_dict() == {
            "start": "2025-02-27T07:39:02.500+01:00",
            "start_from": "guano",
            "recorder": {"make": "Wildlife Acoustics, Inc.", "model": "Song Meter Mini", "id": "2MA04827",
                         "firmware": "4.6", "temperature_c": -1.25},
            "position": {"latitude": 46.76539, "longitude": 8.73814, "elevation_m": 1912.5},
        }  # fmt: skip
        assert flags == ()


def test_guano_of_a_receiver_without_a_fix_has_no_position(tmp_path):
    text = "GUANO|Version: 1.0\nTimestamp: 2025-02-27T07:39:02Z\nLoc Position: 0.0 0.0"
    assert read_origin(write_wav(tmp_path / "x.wav", before=guano(text)))[0].position == {}


def test_bext(tmp_path):
    content = bext(
        description="Rec at pond", originator="Sound Devices 702", reference="abc", date="2021-03-04", time="05:06:07",
        samples=18_367 * 48_000,
    )  # fmt: skip
    origin, _ = read_origin(write_wav(tmp_path / "take.wav", before=content))
    assert origin.to_dict() == {
        "start": "2021-03-04T05:06:07", "start_from": "bext", "recorder": {"make": "Sound Devices 702"},
    }  # fmt: skip


@pytest.mark.parametrize("date", ["2021-03-04", "2021_03_04", "2021:03:04", "2021 03 04", "2021.03.04"])
def test_the_separators_that_bext_allows(tmp_path, date):
    origin, _ = read_origin(write_wav(tmp_path / "take.wav", before=bext(date=date, time="05-06-07")))
    assert origin.start.isoformat() == "2021-03-04T05:06:07"


@pytest.mark.parametrize(("date", "time"), [("", ""), ("2021-02-30", "05:06:07"), ("2021-03-04", ""), ("x", "y")])
def test_bext_without_a_time_says_nothing(tmp_path, date, time):
    assert read_origin(write_wav(tmp_path / "take.wav", before=bext(date=date, time=time)))[0] == Origin()


def test_info(tmp_path):
    for text, start in (
        ("2019-04-01 06:45:00", "2019-04-01T06:45:00"),
        ("2019-04-01T06:45:00Z", "2019-04-01T06:45:00+00:00"),
    ):
        origin, _ = read_origin(write_wav(tmp_path / "take.wav", before=info(ISFT="x", ICRD=text)))
        assert (origin.start.isoformat(), origin.source) == (start, "info")
    for text in ("2019-04-01", "2019", "20190401_064500"):
        assert read_origin(write_wav(tmp_path / "take.wav", before=info(ICRD=text)))[0] == Origin()


def test_info_of_big_endian_files():
    form = struct.pack(">HHIIHH", 1, 1, 1_000, 1_000, 1, 8)
    body = b"WAVE" + chunk(b"fmt ", form, ">") + info(">", ICRD="2019-04-01 06:45:00") + chunk(b"data", bytes(8), ">")
    origin, _ = read_origin(io.BytesIO(chunk(b"RIFX", body, ">")))
    assert origin.start.isoformat() == "2019-04-01T06:45:00"


IXML = """<?xml version="1.0" encoding="UTF-8"?>
<BWFXML><IXML_VERSION>1.62</IXML_VERSION><!-- a comment -->
<LOCATION><LOCATION_GPS>47.756787, -123.729977</LOCATION_GPS><LOCATION_ALTITUDE>1200.4</LOCATION_ALTITUDE></LOCATION>
<BEXT><BWF_ORIGINATOR>MixPre</BWF_ORIGINATOR><BWF_ORIGINATION_DATE>2021-03-04</BWF_ORIGINATION_DATE>
<BWF_ORIGINATION_TIME>05:06:07</BWF_ORIGINATION_TIME></BEXT></BWFXML>"""


def test_ixml(tmp_path):
    origin, _ = read_origin(write_wav(tmp_path / "take.wav", before=ixml(IXML)))
    assert origin.to_dict() == {
        "start": "2021-03-04T05:06:07", "start_from": "ixml", "recorder": {"make": "MixPre"},
        "position": {"latitude": 47.756787, "longitude": -123.729977, "elevation_m": 1200.4},
    }  # fmt: skip


def test_ixml_with_entities_or_damage_says_nothing():
    bomb = '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><BWFXML><PROJECT>&b;</PROJECT></BWFXML>'
    assert ixml_statement(bomb) == ixml_statement(IXML[:80]) == ixml_statement("") == ixml_statement("<")


def test_the_header_of_the_recorder_comes_before_the_name_and_that_before_editors(tmp_path):
    comment = info(ICMT=next(iter(COMMENTS)).replace("2018 by", "2018 (UTC) by"))
    both = comment + bext(date="2018-04-11", time="10:30:30", originator="editor")
    origin, flags = read_origin(write_wav(tmp_path / "20180411_103000.WAV", before=both), Clocks.of("UTC"))
    assert (origin.source, origin.recorder["id"], origin.recorder["make"], flags) == (
        "audiomoth", "0FE081F80FE081F0", "editor", (),
    )  # fmt: skip
    named, _ = read_origin(write_wav(tmp_path / "20180411_103000.WAV", before=bext(date="2020-01-01", time="00:00:00")))
    assert (named.source, named.start.isoformat()) == ("name", "2018-04-11T10:30:00")


def test_starts_that_contradict_each_other_are_flagged(tmp_path):
    before = bext(date="2018-04-11", time="10:31:01")
    _, (flag,) = read_origin(write_wav(tmp_path / "20180411_103000.WAV", before=before))
    assert flag.to_dict() == {"code": "start_conflict", "name": "2018-04-11T10:30:00", "bext": "2018-04-11T10:31:01"}
    fits = bext(date="2018-04-11", time="10:30:59")
    assert read_origin(write_wav(tmp_path / "20180411_103000.WAV", before=fits))[1] == ()


def test_a_name_of_the_recorders_clock_does_not_contradict_its_header(tmp_path):
    """AudioMoths name files by the clock of the comment, whatever the user's zone is."""
    comment = info(ICMT="Recorded at 23:30:00 31/05/2019 (UTC+2) by AudioMoth 247AA5015FB2A9D2 at gain setting 3")
    for name, count in {"20190531_233000.WAV": 0, "20190531_213000.WAV": 1, "20190601_063000.WAV": 0}.items():
        origin, flags = read_origin(write_wav(tmp_path / name, before=comment), Clocks.of("Asia/Tokyo"))
        assert (origin.start.isoformat(), len(flags)) == ("2019-06-01T06:30:00+09:00", count)


def test_a_clock_that_nobody_has_set(tmp_path):
    origin, (flag,) = read_origin(write_wav(tmp_path / "19700101_000012.WAV"))
    assert origin == Origin()
    assert flag.to_dict() == {"code": "clock_unset", "start": "1970-01-01T00:00:12", "from": "name"}


def test_chunks_that_lie_say_nothing(tmp_path):
    head = write_wav(tmp_path / "x.wav", before=guano(GUANO)).read_bytes()
    for broken in (head[:60], head.replace(b"guan" + head[40:44], b"guan\xff\xff\xff\xff"), b"", b"RIFF", head[:12]):
        assert read_origin(io.BytesIO(broken))[0] == Origin()


def test_a_long_file_has_its_length_in_another_chunk():
    ds64 = chunk(b"ds64", struct.pack("<QQQI", 0, 6, 6, 0))
    form = chunk(b"fmt ", struct.pack("<HHIIHH", 1, 1, 1_000, 1_000, 1, 8))
    body = ds64 + form + b"data\xff\xff\xff\xff" + bytes(6) + guano(GUANO)
    origin, _ = read_origin(io.BytesIO(b"RF64\xff\xff\xff\xffWAVE" + body))
    assert origin.recorder["id"] == "2MA04827"
