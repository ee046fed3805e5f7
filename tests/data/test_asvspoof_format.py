# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections import Counter

import pytest

from auricle.data.formats.registry import read_manifest
from auricle.errors import DataError


@pytest.fixture
def corpus(tmp_path, wav, write):
    """A corpus of four utterances; call it with more lines for the train protocol."""

    def make(extra: str = ""):
        for name in ("T1.flac", "T2.flac", "D1.flac", "E1.wav"):
            wav(tmp_path / "flac" / name)
        write(tmp_path / "protocols" / "X.cm.train.trn.txt", f"s1 T1 - - bonafide\n\ns2 T2 - A01 spoof\n{extra}")
        write(tmp_path / "protocols" / "X.cm.dev.trl.txt", "s3 D1 - A02 spoof\n")
        write(tmp_path / "protocols" / "X.cm.eval.trl.txt", "s4 E1 - - bonafide\n")
        return tmp_path

    return make


def test_protocols_become_a_manifest(corpus):
    manifest = read_manifest(corpus())
    assert (manifest.format, manifest.task, manifest.labels) == ("asvspoof", "single", ("bonafide", "spoof"))
    assert [(c.key, c.label, c.split, c.group, c.extra["system"]) for c in manifest.clips] == [
        ("flac/D1.flac", ("spoof",), "dev", "s3", "A02"),
        ("flac/E1.wav", ("bonafide",), "test", "s4", "-"),
        ("flac/T1.flac", ("bonafide",), "train", "s1", "-"),
        ("flac/T2.flac", ("spoof",), "train", "s2", "A01"),
    ]


def test_all_bad_lines_are_reported(corpus, write):
    root = corpus("s1 T3 - real\ns1 T3 - - real\ns1 ../../x - - spoof\n")
    write(root / "protocols" / "more.txt", "s9 T1 - - bonafide\n")
    with pytest.raises(DataError) as caught:
        read_manifest(root)
    assert caught.value.problems == (
        "X.cm.train.trn.txt line 4: 4 fields, expected 5: SPEAKER UTTERANCE - SYSTEM bonafide|spoof "
        "(or 8, 10, 12, 13 as in ASVspoof 2021 and 5)",
        "X.cm.train.trn.txt line 5: key 'real' is neither bonafide nor spoof",
        f"X.cm.train.trn.txt line 6: path 'flac/../../x.flac' leads outside the data folder {root}; "
        "write it relative to the table",
        "more.txt: the name states no part of the data; name it after train, dev or eval",
        "X.cm.train.trn.txt line 1 and more.txt line 1: 'flac/T1.flac' stands twice and they differ in split, group; "
        "keep one row (several labels: join them with ';')",
    )


def test_one_protocol_needs_no_part_in_its_name(tmp_path, wav, write):
    wav(tmp_path / "flac" / "a.flac")
    write(tmp_path / "protocols" / "all.txt", "s a - - bonafide\n")
    assert read_manifest(tmp_path).clips[0].split is None


@pytest.mark.parametrize(
    ("real", "fake"),
    [
        ("s1 a - - bonafide", "s2 b - A07 spoof"),
        ("s1 a alaw ita_tx bonafide bonafide notrim eval", "s2 b alaw ita_tx A07 spoof notrim eval"),
        (
            "s1 a nocodec asvspoof bonafide bonafide notrim eval bonafide - - - -",
            "s2 b mp3m4a asvspoof A07 spoof notrim eval traditional_vocoder - - - -",
        ),
        ("s1 a F - - - - bonafide bonafide -", "s2 b M C05 2 a AC1 A07 spoof -"),
    ],
    ids=["2019", "2021 LA", "2021 DF", "5"],
)
def test_protocols_of_all_years(tmp_path, wav, write, real, fake):
    for name in "ab":
        wav(tmp_path / "flac" / f"{name}.flac")
    write(tmp_path / "protocols" / "ASVspoof.dev.track_1.tsv", f"{real}\n{fake}\n")
    clips = read_manifest(tmp_path).clips
    assert [(c.key, c.label, c.split, c.group, c.extra["system"]) for c in clips] == [
        ("flac/a.flac", ("bonafide",), "dev", "s1", "-"),
        ("flac/b.flac", ("spoof",), "dev", "s2", "A07"),
    ]


def test_a_key_file_names_neither_speaker_nor_system(tmp_path, wav, write):
    for name in "ab":
        wav(tmp_path / "flac" / f"{name}.flac")
    write(tmp_path / "protocols" / "keys.tsv", "filename\tcm-label\na\tbonafide\nb\tspoof\n")
    clips = read_manifest(tmp_path).clips
    assert [(c.label, c.group, dict(c.extra)) for c in clips] == [
        (("bonafide",), None, {"system": "-"}),
        (("spoof",), None, {}),
    ]


def test_lines_without_files_and_files_without_lines_are_counted(corpus, wav, write):
    root = corpus()
    for i in range(20):
        wav(root / "flac" / f"more{i}.flac")
    wav(root / "flac" / "forgotten.flac")
    lines = [f"s{i} more{i} - - bonafide" for i in range(20)] + ["s9 gone - A01 spoof"]
    write(root / "protocols" / "X.cm.eval.trl.txt", "\n".join(["s4 E1 - - bonafide", *lines]))
    manifest = read_manifest(root)
    assert len(manifest) == 24
    assert [(f.code, dict(f.details)) for f in manifest.flags] == [
        ("unlisted_file", {"count": 1, "first": "forgotten.flac"}),
        ("missing_file", {"count": 1, "first": "flac/gone.flac"}),
    ]


def test_too_many_absent_files_stop(corpus):
    extra = "".join(f"s{i} gone{i} - A01 spoof\n" for i in range(3))
    with pytest.raises(DataError, match=r"3 of 7 listed files are absent \(42.9%; at most 10% may be\)"):
        read_manifest(corpus(extra))


def test_an_utterance_twice(corpus):
    """Equal lines are merged and counted; lines that contradict each other, also in the system, stop."""
    manifest = read_manifest(corpus("s2 T2 - A01 spoof\n"))
    assert len(manifest) == 4
    assert [(f.code, dict(f.details)) for f in manifest.flags] == [
        ("duplicate_row", {"count": 1, "first": "flac/T2.flac"})
    ]
    with pytest.raises(
        DataError, match=r"line 3 and .* line 4: 'flac/T2.flac' stands twice and they differ in system;"
    ):
        read_manifest(corpus("s2 T2 - A05 spoof\n"))
    with pytest.raises(DataError, match=r"they differ in label, system;"):
        read_manifest(corpus("s2 T2 - - bonafide\n"))


def test_no_protocols(tmp_path):
    with pytest.raises(DataError, match=r"expected protocols/\*.txt or \*.tsv beside flac/"):
        read_manifest(tmp_path, data_format="asvspoof")


def test_a_protocol_that_is_no_text(corpus, write):
    root = corpus()
    write(root / "protocols" / "train.txt", b"\xff\xfe\x00")
    with pytest.raises(DataError, match=r"train.txt cannot be read"):
        read_manifest(root)


def test_the_shared_corpus_reads_as_documented(shared):
    manifest = read_manifest(shared / "data" / "spoof")
    assert (manifest.format, len(manifest), manifest.flags) == ("asvspoof", 1835, ())
    counts = Counter((c.split, c.label[0]) for c in manifest.clips)
    assert counts == {
        ("train", "bonafide"): 578,
        ("train", "spoof"): 799,
        ("dev", "bonafide"): 194,
        ("dev", "spoof"): 264,
    }
    systems = {c.extra["system"] for c in manifest.clips if c.split == "dev"}
    assert {"S10", "S11"} <= systems
    assert systems.isdisjoint({"S02", "S04", "S06"})
