# SPDX-License-Identifier: Apache-2.0
"""Scans by the clock: starts in results and tables, and the parts of recordings that belong to a time of day."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
import soundfile
from helpers.cli_fixtures import auricle, model  # noqa: F401
from helpers.recorders import info, write_wav
from helpers.tinybundle import RATE

from auricle.recipe.scan_requests import ScanRequest
from auricle.results import DetectResult
from auricle.scanning.listing import Selection
from auricle.scanning.task import decode_result, encode_result


@pytest.fixture
def card(tmp_path):
    """``NIGHT_20241027_025958.wav``: 4 s from two seconds before clocks go back, loud from 2.5 s to 3 s; and noon."""
    folder = tmp_path / "card"
    folder.mkdir()
    level = np.full(4 * RATE, 0.125, np.float32)
    level[5 * RATE // 2 : 3 * RATE] = 0.75
    buzz = np.tile(np.array([1, -1], np.float32), 2 * RATE)
    soundfile.write(folder / "NIGHT_20241027_025958.wav", level * buzz, RATE, subtype="FLOAT")
    soundfile.write(folder / "NOON_20241027_120000.wav", 0.125 * buzz, RATE, subtype="FLOAT")
    return folder


#: Thresholds of the tiny model: one event, where it is loud.
LOUD = ("-t", "loud=0.5", "-t", "quiet=1")


def lines(text):
    return [json.loads(line) for line in text.splitlines()]


def test_a_start_stands_in_every_result_and_an_offset_where_a_zone_was_given(auricle, card, model):  # noqa: F811
    bare = lines(auricle("tag", card, "--model", model, "--format", "json").out)
    assert [(r["start"], r["start_from"]) for r in bare] == [
        ("2024-10-27T02:59:58", "name"), ("2024-10-27T12:00:00", "name"),
    ]  # fmt: skip
    night, noon = lines(auricle("tag", card, "--model", model, "-f", "json", "--time-zone", "Europe/Berlin").out)
    assert (night["start"], noon["start"]) == ("2024-10-27T02:59:58+02:00", "2024-10-27T12:00:00+01:00")
    assert night["flags"][-1] == {"code": "clock_change", "said": "2024-10-27T02:59:58", "hour": "repeated"}


def test_rows_of_events_have_the_time_on_the_wall_where_the_event_begins(auricle, card, model):  # noqa: F811
    done = auricle(
        "detect", card, "--model", model, "-t", "loud=0.5", "-t", "quiet=1", "-f", "csv", "--time-zone", "Europe/Berlin"
    )
    (row,) = csv.DictReader(done.out.splitlines())
    assert row["start"] == "2024-10-27T02:00:00.500+01:00"  # 2.5 s after 02:59:58, and clocks went back at 03:00
    assert (float(row["onset"]), row["recorder"], row["latitude"]) == (2.5, "", "")
    plain = auricle("detect", card, "--model", model, "-f", "csv").out.splitlines()[0]
    assert plain == "path,onset,offset,label,score"


def test_recorder_and_position_stand_in_the_table(auricle, tmp_path, model):  # noqa: F811
    comment = (
        "Recorded at 06:30:00 31/05/2019 (UTC+2) by AudioMoth 247AA5015FB2A9D2 at gain setting 3 while battery state "
        "was 3.9V."
    )
    path = write_wav(tmp_path / "20190531T063000+0200 [-27.3888+152.8808].wav", 1, before=info(ICMT=comment))
    (row,) = csv.DictReader(
        auricle("tag", path, "--model", model, "--top", 1, "-f", "csv", "--time-zone", "UTC").out.splitlines()
    )
    assert [row[name] for name in ("start", "recorder", "latitude", "longitude")] == [
        "2019-05-31T04:30:00+00:00", "247AA5015FB2A9D2", "-27.3888", "152.8808",
    ]  # fmt: skip
    (result,) = lines(auricle("embed", path, "--model", model).out)
    assert result["recorder"]["battery_v"] == 3.9
    assert result["position"] == {"latitude": -27.3888, "longitude": 152.8808}


def test_only_the_part_in_the_time_of_day_is_taken(auricle, card, model):  # noqa: F811
    words = (
        "detect",
        card,
        "--model",
        model,
        "-t",
        "loud=0.5",
        "-t",
        "quiet=1",
        "-f",
        "json",
        "--time-zone",
        "Europe/Berlin",
    )
    done = auricle(*words, "--from", "02:00", "--to", "02:00:01")
    (result,) = lines(done.out)
    assert (result["part"], result["duration"]) == ([2, 3], 1)
    assert [(e["label"], e["onset"], e["offset"]) for e in result["events"]] == [("loud", 2.5, 3.0)]
    assert "1 recordings lie outside 02:00 to 02:00:01 and are left out" in done.err
    (whole,) = lines(auricle(*words, "--from", "02:00", "--to", "03:00").out)
    assert "part" not in whole


def test_events_of_a_part_are_cut_out_of_the_recording(auricle, card, model, tmp_path):  # noqa: F811
    words = (
        "detect",
        card,
        "--model",
        model,
        *LOUD,
        "--time-zone",
        "Europe/Berlin",
        "--from",
        "02:00",
        "--to",
        "02:01",
    )
    assert auricle(*words, "--clips", tmp_path / "clips", "--lead", 0, "--tail", 0, "--clip-format", "wav").code == 0
    (path,) = (tmp_path / "clips").rglob("*.wav")
    samples, rate = soundfile.read(path)
    assert (len(samples), rate) == (RATE // 2, RATE)
    assert np.abs(samples).min() > 0.7


def test_a_folder_of_results_is_the_same_and_remembers_the_times(auricle, card, model, tmp_path):  # noqa: F811
    words = ("detect", card, "--model", model, "--time-zone", "Europe/Berlin", "--from", "02:00", "--to", "02:00:01")
    printed = auricle(*words, "-f", "json").out
    out = tmp_path / "out"
    assert auricle(*words, "--out", out).code == 0
    assert (out / "events.jsonl").read_text() == printed
    again = auricle(*words[:-1], "02:00:02", "--out", out, "--resume")
    assert again.code == 2
    assert "daytime" in again.err


def test_a_recording_without_a_start_fails_by_name_where_times_are_asked_for(auricle, card, model):  # noqa: F811
    (card / "NOON_20241027_120000.wav").rename(card / "noon.wav")
    done = auricle("tag", card, "--model", model, "-f", "json", "--from", "01:00")
    found = lines(done.out)
    assert done.code == 1
    message = "neither name nor header says when it began; leave --from and --to out, or see docs/clock.md for names"
    assert found[1]["error"] == {"code": "no_start", "message": message}


def test_no_recording_of_a_time_of_day_is_wrong_use(auricle, card, model):  # noqa: F811
    done = auricle("tag", card, "--model", model, "--from", "05:00", "--to", "06:00")
    assert (done.code, done.err) == (
        2, "auricle: none of 2 recordings was made from 05:00 to 06:00; see auricle data deployment\n",
    )  # fmt: skip


def test_one_recording_of_two_days_has_two_mornings(tmp_path):
    path = write_wav(tmp_path / "20240501_000000.wav", 2 * 86_400)
    request = ScanRequest(path, from_time="04:30", to_time="07:00")
    found = list(Selection.of(request).entries(print))
    assert [entry.part for entry in found] == [(16_200, 25_200), (102_600, 111_600)]
    assert {entry.path for entry in found} == {str(path)}


def test_an_origin_comes_back_from_the_journal_with_its_clock(card):
    from auricle.audio.origin.clocks import Clocks
    from auricle.audio.origin.reader import read_origin

    origin, _ = read_origin(card / "NIGHT_20241027_025958.wav", Clocks.of("Europe/Berlin"))
    result = DetectResult("x", 4.0, origin=origin, part=(1.0, 3.0))
    back = decode_result("detect", json.loads(json.dumps(encode_result(result))))
    assert back == result
    assert back.origin.at(4).isoformat() == "2024-10-27T02:00:02+01:00"
