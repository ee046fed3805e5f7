# SPDX-License-Identifier: Apache-2.0
"""The bank of negatives: made with this network, of nothing that a figure is of, and small."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from auricle.enrolment.backbone import open_backbone
from auricle.enrolment.bank import BANK_FILE, far_from, load_bank, pack
from auricle.enrolment.clips import EnrolledClip
from auricle.enrolment.heads import SAME_SOUND, useful_bank
from auricle.errors import BundleError
from auricle.files import sha256_file
from auricle.runtime.model_names import BUNDLES

SOURCES = Path(__file__).parents[2] / "docs/results/general-sources.csv"


@pytest.fixture(scope="module")
def bank():
    return load_bank(open_backbone().sha256)


def test_it_is_small_and_of_the_networks_own_vectors(bank):
    assert BANK_FILE.stat().st_size <= 400_000
    clip, frames = open_backbone().vectors(np.full(16_000, 0.01, np.float32))
    assert bank.clips.shape[1] == bank.clip_scale.mean.shape[0] == clip.shape[1]
    assert bank.runs.shape[2] == bank.frame_scale.mean.shape[0] == frames.shape[1]
    assert len(bank.clips) >= 150
    assert bank.runs.shape[0] * bank.runs.shape[1] >= 1_000
    assert np.abs(bank.clips.mean()) < 0.1, "scaled by the mean of all sounds, of which these are a sample"
    assert 0.7 < bank.clips.std() < 1.3


def test_all_models_and_the_bank_are_eight_megabytes():
    files = [path for path in BUNDLES.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in (*files, BANK_FILE)) <= 8_000_000


def test_a_bank_of_another_network_is_refused():
    with pytest.raises(BundleError, match=r"made with the network .*make it again: python scripts/make_bank\.py"):
        load_bank("0" * 64)


@pytest.mark.shared
@pytest.mark.parametrize(("data", "pattern"), [("esc10", "*/*.ogg"), ("strong", "audio/*.ogg")])
def test_nothing_that_a_figure_is_of_is_in_it(bank, shared, data, pattern):
    files = sorted((shared / "data" / data).glob(pattern))
    assert len(files) >= 80
    assert not {sha256_file(file)[:16] for file in files} & bank.recordings


def test_all_of_it_was_heard_by_the_built_in_model_too(bank):
    """The list beside that model's figures, which other tests compare with test clips, covers the bank."""
    with SOURCES.open(newline="", encoding="utf-8") as file:
        listed = {row["sha256"] for row in csv.DictReader(file)}
    assert len(bank.recordings) > 3_000
    assert bank.recordings <= listed


def test_vectors_are_packed_in_sixteenths():
    assert pack([0.5, -1.03, 100.0]).tolist() == [8, -16, 127]


def clip(vector: np.ndarray, group: str) -> EnrolledClip:
    views, frames = np.stack([vector, vector]).astype(np.float32), np.zeros((1, 2), np.float32)
    return EnrolledClip(group, group, ("dog",), group, views, frames, frames, np.zeros((1, 2), np.float32))


def test_sounds_of_the_bank_that_may_be_the_class_are_left_out(bank):
    """A sound of the bank is enrolled itself, twice: it must not stand against itself."""
    scale = bank.clip_scale
    same = bank.clips[7] * scale.deviation + scale.mean
    kept = useful_bank(bank, [clip(same, "a"), clip(same, "b")])
    assert len(kept) < len(bank.clips)
    assert not np.isclose(kept, bank.clips[7]).all(axis=1).any()
    assert len(kept) > 0.9 * len(bank.clips), "others stay"


def test_what_is_unlike_every_clip_stays():
    sounds, clips = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]), np.array([[2.0, 0.1]])
    assert far_from(sounds, clips, SAME_SOUND).tolist() == [False, True, True]
