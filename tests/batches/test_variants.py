# SPDX-License-Identifier: Apache-2.0
"""Variants of voices: who speaks, which system, the same changes for both classes, and resuming."""

from __future__ import annotations

import json

import numpy as np
import pytest
import soundfile
from helpers.toydata import content

from auricle.batches.augment.variants import VariantRules, change_voice, vocode, write_variants
from auricle.data.formats.registry import read_manifest
from auricle.errors import DataError, RunError, UsageError

RATE = 8_000
ONLY_GL = {"griffin_lim": "S07"}


@pytest.fixture(scope="module")
def voices(tmp_path_factory):
    """Two people and a synthetic voice, a recording each."""
    folder = tmp_path_factory.mktemp("voices")
    for name in ("flac", "protocols"):
        (folder / name).mkdir()
    rng = np.random.default_rng(0)
    lines = ["ann a - - bonafide", "bob b - - bonafide", "robot r - S01 spoof"]
    for line in lines:
        sound = 0.1 * rng.standard_normal(4_000)
        soundfile.write(folder / f"flac/{line.split()[1]}.flac", sound, RATE, subtype="PCM_16")
    (folder / "protocols/train.txt").write_text("\n".join(lines) + "\n")
    (folder / "protocols/dev.txt").write_text("cid d - - bonafide\n")  # which no variant is made of
    soundfile.write(folder / "flac/d.flac", np.zeros(4_000), RATE)
    return folder


def test_each_recording_its_variants_and_people_through_a_vocoder(voices, tmp_path):
    rules = VariantRules(each=2, vocoded=1, systems=ONLY_GL)
    assert write_variants(read_manifest(voices), tmp_path / "out", rules, RATE) == 11
    made = read_manifest(tmp_path / "out")
    rows = sorted((c.key.split("/")[1], c.group, c.label[0], c.extra["system"]) for c in made.clips)
    assert rows[:4] == [
        ("00000_a-0.flac", "ann", "bonafide", "-"),
        ("00000_a-1.flac", "ann", "bonafide", "-"),
        ("00000_a-2.flac", "ann", "bonafide", "-"),
        ("00000_a-3.flac", "ann", "spoof", "S07"),
    ]
    assert rows[8:] == [(f"00002_r-{i}.flac", "robot", "spoof", "S01") for i in range(3)]
    assert {c.split for c in made.clips} == {"train"}
    changed = {c.key for c in made.clips if "variant" in c.extra}
    assert changed == {c.key for c in made.clips if not c.key.endswith("-0.flac")}
    first, _ = soundfile.read(tmp_path / "out/flac/00000_a-0.flac")
    recorded, _ = soundfile.read(voices / "flac/a.flac")
    assert np.array_equal(first, recorded)
    second, rate = soundfile.read(tmp_path / "out/flac/00000_a-1.flac")
    assert rate == RATE
    assert not np.array_equal(second[:3_000], recorded[:3_000])
    assert json.loads((tmp_path / "out/variants.json").read_text())["systems"] == ONLY_GL


def test_a_stopped_run_goes_on_to_the_same_bytes(voices, tmp_path):
    rules = VariantRules(each=1, vocoded=1, systems=ONLY_GL)
    write_variants(read_manifest(voices), tmp_path / "out", rules, RATE)
    whole = content(tmp_path / "out")
    for name in ("flac/00000_a-1.flac", "flac/00001_b-2.flac", "protocols/train.txt"):
        (tmp_path / "out" / name).unlink()
    write_variants(read_manifest(voices), tmp_path / "out", rules, RATE)
    assert content(tmp_path / "out") == whole
    with pytest.raises(RunError, match=r"cannot continue: it was started with another each, seed"):
        write_variants(read_manifest(voices), tmp_path / "out", VariantRules(each=2, systems=ONLY_GL, seed=1), RATE)


def test_a_variant_is_a_function_of_seed_recording_and_number():
    sound = (0.1 * np.random.default_rng(1).standard_normal(4_000)).astype(np.float32)
    rules = VariantRules(systems=ONLY_GL)
    first = change_voice(sound, RATE, rules, 0, 1)
    assert np.array_equal(first, change_voice(sound, RATE, rules, 0, 1))
    others = [change_voice(sound, RATE, rules, clip, number) for clip, number in ((0, 2), (1, 1))]
    others.append(change_voice(sound, RATE, VariantRules(systems=ONLY_GL, seed=1), 0, 1))
    assert all(len(first) != len(x) or not np.array_equal(first, x) for x in others)
    lengths = [len(change_voice(sound, RATE, rules, 0, i)) for i in range(20)]
    assert 4_000 / 1.1 - 2 <= min(lengths) < 4_000 < max(lengths) <= 4_000 / 0.9
    assert all(np.abs(change_voice(20 * sound, RATE, rules, 0, i)).max() <= 0.981 for i in range(20))
    once, name = vocode(sound, RATE, rules, 0, 1)
    assert name == "griffin_lim"
    assert np.array_equal(once, vocode(sound, RATE, rules, 0, 1)[0])


def test_what_cannot_be_meant(voices, tmp_path):
    with pytest.raises(UsageError, match=r"unknown vocoder 'worlds' \(did you mean 'world'\?\); known: griffin_lim, w"):
        VariantRules(systems={"worlds": "S1"})
    with pytest.raises(UsageError, match="0 variants and 0 vocoded ones: expected at least one of either"):
        VariantRules(each=0, vocoded=0)
    with pytest.raises(UsageError, match="1 vocoded variants and no vocoder; known: griffin_lim, world"):
        VariantRules(systems={})
    for name in ("low", "high"):
        (tmp_path / "sounds" / name).mkdir(parents=True)
        soundfile.write(tmp_path / "sounds" / name / "a.wav", np.zeros(4_000), RATE)
    with pytest.raises(DataError, match="labels high, low; expected bonafide and spoof"):
        write_variants(read_manifest(tmp_path / "sounds"), tmp_path / "out", VariantRules(systems=ONLY_GL), RATE)
