# SPDX-License-Identifier: Apache-2.0
"""The cache: reused where the content is the same, built again where an entry is damaged."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from auricle.audio.decode import read_audio
from auricle.batches import cache as cache_module
from auricle.batches.cache import (
    HEADER_BYTES,
    HOPELESS_AFTER,
    WaveformCache,
    default_cache_dir,
    entry_version,
    is_sound,
)
from auricle.errors import DataError, InputError, RunError

RATE = 8_000


@pytest.fixture
def recording(tmp_path, tone):
    path = tmp_path / "a.wav"
    soundfile.write(path, tone(0.25, rate=RATE), RATE, subtype="FLOAT")
    return path


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "cache"


def entries(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.f32"))


def at_rate(folder: Path) -> Path:
    return folder / f"{RATE}-{entry_version()}"


def counts(report) -> tuple[int, int, int, int]:
    return report.built, report.reused, report.repaired, len(report.failures)


def test_what_is_loaded_is_what_was_decoded(recording, folder):
    cache = WaveformCache(folder, RATE)
    assert counts(cache.prepare([str(recording)])) == (1, 0, 0, 0)
    loaded = cache.load(str(recording))
    assert not loaded.flags.owndata  # it is the file, mapped
    assert np.array_equal(loaded, read_audio(recording, sample_rate=RATE).samples)
    with pytest.raises(ValueError, match="read-only"):
        loaded[0] = 1


def test_entries_are_resampled_and_kept_for_each_rate(recording, folder):
    for rate in (RATE, 16_000):
        cache = WaveformCache(folder, rate)
        assert counts(cache.prepare([str(recording)])) == (1, 0, 0, 0)
        assert np.array_equal(cache.load(str(recording)), read_audio(recording, sample_rate=rate).samples)
    assert [entry.parts[-3].split("-")[0] for entry in entries(folder)] == ["16000", "8000"]


def test_a_second_run_and_a_copy_reuse_the_entry(recording, folder):
    WaveformCache(folder, RATE).prepare([str(recording)])
    copy = recording.with_name("copy.wav")
    shutil.copy(recording, copy)
    cache = WaveformCache(folder, RATE)
    assert counts(cache.prepare([str(recording), str(copy), str(copy)])) == (0, 2, 0, 0)
    assert np.array_equal(cache.load(str(copy)), cache.load(str(recording)))
    assert len(entries(folder)) == 1


def test_a_changed_file_is_another_entry(recording, folder, tone):
    WaveformCache(folder, RATE).prepare([str(recording)])
    soundfile.write(recording, tone(0.1, rate=RATE, frequency=500), RATE, subtype="FLOAT")
    cache = WaveformCache(folder, RATE)
    assert counts(cache.prepare([str(recording)])) == (1, 0, 0, 0)
    assert len(cache.load(str(recording))) == 800


def flip(entry: Path) -> None:
    content = bytearray(entry.read_bytes())
    content[HEADER_BYTES + 7] ^= 1
    entry.write_bytes(content)


def cut(entry: Path) -> None:
    entry.write_bytes(entry.read_bytes()[:-4])


def empty(entry: Path) -> None:
    entry.write_bytes(b"")


def other_format(entry: Path) -> None:
    entry.write_bytes(b"auricle waveform 0\n" + entry.read_bytes()[19:])


@pytest.mark.parametrize("damage", [flip, cut, empty, other_format])
def test_a_damaged_entry_is_built_again_and_counted(recording, folder, damage):
    cache = WaveformCache(folder, RATE)
    cache.prepare([str(recording)])
    before = np.array(cache.load(str(recording)))
    (entry,) = entries(folder)
    damage(entry)
    again = WaveformCache(folder, RATE)
    assert counts(again.prepare([str(recording)])) == (1, 0, 1, 0)
    assert np.array_equal(again.load(str(recording)), before)


def test_failures_are_collected_and_the_others_go_on(recording, folder, tmp_path):
    broken = tmp_path / "broken.wav"
    broken.write_bytes(b"")
    gone = tmp_path / "gone.wav"
    inner = tmp_path / "folder.wav"
    inner.mkdir()
    ready = []
    cache = WaveformCache(folder, RATE)
    report = cache.prepare([str(broken), str(gone), str(inner), str(recording)], lambda: ready.append(1))
    assert {path: error.code for path, error in report.failures.items()} == {
        str(broken): "empty_file",
        str(gone): "not_found",
        str(inner): "not_regular",
    }
    assert report.failures[str(gone)].message == f"{gone}: no such file"
    assert report.failures[str(inner)].message == f"{inner}: Is a directory"
    assert (report.built, len(ready)) == (1, 4)
    assert len(entries(folder)) == 1


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() == 0, reason="root may read everything")
def test_an_unreadable_file_is_a_failure(recording, folder):
    recording.chmod(0)
    report = WaveformCache(folder, RATE).prepare([str(recording)])
    assert report.failures[str(recording)].code == "permission"


def test_flags_of_files_decoded_now_are_reported(folder, tmp_path):
    silent = tmp_path / "silent.wav"
    soundfile.write(silent, np.zeros(800), RATE)
    report = WaveformCache(folder, RATE).prepare([str(silent)])
    assert [flag.code for flag in report.flags[str(silent)]] == ["silent"]


def test_the_folder_is_private(folder):
    WaveformCache(folder, RATE)
    assert (at_rate(folder)).stat().st_mode & 0o077 == 0


def test_a_folder_that_others_may_write_into_is_refused(folder):
    (at_rate(folder)).mkdir(parents=True)
    (at_rate(folder)).chmod(0o777)
    with pytest.raises(RunError) as caught:
        WaveformCache(folder, RATE)
    assert str(caught.value) == (
        f"the cache folder {at_rate(folder)} belongs to another user or others may write into it; "
        "set AURICLE_CACHE to a folder of your own"
    )


def test_a_folder_of_another_user_is_refused(folder, monkeypatch):
    WaveformCache(folder, RATE)
    monkeypatch.setattr(os, "getuid", lambda: folder.stat().st_uid + 1)
    with pytest.raises(RunError, match="belongs to another user or others may write into it"):
        WaveformCache(folder, RATE)


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match=r"the cache folder .*file cannot be made \(.*\); set AURICLE_CACHE to another"):
        WaveformCache(tmp_path / "file", RATE)


def test_n9_every_cut_and_flipped_bit_is_seen(recording, folder):
    WaveformCache(folder, RATE).prepare([str(recording)])
    (entry,) = entries(folder)
    content = entry.read_bytes()
    assert len(content) <= 20_000
    assert is_sound(content)
    assert not [size for size in range(len(content)) if is_sound(content[:size])]
    rng = np.random.default_rng(0)
    damaged = bytearray(content)
    for place, bit in zip(rng.integers(len(content), size=10_000), rng.integers(8, size=10_000), strict=True):
        damaged[place] ^= 1 << bit
        assert not is_sound(bytes(damaged)), (place, bit)
        damaged[place] ^= 1 << bit


@pytest.mark.parametrize("name", ["DECODING", "MAGIC"])
def test_n10_entries_of_another_code_are_not_used(recording, folder, monkeypatch, name):
    WaveformCache(folder, RATE).prepare([str(recording)])
    monkeypatch.setattr(cache_module, name, {"DECODING": 2, "MAGIC": b"auricle waveform 2\n"}[name])
    assert counts(WaveformCache(folder, RATE).prepare([str(recording)])) == (1, 0, 0, 0)
    assert len(entries(folder)) == 2


def test_n10_entries_of_another_decoder_are_not_used(recording, folder, monkeypatch):
    WaveformCache(folder, RATE).prepare([str(recording)])
    monkeypatch.setattr(cache_module.soundfile, "__libsndfile_version__", "9.9.9")
    assert counts(WaveformCache(folder, RATE).prepare([str(recording)])) == (1, 0, 0, 0)


def test_n12_two_processes_build_one_entry(recording, folder):
    children = []
    for _ in range(2):
        pid = os.fork()
        if pid == 0:
            report = WaveformCache(folder, RATE).prepare([str(recording)])
            os._exit(len(report.failures))
        children.append(pid)
    assert [os.waitpid(pid, 0)[1] for pid in children] == [0, 0]
    assert counts(WaveformCache(folder, RATE).prepare([str(recording)])) == (0, 1, 0, 0)
    assert [path.name for path in entries(folder)[0].parent.iterdir()] == [entries(folder)[0].name]


def test_n13_an_entry_that_is_gone_is_built_again(recording, folder):
    cache = WaveformCache(folder, RATE)
    cache.prepare([str(recording)])
    before = np.array(cache.load(str(recording)))
    shutil.rmtree(folder)
    assert np.array_equal(cache.load(str(recording)), before)
    shutil.rmtree(folder)
    recording.unlink()
    with pytest.raises(InputError, match=r"a\.wav: no such file"):
        cache.load(str(recording))


def test_r22_what_a_killed_run_left_in_the_cache_is_swept(recording, folder):
    WaveformCache(folder, RATE).prepare([str(recording)])
    (entry,) = entries(folder)
    left = entry.with_name(".auricle-0123456789abcdef.tmp")
    left.write_bytes(b"half")
    os.utime(left, (0, 0))
    entry.unlink()
    WaveformCache(folder, RATE).prepare([str(recording)])
    assert not left.exists()


def test_r1_a_full_disk_is_no_fault_of_the_recording(recording, folder, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache_module, "atomic_write", full)
    with pytest.raises(
        RunError, match=r"the cache cannot write .*f32: No space left on device \(8064 bytes\); free some"
    ):
        WaveformCache(folder, RATE).prepare([str(recording)])


def test_r20_data_of_which_nothing_can_be_used_stops_early_with_its_causes(folder, tmp_path):
    paths = []
    for number in range(2 * HOPELESS_AFTER):
        path = tmp_path / f"{number}.wav"
        path.write_bytes(b"" if number % 5 else b"<html>404</html>")
        paths.append(str(path))
    tried = []
    with pytest.raises(DataError) as caught:
        WaveformCache(folder, RATE).prepare(paths, lambda: tried.append(1))
    assert len(tried) < HOPELESS_AFTER
    summary, first, second = str(caught.value).splitlines()
    assert (
        summary == f"none of the first {HOPELESS_AFTER} recordings can be decoded; training needs recordings that can"
    )
    assert first.startswith(f"  - empty_file, {HOPELESS_AFTER * 4 // 5} times, such as ")
    assert second.startswith(f"  - not_audio, {HOPELESS_AFTER // 5} times, such as ")


def test_where_the_cache_lives(monkeypatch):
    monkeypatch.setenv("AURICLE_CACHE", "/somewhere")
    assert default_cache_dir() == Path("/somewhere")
    monkeypatch.delenv("AURICLE_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
    assert default_cache_dir() == Path("/xdg/auricle")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert default_cache_dir() == Path.home() / ".cache" / "auricle"


def test_entries_are_found_in_the_folder_of_another_machine(recording, folder, tmp_path):
    cache = WaveformCache(folder, RATE)
    cache.prepare([str(recording)])
    assert cache.missing() == []
    here = cache.at(tmp_path / "here")
    assert here.missing() == [str(recording)]
    assert counts(here.prepare(here.missing())) == (1, 0, 0, 0)
    assert here.missing() == []
    assert np.array_equal(here.load(str(recording)), cache.load(str(recording)))
    assert entries(tmp_path / "here") != entries(folder)
    assert cache.at(folder).missing() == []
