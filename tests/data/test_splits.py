# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from auricle.data.formats.registry import read_manifest
from auricle.data.manifest import Clip, Manifest
from auricle.data.splits import check_trainable, crossval_folds, make_split, without_systems, without_test
from auricle.data.stratify import group_counts, split_groups
from auricle.errors import DataError, UsageError
from auricle.results import Flag


def clip(i, label=("a",), **more):
    return Clip(f"{i}.wav", f"/{i}.wav", label, negative=not label, **more)


def make(clips, labels=("a", "b")):
    return Manifest(Path("set"), "csv", "single", labels, tuple(clips))


def even(n=40, per_group=2, **more):
    """Clips of two classes in turn, ``per_group`` clips of one class a group."""
    return [clip(i, ("ab"[i // per_group % 2],), group=str(i // per_group), **more) for i in range(n)]


def labels_in(manifest, indices):
    return Counter(label for i in indices for label in manifest.clips[i].label)


class TestSplit:
    def test_dev_by_group_with_a_like_share_of_every_class_and_no_test(self):
        manifest = make(even(80))
        split = make_split(manifest, dev_fraction=0.2, seed=1)
        assert labels_in(manifest, split.dev) == {"a": 8, "b": 8}
        assert (len(split.train), len(split.test)) == (64, 0)
        assert sorted([*split.train, *split.dev]) == list(range(80))
        groups = manifest.groups()
        assert {groups[i] for i in split.train}.isdisjoint({groups[i] for i in split.dev})
        assert split.notes == ("20% of the rest, by group, is dev (seed 1)",)
        assert split.flags == ()

    def test_equal_seeds_equal_parts(self):
        manifest = make(even(80))
        parts = [make_split(manifest, seed=seed).dev.tolist() for seed in (0, 0, 1)]
        assert parts[0] == parts[1] != parts[2]

    def test_a_small_class_is_still_in_dev(self):
        manifest = make([*(clip(i) for i in range(60)), clip(60, ("b",)), clip(61, ("b",))])
        split = make_split(manifest)
        assert labels_in(manifest, split.dev)["b"] == 1
        assert labels_in(manifest, split.train)["b"] == 1

    def test_a_class_of_one_group_trains_and_is_flagged(self):
        manifest = make([*(clip(i) for i in range(20)), clip(20, ("b",), group="g"), clip(21, ("b",), group="g")])
        split = make_split(manifest)
        assert labels_in(manifest, split.train)["b"] == 2
        assert split.flags == (Flag("class_missing", {"part": "dev", "count": 1, "first": "b"}),)

    def test_negatives_are_dealt_evenly_too(self):
        manifest = make([clip(i, () if i % 2 else ("a",)) for i in range(40)], ("a",))
        split = make_split(manifest, dev_fraction=0.25)
        assert sum(manifest.clips[i].negative for i in split.dev) == 5

    def test_given_parts_are_respected(self):
        clips = [replace(c, split=("train", "train", "dev", "test")[i % 4], group=None) for i, c in enumerate(even(40))]
        split = make_split(make(clips))
        assert split.train.tolist() == [i for i in range(40) if i % 4 < 2]
        assert split.dev.tolist() == list(range(2, 40, 4))
        assert split.test.tolist() == list(range(3, 40, 4))
        assert split.notes == ("parts as given: train, dev, test",)

    def test_a_missing_dev_is_drawn_from_train_only(self):
        clips = [replace(c, split="test" if i >= 40 else "train") for i, c in enumerate(even(80))]
        split = make_split(make(clips), dev_fraction=0.2)
        assert split.test.tolist() == list(range(40, 80))
        assert max(split.dev) < 40
        assert len(split.dev) == 8

    def test_a_fold_is_held_out(self):
        clips = [replace(c, fold=str(i // 2 % 5 + 1)) for i, c in enumerate(even(100))]
        manifest = make(clips)
        split = make_split(manifest, test_fold=3, dev_fraction=0.25)
        assert {manifest.clips[i].fold for i in split.test} == {"3"}
        assert (len(split.train), len(split.dev), len(split.test)) == (60, 20, 20)
        assert split.notes[0] == "fold 3 is test"

    def test_a_fold_goes_before_given_parts(self):
        clips = [replace(c, fold=str(i // 2 % 5), split="train") for i, c in enumerate(even(100))]
        split = make_split(make(clips), test_fold="0")
        assert len(split.test) == 20
        assert split.notes[0] == "fold 0 is test; the column 'split' is not used"

    def test_unknown_folds(self):
        with pytest.raises(UsageError, match="test fold '1' was asked for, but the data has no column 'fold'"):
            make_split(make(even()), test_fold=1)
        clips = [replace(c, fold=str(i // 2 % 5 + 1)) for i, c in enumerate(even())]
        with pytest.raises(UsageError, match=r"unknown fold '6'.*; known: 1, 2, 3, 4, 5"):
            make_split(make(clips), test_fold=6)

    def test_a_group_on_two_sides_stops(self):  # L22
        clips = [replace(c, split="test" if i in (1, 4) else "train") for i, c in enumerate(even())]
        with pytest.raises(DataError) as caught:
            make_split(make(clips))
        (problem,) = caught.value.problems
        assert problem.startswith("2 groups stand on two sides, which makes every score too good: group 0 in ")
        assert "group 2 in test and train" in problem

    def test_a_file_on_two_sides_stops(self):
        clips = [clip(1, split="train", offset=1.0), clip(1, split="test", onset=1.0), clip(2, ("b",), split="train")]
        with pytest.raises(DataError, match=r"1 groups stand on two sides.*file 1.wav in test and train"):
            make_split(make([*clips, clip(3, ("b",), split="train")]))

    def test_groups_crossing_the_held_out_fold_stop(self):
        clips = [replace(c, fold=str(i % 2)) for i, c in enumerate(even())]
        with pytest.raises(DataError, match="20 groups stand on two sides"):
            make_split(make(clips), test_fold=0)

    @pytest.mark.parametrize(  # R18
        ("clips", "labels", "problem"),
        [
            ([clip(0)], ("a",), "1 clip; training needs at least 2, and some for each class"),
            (
                [clip(0), clip(1)],
                ("a",),
                "the only class is 'a'; add a second class, or clips labelled 'other' without it",
            ),
            ([clip(0, ()), clip(1, ())], (), "all clips are negatives; training needs at least one class"),
            ([clip(0, split="dev"), clip(1, ("b",), split="test")], ("a", "b"), "no clip is left for train"),
        ],
    )
    def test_what_cannot_be_trained_on(self, clips, labels, problem):
        with pytest.raises(DataError) as caught:
            make_split(make(clips, labels))
        assert any(p.startswith(problem) for p in caught.value.problems)

    @pytest.mark.parametrize("groups", ["gg", "gh"])
    def test_what_is_too_little_for_a_dev_part_trains_without_one_and_says_so(self, groups):
        split = make_split(make([clip(0, group=groups[0]), clip(1, ("b",), group=groups[1])], ("a", "b")))
        assert (split.train.tolist(), split.dev.tolist(), split.test.tolist()) == ([0, 1], [], [])
        (note,) = split.notes
        assert note.startswith(f"no dev part: 2 clips in {len(set(groups))} groups are too few to hold some back")

    def test_one_class_against_negatives_is_fine(self):
        check_trainable(make([clip(0), clip(1, ())], ("a",)))

    @pytest.mark.parametrize("fraction", [0, 1, -0.1])
    def test_dev_fraction_is_a_fraction(self, fraction):
        with pytest.raises(UsageError, match="is not between 0 and 1"):
            make_split(make(even()), dev_fraction=fraction)


class TestFolds:
    def test_the_datas_own_folds_in_natural_order(self):
        clips = [replace(c, fold=str(i // 2 % 10 + 1)) for i, c in enumerate(even(100))]
        folds = crossval_folds(make(clips))
        assert [f.name for f in folds] == [str(i) for i in range(1, 11)]
        assert sorted(i for f in folds for i in f.test) == list(range(100))
        for fold in folds:
            assert sorted([*fold.train, *fold.test]) == list(range(100))

    def test_folds_are_dealt_where_there_are_none(self):
        manifest = make(even(100))
        folds = crossval_folds(manifest, k=5, seed=3)
        assert [f.name for f in folds] == ["1", "2", "3", "4", "5"]
        assert all(labels_in(manifest, f.test) == {"a": 10, "b": 10} for f in folds)
        again = crossval_folds(manifest, k=5, seed=3)
        other = crossval_folds(manifest, k=5, seed=4)
        assert [f.test.tolist() for f in folds] == [f.test.tolist() for f in again] != [f.test.tolist() for f in other]

    def test_groups_in_two_folds_stop(self):
        clips = [replace(c, fold=str(i % 2)) for i, c in enumerate(even())]
        with pytest.raises(DataError, match="group 0 in fold 0 and fold 1"):
            crossval_folds(make(clips))

    def test_classes_missing_in_a_fold_are_flagged(self):
        clips = [clip(0, fold="1"), clip(1, ("b",), fold="1"), clip(2, fold="2")]
        first, second = crossval_folds(make(clips))
        assert first.flags == (Flag("class_missing", {"part": "train", "count": 1, "first": "b"}),)
        assert second.flags == (Flag("class_missing", {"part": "test", "count": 1, "first": "b"}),)

    def test_folds_that_cannot_be(self):
        with pytest.raises(UsageError, match="1 folds were asked for; cross-validation needs at least 2"):
            crossval_folds(make(even()), k=1)
        with pytest.raises(DataError, match="20 groups cannot fill 21 folds; ask for fewer folds or add recordings"):
            crossval_folds(make(even()), k=21)
        with pytest.raises(DataError, match="it has one fold only, '1'"):
            crossval_folds(make([replace(c, fold="1") for c in even()]))


class TestDealing:
    def test_group_counts_by_hand(self):
        matrix = np.array([[1, 0], [0, 1], [1, 1.0]])
        numbers, counts = group_counts(["x", "y", "x"], matrix)
        assert numbers.tolist() == [0, 1, 0]
        np.testing.assert_array_equal(counts, [[2, 1], [0, 1]])

    def test_shares_by_hand(self):
        parts = split_groups(np.ones((10, 1)), [0.7, 0.3], np.random.default_rng(0))
        assert Counter(parts.tolist()) == {0: 7, 1: 3}

    @given(
        st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5), st.integers(1, 3)), min_size=2, max_size=40),
        st.integers(0, 9),
    )
    def test_every_group_gets_one_part_and_no_class_is_off_by_more_than_its_largest_group(self, counts, seed):
        counts = np.array(counts, float)
        parts = split_groups(counts, [0.5, 0.5], np.random.default_rng(seed))
        assert set(parts.tolist()) <= {0, 1}
        rarest = int(np.argmin(np.where(counts.sum(axis=0) > 0, counts.sum(axis=0), np.inf)))
        difference = abs(counts[parts == 0, rarest].sum() - counts[parts == 1, rarest].sum())
        assert difference <= counts[:, rarest].max()


def test_esc10_folds_have_no_leak_and_every_class(shared):
    manifest = read_manifest(shared / "data" / "esc10")
    folds = crossval_folds(manifest)
    assert [(f.name, len(f.test), f.flags) for f in folds] == [(str(k), 80, ()) for k in range(1, 6)]
    split = make_split(manifest, test_fold=5, seed=1)
    assert len(split.test) == 80
    assert set(labels_in(manifest, split.dev)) == set(manifest.labels)
    assert 40 <= len(split.dev) <= 60


def test_the_spoof_corpus_splits_as_given(shared):
    split = make_split(read_manifest(shared / "data" / "spoof"))
    assert (len(split.train), len(split.dev), len(split.test)) == (1377, 458, 0)


class TestWithoutTest:
    def test_a_given_test_part_is_gone_and_the_others_stay(self):
        clips = [replace(c, split=("train", "train", "dev", "test")[i // 10]) for i, c in enumerate(even(40))]
        rest = without_test(make(clips))
        assert [c.split for c in rest.clips] == ["train"] * 20 + ["dev"] * 10
        split = make_split(rest)
        assert (len(split.train), len(split.dev), len(split.test)) == (20, 10, 0)

    def test_a_fold_is_gone_and_goes_before_given_parts(self):
        clips = [replace(c, fold=str(i // 8), split="dev") for i, c in enumerate(even(40))]
        rest = without_test(make(clips), "2")
        assert (len(rest), rest.folds) == (32, ("0", "1", "3", "4"))
        assert len(make_split(rest).test) == 0

    def test_without_parts_everything_stays(self):
        manifest = make(even(40))
        assert without_test(manifest) is manifest

    def test_a_group_on_both_sides_and_an_unknown_fold_are_refused(self):
        clips = [replace(c, split="test" if i == 0 else "train") for i, c in enumerate(even(40))]
        with pytest.raises(DataError, match="1 groups stand on two sides"):
            without_test(make(clips))
        with pytest.raises(UsageError, match="the data has no column 'fold'"):
            without_test(make(clips), "1")


class TestSystems:
    """Data like ASVspoof's: people a to f; systems S1 (voices v, w) and S2, which makes the people's clips again."""

    @staticmethod
    def manifest() -> Manifest:
        clips = []
        for i, person in enumerate("abcdef"):
            clips += [
                clip(10 * i + n, ("bonafide",), group=person, split="train", extra={"system": "-"}) for n in range(4)
            ]
            clips.append(clip(10 * i + 5, ("spoof",), group=person, split="train", extra={"system": "S2"}))
        for i, voice in enumerate("vwxy"):
            clips += [
                clip(100 + 10 * i + n, ("spoof",), group=voice, split="train", extra={"system": "S1"}) for n in range(3)
            ]
        clips += [clip(200 + n, ("spoof",), group="z", split="dev", extra={"system": "S3"}) for n in range(3)]
        return make(clips, ("bonafide", "spoof"))

    def test_a_given_dev_can_be_left_alone(self):
        manifest = self.manifest()
        inside = make_split(manifest, dev="inside", dev_fraction=0.3)
        none = make_split(manifest, dev="none")
        given = {i for i, c in enumerate(manifest.clips) if c.split == "dev"}
        assert len(none.dev) == 0
        assert set(none.train) == set(range(len(manifest))) - given
        assert len(inside.dev)
        assert not given & {*inside.train, *inside.dev}
        assert set(make_split(manifest).dev) == given
        assert "the given dev (3 clips) is left alone" in none.notes

    def test_held_systems_and_their_speakers_are_in_dev_alone(self):
        manifest = self.manifest()
        split = make_split(manifest, dev="inside", dev_fraction=0.34, dev_systems=["S2"], seed=1)
        systems = [{manifest.clips[i].extra["system"] for i in part} for part in (split.train, split.dev)]
        groups = [{manifest.clips[i].group for i in part} for part in (split.train, split.dev)]
        assert systems == [{"-", "S1"}, {"-", "S1", "S2"}]
        assert not groups[0] & groups[1]
        used = {*split.train, *split.dev}
        left = [c for i, c in enumerate(manifest.clips) if i not in used and c.split == "train"]
        assert left
        assert all(c.extra["system"] == "S2" and c.group in groups[0] for c in left)
        assert any(f"only dev has S2; {len(left)} clips of them are of speakers in train" in n for n in split.notes)

    def test_systems_are_left_out(self):
        rest = without_systems(self.manifest(), ["S1", "S3"])
        assert {c.extra["system"] for c in rest.clips} == {"-", "S2"}

    @pytest.mark.parametrize("wrong", ["S9", "-"])
    def test_an_unknown_system_is_named_with_the_known_ones(self, wrong):
        with pytest.raises(UsageError, match=f"unknown spoofing system '{wrong}'.*; known: S1, S2, S3"):
            without_systems(self.manifest(), [wrong])
        with pytest.raises(UsageError, match="the data names no systems"):
            without_systems(make(even(8)), ["S1"])
