# SPDX-License-Identifier: Apache-2.0
"""Three days of recordings of ten minutes, with a gap, an overlap, a cut file and the night in which clocks go back."""

from __future__ import annotations

import csv
import json
from datetime import UTC, datetime, timedelta

import pytest
from helpers import cli_fixtures
from helpers.recorders import guano, info, write_wav

import auricle
from auricle.errors import UsageError

auricle_cli = cli_fixtures.auricle
STEP = timedelta(minutes=10)
#: Local and UTC times by hand: Berlin has UTC+2 until 01:00 UTC on 27 October 2024, UTC+1 from then on.
TABLE = [
    ("20241025_220000.WAV", "2024-10-26T00:00:00+02:00", "2024-10-25T22:00:00+00:00", "2024-10-26T00:10:00+02:00"),
    ("20241026_095000.WAV", "2024-10-26T11:50:00+02:00", "2024-10-26T09:50:00+00:00", "2024-10-26T12:00:00+02:00"),
    ("20241026_102000.WAV", "2024-10-26T12:20:00+02:00", "2024-10-26T10:20:00+00:00", "2024-10-26T12:30:00+02:00"),
    ("20241027_000000.WAV", "2024-10-27T02:00:00+02:00", "2024-10-27T00:00:00+00:00", "2024-10-27T02:10:00+02:00"),
    ("20241027_005000.WAV", "2024-10-27T02:50:00+02:00", "2024-10-27T00:50:00+00:00", "2024-10-27T02:00:00+01:00"),
    ("20241027_010000.WAV", "2024-10-27T02:00:00+01:00", "2024-10-27T01:00:00+00:00", "2024-10-27T02:10:00+01:00"),
    ("20241027_015000.WAV", "2024-10-27T02:50:00+01:00", "2024-10-27T01:50:00+00:00", "2024-10-27T03:00:00+01:00"),
    ("20241027_150000.WAV", "2024-10-27T16:00:00+01:00", "2024-10-27T15:00:00+00:00", "2024-10-27T16:11:30+01:00"),
    ("20241028_060000.WAV", "2024-10-28T07:00:00+01:00", "2024-10-28T06:00:00+00:00", "2024-10-28T07:04:00+01:00"),
    ("20241028_225000.WAV", "2024-10-28T23:50:00+01:00", "2024-10-28T22:50:00+00:00", "2024-10-29T00:00:00+01:00"),
]
GAP = {"20241026_100000.WAV", "20241026_101000.WAV"}


@pytest.fixture(scope="session")
def card(tmp_path_factory):
    """The card of an AudioMoth in UTC: 26 to 28 October in Berlin are 73 hours, 438 recordings, two are missing."""
    folder = tmp_path_factory.mktemp("card")
    moment = datetime(2024, 10, 25, 22, tzinfo=UTC)
    for _ in range(73 * 6):
        name = f"{moment:%Y%m%d_%H%M%S}.WAV"
        comment = (
            f"Recorded at {moment:%H:%M:%S %d/%m/%Y} (UTC) by AudioMoth 24F31901603710D6 at medium gain while battery "
            "was 4.1V and temperature was 11.3C."
        )
        if name not in GAP:
            write_wav(
                folder / f"{moment:%Y%m%d}" / name,
                690 if name == "20241027_150000.WAV" else 600,
                before=info(ICMT=comment, IART="AudioMoth 24F31901603710D6"),
                kept_s=240 if name == "20241028_060000.WAV" else None,
            )
        moment += STEP
    return folder


@pytest.fixture(scope="session")
def report(card):
    return auricle.deployment(card, time_zone="Europe/Berlin")


def test_every_recording_has_its_local_and_its_utc_time(report):
    (deployment,) = report.deployments
    assert (deployment.recorder, len(deployment.recordings), report.left_out) == ("24F31901603710D6", 436, ())
    found = {recording["path"].rsplit("/", 1)[1]: recording for recording in deployment.to_dict()["recordings"]}
    rows = [(name, found[name]["start"], found[name]["start_utc"], found[name]["end"]) for name, *_ in TABLE]
    assert rows == TABLE
    assert found["20241025_220000.WAV"]["recorder"] == {
        "model": "AudioMoth", "id": "24F31901603710D6", "gain": "medium", "battery_v": 4.1, "temperature_c": 11.3,
    }  # fmt: skip


def test_the_gap_the_overlap_and_the_cut_file_are_all_there_is_to_report(report):
    (deployment,) = report.deployments
    joints = [(j.seconds, j.at.isoformat(), j.after.rsplit("/", 1)[1], j.at_clock_change) for j in deployment.joints]
    assert joints == [
        (1200.0, "2024-10-26T12:00:00+02:00", "20241026_102000.WAV", False),
        (-90.0, "2024-10-27T16:10:00+01:00", "20241027_151000.WAV", False),
        (360.0, "2024-10-28T07:04:00+01:00", "20241028_061000.WAV", False),
    ]
    flagged = {r.path.rsplit("/", 1)[1]: [f.code for f in r.flags] for r in deployment.recordings if r.flags}
    assert flagged == {"20241028_060000.WAV": ["truncated"]}
    assert deployment.recorded_s == 436 * 600 + 90 - 360
    assert deployment.usual_pause_s == 0


def test_the_command_says_the_same(card, auricle_cli):
    done = auricle_cli("data", "deployment", card, "--time-zone", "Europe/Berlin")
    lines = done.out.splitlines()
    assert lines[0] == (
        "24F31901603710D6: 436 recordings from 2024-10-26T00:00:00+02:00 to 2024-10-29T00:00:00+01:00, "
        "72 h 35 min in all"
    )
    assert lines[1].startswith("  gap of 1200 s at 2024-10-26T12:00:00+02:00, before ")
    assert lines[2].startswith("  overlap of 90 s at 2024-10-27T16:10:00+01:00, before ")
    assert lines[3].startswith("  gap of 360 s at 2024-10-28T07:04:00+01:00, before ")
    assert lines[4].endswith("20241028_060000.WAV: truncated")
    assert (len(lines), done.code) == (5, 0)
    table = auricle_cli("data", "deployment", card, "--time-zone", "Europe/Berlin", "--format", "csv").out
    rows = {row["path"].rsplit("/", 1)[1]: row for row in csv.DictReader(table.splitlines())}
    assert [(name, rows[name]["start"], rows[name]["start_utc"], rows[name]["end"]) for name, *_ in TABLE] == TABLE
    assert (rows["20241026_102000.WAV"]["gap_before"], rows["20241026_102000.WAV"]["battery_v"]) == ("1200", "4.1")
    found = auricle_cli("data", "deployment", card, "--time-zone", "Europe/Berlin", "--format", "json").out
    assert len(json.loads(found)["deployments"][0]["recordings"]) == 436


def test_a_recorder_that_kept_summer_time(tmp_path):
    """Names count on from 02:50 to 03:00 in UTC+2, where the clocks of Berlin stood at 02:00 again."""
    moment = datetime(2024, 10, 27, 1, 30)
    for _ in range(15):
        write_wav(tmp_path / f"SMM01_{moment:%Y%m%d_%H%M%S}.wav", 600)
        moment += STEP
    (wrong,) = auricle.deployment(tmp_path, time_zone="Europe/Berlin").deployments
    (joint,) = wrong.joints
    assert (joint.seconds, joint.at_clock_change) == (3600.0, True)
    (right,) = auricle.deployment(tmp_path, time_zone="Europe/Berlin", clock_zone="+02:00").deployments
    assert right.joints == ()
    assert right.recordings[-1].origin.start.isoformat() == "2024-10-27T02:50:00+01:00"
    assert right.recorder.endswith("/SMM01")


def test_pauses_of_a_schedule_are_no_gaps_until_one_is_missing(tmp_path):
    for hour in (0, 1, 2, 4, 5):
        write_wav(tmp_path / f"20240501_{hour:02}0000.wav", 300)
    (deployment,) = auricle.deployment(tmp_path).deployments
    assert deployment.usual_pause_s == 3300
    assert [(joint.seconds, joint.at.isoformat()) for joint in deployment.joints] == [(6900.0, "2024-05-01T02:05:00")]


def test_recorders_are_kept_apart(tmp_path):
    for name in ("a/S4A01_20240501_000000.wav", "a/S4A02_20240501_000000.wav", "b/20240501/20240501_000000.wav"):
        write_wav(tmp_path / name, 60)
    write_wav(tmp_path / "b" / "20240502" / "20240502_000000.wav", 60)
    text = "GUANO|Version: 1.0\nTimestamp: 2024-05-01T00:00:30\nSerial: S4A02"
    write_wav(tmp_path / "c" / "x.wav", 60, before=guano(text))
    found = auricle.deployment(tmp_path).deployments
    assert [(d.recorder.removeprefix(str(tmp_path)), len(d.recordings)) for d in found] == [
        ("/a/S4A01", 1), ("/a/S4A02", 1), ("/b", 2), ("S4A02", 1),
    ]  # fmt: skip


def test_what_has_no_place_is_named(tmp_path, auricle_cli):
    write_wav(tmp_path / "20240501_000000.wav", 60)
    write_wav(tmp_path / "walk.wav", 60)
    (tmp_path / "20240501_001000.wav").write_bytes(b"no sound")
    done = auricle_cli("data", "deployment", tmp_path)
    assert done.code == 1
    place = "neither name nor header says when it began; docs/clock.md has the names that do"
    assert done.out.splitlines()[1:] == [
        f"{tmp_path}/20240501_001000.wav: text that begins with 'no sound' [not_audio]",
        f"{tmp_path}/walk.wav: {place} [no_start]",
    ]


def test_an_unknown_zone_is_wrong_use(tmp_path):
    with pytest.raises(UsageError, match="time zone 'Mars' is unknown"):
        auricle.deployment(tmp_path, time_zone="Mars")
