# SPDX-License-Identifier: Apache-2.0
"""Data sets as their makers lay them out: each is read rightly, or refused with its name and the line to type."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import pytest

from auricle.data.check.dataset import check
from auricle.data.formats.registry import read_manifest
from auricle.errors import DataError


@pytest.fixture
def lay(tmp_path, wav, write):
    """Lay out a data set: a text is a file, None a recording. ``lay({path: content}) -> root``."""

    def make(files: dict[str, str | None], root: str = "set") -> Path:
        for name, content in files.items():
            if content is None:
                wav(tmp_path / root / name)
            else:
                write(tmp_path / root / name, content)
        return tmp_path / root

    return make


def refusal(path: Path, **options) -> str:
    with pytest.raises(DataError) as caught:
        read_manifest(path, **options)
    return "\n".join(caught.value.problems)


def said(manifest) -> dict[str, tuple]:
    """Return what is known of each recording: classes, part, fold, group."""
    return {Path(c.path).name: (c.label, c.split, c.fold, c.group) for c in manifest.clips}


LINE_2019 = "LA_0079 {} - - bonafide\nLA_0080 {} - A01 spoof\n"
LINE_PA = "PA_0079 {} aaa - bonafide\nPA_0080 {} abc BB spoof\n"
LINE_5 = "T_1 {} F - - - AC3 bonafide bonafide -\nT_2 {} M C02 1 x AC1 A05 spoof -\n"


@pytest.mark.parametrize(("track", "lines"), [("LA", LINE_2019), ("PA", LINE_PA)])
def test_asvspoof_2019_as_it_is_unpacked(lay, track, lines):
    files: dict[str, str | None] = {}
    for part, ending in (("train", "trn"), ("dev", "trl"), ("eval", "trl")):
        names = [f"{track}_{part[0].upper()}_{n}" for n in (7, 8)]
        files[f"ASVspoof2019_{track}_cm_protocols/ASVspoof2019.{track}.cm.{part}.{ending}.txt"] = lines.format(*names)
        files[f"ASVspoof2019_{track}_asv_protocols/ASVspoof2019.{track}.asv.{part}.gi.trl.txt"] = "x y bonafide\n"
        files |= {f"ASVspoof2019_{track}_{part}/flac/{name}.flac": None for name in names}
    root = lay(files, f"all/{track}")
    manifest = read_manifest(root)
    assert (manifest.format, manifest.labels) == ("asvspoof", ("bonafide", "spoof"))
    assert Counter((c.split, *c.label) for c in manifest.clips) == dict.fromkeys(
        [(part, key) for part in ("train", "dev", "test") for key in ("bonafide", "spoof")], 1
    )
    assert all(c.group is not None for c in manifest.clips)
    assert f"auricle data check {root}" in refusal(root.parent)
    below = refusal(root / f"ASVspoof2019_{track}_train")
    assert "ASVspoof 2019" in below
    assert f"auricle data check {root}" in below


def test_asvspoof_2021_with_the_keys_of_two_tracks(lay):
    line = "LA_0009 {} alaw ita_tx A07 spoof notrim eval\nLA_0010 {} none loc bonafide bonafide notrim eval\n"
    root = lay(
        {
            "keys/LA/CM/trial_metadata.txt": line.format("LA_E_1", "LA_E_2"),
            "keys/DF/CM/trial_metadata.txt": line.format("DF_E_1", "DF_E_2"),
            "keys/LA/ASV/trial_metadata.txt": "LA_0007 x bonafide target\n",
            "ASVspoof2021_LA_eval/ASVspoof2021.LA.cm.eval.trl.txt": "LA_E_1\nLA_E_2\n",
            "ASVspoof2021_LA_eval/flac/LA_E_1.flac": None,
            "ASVspoof2021_LA_eval/flac/LA_E_2.flac": None,
        }
    )
    manifest = read_manifest(root)
    assert said(manifest) == {
        "LA_E_1.flac": (("spoof",), "test", None, "LA_0009"),
        "LA_E_2.flac": (("bonafide",), "test", None, "LA_0010"),
    }
    assert manifest.notes == ("keys/DF/CM/trial_metadata.txt is not read: none of its recordings is here",)


@pytest.mark.parametrize("keys", ["keys/PA/CM", "PA-keys-full/keys/PA/CM"])
def test_asvspoof_2021_pa(lay, keys):
    lines = (
        "PA_0010 PA_E_1 R3 M3 d4 r1 m1 s4 c4 spoof notrim eval\nPA_0011 PA_E_2 R1 M1 d1 - - - - bonafide notrim eval\n"
    )
    root = lay(
        {
            f"{keys}/trial_metadata.txt": lines,
            "ASVspoof2021_PA_eval/flac/PA_E_1.flac": None,
            "ASVspoof2021_PA_eval/flac/PA_E_2.flac": None,
        }
    )
    assert said(read_manifest(root)) == {
        "PA_E_1.flac": (("spoof",), "test", None, "PA_0010"),
        "PA_E_2.flac": (("bonafide",), "test", None, "PA_0011"),
    }


BIRDCLEF = "primary_label,secondary_labels,type,latitude,scientific_name,common_name,author,filename\n"


@pytest.mark.parametrize(
    ("audio", "listed"), [("train_audio", "amecro/XC1.ogg comrav/XC2.ogg"), ("train_short_audio", "XC1.ogg XC2.ogg")]
)
def test_birdclef_at_its_root(lay, audio, listed):
    one, two = listed.split()
    rows = f"amecro,\"['comrav']\",call,1,Corvus b.,Crow,Bob,{one}\ncomrav,[],song,1,Corvus c.,Raven,Al,{two}\n"
    root = lay(
        {
            "train_metadata.csv": BIRDCLEF + rows,
            "train_soundscape_labels.csv": "row_id,site,audio_id,seconds,birds\n7_COR_5,COR,7,5,nocall\n",
            "sample_submission.csv": "row_id,amecro\ns_5,0\n",
            f"{audio}/amecro/XC1.ogg": None,
            f"{audio}/comrav/XC2.ogg": None,
            "train_soundscapes/7_COR.ogg": None,
        }
    )
    manifest = read_manifest(root)
    assert said(manifest) == {"XC1.ogg": (("amecro",), None, None, None), "XC2.ogg": (("comrav",), None, None, None)}
    assert any(note.startswith("the column 'secondary_labels' is not used") for note in manifest.notes)
    text = "classes are taken from the column 'primary_label' (also there: 'common_name', 'scientific_name'; "
    assert f"{text}--label-column takes another)" in manifest.notes
    assert read_manifest(root, label_column="common_name").labels == ("Crow", "Raven")


def test_asvspoof_5_with_its_protocols_beside_or_in_a_folder(lay):
    for place in ("", "ASVspoof5_protocols/"):
        root = lay(
            {
                f"{place}ASVspoof5.train.tsv": LINE_5.format("T_1", "T_2"),
                f"{place}ASVspoof5.dev.track_1.tsv": LINE_5.format("D_1", "D_2"),
                f"{place}ASVspoof5.dev.track_2.enroll.tsv": "x\tD_1\n",
                **{f"flac_{name[0]}/{name}.flac": None for name in ("T_1", "T_2", "D_1", "D_2")},
            },
            f"five{len(place)}",
        )
        manifest = read_manifest(root)
        assert [(c.label, c.split) for c in manifest.clips][:2] in (
            [(("bonafide",), "dev"), (("spoof",), "dev")],
            [(("bonafide",), "train"), (("spoof",), "train")],
        )
        assert Counter(c.split for c in manifest.clips) == {"train": 2, "dev": 2}


def test_asvspoof_5_without_protocols_is_named(lay):
    text = refusal(lay({"flac_T/a.flac": None, "flac_D/b.flac": None}))
    assert "the folder names 'flac_D', 'flac_T' say what lies in them" in text
    assert "ASVspoof 5" in text
    assert re.search(r"auricle data check \S+ --data-format folders", text)


def test_in_the_wild(lay):
    root = lay(
        {
            "meta.csv": "file,speaker,label\n0.wav,Alan Watts,spoof\n1.wav,Barack Obama,bona-fide\n",
            "0.wav": None,
            "1.wav": None,
        }
    )
    manifest = read_manifest(root)
    assert manifest.labels == ("bonafide", "spoof")
    assert said(manifest)["1.wav"] == (("bonafide",), None, None, "Barack Obama")
    assert "the class 'bona-fide' is called 'bonafide' here" in manifest.notes


def test_fsd50k_at_its_root_and_at_a_part(lay):
    root = lay(
        {
            "FSD50K.ground_truth/dev.csv": 'fname,labels,mids,split\n1,"Bark,Dog",x,train\n2,"Meow,Cat",y,val\n',
            "FSD50K.ground_truth/eval.csv": 'fname,labels,mids\n9,"Bark,Dog",x\n',
            "FSD50K.ground_truth/vocabulary.csv": "0,Bark,/m/1\n1,Dog,/m/2\n",
            "FSD50K.metadata/collection/collection_dev.csv": "fname,labels,mids\n1,Bark,x\n",
            "FSD50K.dev_audio/1.wav": None,
            "FSD50K.dev_audio/2.wav": None,
            "FSD50K.eval_audio/9.wav": None,
        }
    )
    manifest = read_manifest(root)
    assert (manifest.format, manifest.task, manifest.labels) == ("csv", "multi", ("Bark", "Cat", "Dog", "Meow"))
    assert {name: (label, split) for name, (label, split, _, _) in said(manifest).items()} == {
        "1.wav": (("Bark", "Dog"), "train"),
        "2.wav": (("Cat", "Meow"), "dev"),
        "9.wav": (("Bark", "Dog"), "test"),
    }
    text = refusal(root / "FSD50K.dev_audio")
    assert "it looks like FSD50K" in text
    assert f"auricle data check {root}" in text


FSDKAGGLE = {
    "2018": {
        "FSDKaggle2018.meta/train_post_competition.csv": (
            "fname,label,manually_verified,freesound_id,license\na.wav,Oboe,0,1,x\nb.wav,Cello,1,2,x\n"
        ),
        "FSDKaggle2018.meta/test_post_competition_scoring_clips.csv": (
            "fname,label,usage,freesound_id,license\nt.wav,Oboe,Public,5,x\n"
        ),
        "FSDKaggle2018.audio_train/a.wav": None,
        "FSDKaggle2018.audio_train/b.wav": None,
        "FSDKaggle2018.audio_test/t.wav": None,
    },
    "2019": {
        "FSDKaggle2019.meta/train_curated_post_competition.csv": 'fname,labels,freesound_id\na.wav,"Oboe,Bark",1\n',
        "FSDKaggle2019.meta/train_noisy_post_competition.csv": "fname,labels,flickr_url\nb.wav,Cello,2\n",
        "FSDKaggle2019.meta/test_post_competition.csv": "fname,labels,usage,freesound_id\nt.wav,Oboe,Public,5\n",
        "FSDKaggle2019.audio_train_curated/a.wav": None,
        "FSDKaggle2019.audio_train_noisy/b.wav": None,
        "FSDKaggle2019.audio_test/t.wav": None,
    },
    "contest": {
        "train_curated.csv": 'fname,labels\na.wav,"Oboe,Bark"\n',
        "train_noisy.csv": "fname,labels\nb.wav,Cello\n",
        "test.csv": "fname,labels\nt.wav,Oboe\n",
        "sample_submission.csv": "fname,labels\nt.wav,0\n",
        "train_curated/a.wav": None,
        "train_noisy/b.wav": None,
        "test/t.wav": None,
    },
}


@pytest.mark.parametrize("year", FSDKAGGLE)
def test_fsdkaggle(lay, year):
    manifest = read_manifest(lay(FSDKAGGLE[year]))
    found = said(manifest)
    assert {name: split for name, (_, split, _, _) in found.items()} == {
        "a.wav": "train",
        "b.wav": "train",
        "t.wav": "test",
    }
    assert found["a.wav"][0] == (("Oboe",) if year == "2018" else ("Bark", "Oboe"))
    assert found["t.wav"][0] == ("Oboe",)


def test_a_contest_gives_its_test_without_labels(lay):
    root = lay(
        {
            "train.csv": "file_name,label\n1.wav,dog\n2.wav,cat\n",
            "test.csv": "file_name\n1.wav\n",
            "sample_submission.csv": "file_name,label\n1.wav,dog\n",
            "train/1.wav": None,
            "train/2.wav": None,
            "test/3.wav": None,
        }
    )
    manifest = read_manifest(root)
    assert [c.key for c in manifest.clips] == ["train/1.wav", "train/2.wav"]
    assert "test.csv has no labels and is not read" in manifest.notes
    (root / "test" / "1.wav").write_bytes(b"another")
    assert [c.key for c in read_manifest(root).clips] == ["train/1.wav", "train/2.wav"]


def test_a_name_that_fits_two_files_is_a_question(lay):
    root = lay({"labels.csv": "file,label\n1.wav,a\n", "north/1.wav": None, "south/1.wav": None})
    assert refusal(root) == (
        "line 2: '1.wav' fits 2 files (north/1.wav, south/1.wav); list the folder, too, or name another root"
    )


def test_urbansound8k_and_its_copies(lay):
    head = "slice_file_name,fsID,start,end,salience,fold,classID,class\n"
    rows = "7-3-0-0.wav,7,10.5,14.5,1,1,3,dog_bark\n8-8-0-0.wav,8,0.5,4.5,2,2,8,siren\n"
    audio = {"{}fold1/7-3-0-0.wav": None, "{}fold2/8-8-0-0.wav": None}
    for number, (table, place) in enumerate({"metadata/UrbanSound8K.csv": "audio/", "UrbanSound8K.csv": ""}.items()):
        root = lay({table: head + rows, **{name.format(place): None for name in audio}}, f"us{number}")
        manifest = read_manifest(root)
        assert said(manifest) == {
            "7-3-0-0.wav": (("dog_bark",), None, "1", "7"),
            "8-8-0-0.wav": (("siren",), None, "2", "8"),
        }
        assert all(clip.onset is None and clip.offset is None for clip in manifest.clips)
    text = refusal(root.parent / "us0" / "audio")
    assert "'fold1', 'fold2' say what lies in them" in text
    assert "it looks like UrbanSound8K" in text
    assert f"auricle data check {root.parent / 'us0'}" in text


SEGMENTS = """# Segments csv created Sun Mar  5 10:54:25 2017
# num_ytids=3, num_segs=3, num_unique_labels=2, num_positive_labels=4
# YTID, start_seconds, end_seconds, positive_labels
--4gqARaEJE, 0.000, 10.000, "/m/068hy,/m/07q6cd_"
--BfvyPmVMo, 20.000, 30.000, "/m/03l9g"
gone_gone_g, 20.000, 30.000, "/m/03l9g"
"""


def test_audioset_by_every_name_its_recordings_are_given(lay):
    root = lay(
        {
            "balanced_train_segments.csv": SEGMENTS,
            "eval_segments.csv": SEGMENTS.replace("--4gqARaEJE", "0-EVAL-_abc").replace("--Bfv", "--Cfv"),
            "class_labels_indices.csv": (
                'index,mid,display_name\n0,/m/068hy,"Domestic animals, pets"\n1,/m/07q6cd_,Squeak\n2,/m/03l9g,Hammer\n'
            ),
            "audio/--4gqARaEJE.wav": None,
            "audio/Y--BfvyPmVMo.wav": None,
            "audio/0-EVAL-_abc_0_10000.flac": None,
            "audio/--CfvyPmVMo_20000.wav": None,
        }
    )
    manifest = read_manifest(root)
    assert (manifest.format, manifest.task) == ("audioset", "multi")
    assert manifest.labels == ("Domestic animals, pets", "Hammer", "Squeak")
    assert [(c.key, c.split) for c in manifest.clips] == [
        ("audio/--4gqARaEJE.wav", "train"),
        ("audio/Y--BfvyPmVMo.wav", "train"),
        ("audio/0-EVAL-_abc_0_10000.flac", "test"),
        ("audio/--CfvyPmVMo_20000.wav", "test"),
    ]
    assert "2 of 6 segments have no recording here and are left out" in manifest.notes
    (root / "class_labels_indices.csv").unlink()
    assert read_manifest(root / "eval_segments.csv").labels == ("/m/03l9g", "/m/068hy", "/m/07q6cd_")


def test_audioset_says_what_it_cannot_read(lay):
    bad = SEGMENTS + "x, 1, 2\ny, one, 2, /m/1\n"
    root = lay({"eval_segments.csv": bad, "--4gqARaEJE.wav": None, "a/--BfvyPmVMo.wav": None, "--BfvyPmVMo.wav": None})
    assert refusal(root).splitlines() == [
        "eval_segments.csv, line 5: --BfvyPmVMo fits 2 files (--BfvyPmVMo.wav, a/--BfvyPmVMo.wav); keep one",
        "eval_segments.csv, line 7: 3 cells, expected YTID, start_seconds, end_seconds and quoted positive_labels",
        "eval_segments.csv, line 8: start 'one' is no number of seconds",
    ]
    empty = lay({"eval_segments.csv": SEGMENTS, "other.wav": None}, "empty")
    assert "none of the 3 segments has a recording" in refusal(empty)


STRONG = """segment_id\tstart_time_seconds\tend_time_seconds\tlabel
b0RFKhbpFJA_30000\t0.01\t0.05\t/m/05zppz
b0RFKhbpFJA_30000\t0.02\t0.03\t/m/02zsn
a_b-c_12345_0\t0.01\t0.02\t/m/07xyz
gone_gone_g_10000\t0\t1\t/m/02zsn
"""


@pytest.mark.parametrize("names", ["mid_to_display_name.tsv", "class_labels_indices.csv"])
def test_audioset_with_times(lay, names):
    tables = {
        "mid_to_display_name.tsv": "/m/05zppz\tMale speech, man speaking\n/m/02zsn\tFemale speech\n",
        "class_labels_indices.csv": (
            'index,mid,display_name\n0,/m/05zppz,"Male speech, man speaking"\n1,/m/02zsn,Female speech\n'
        ),
    }
    framed = STRONG.replace("label\n", "label\tpresent\n").replace("zppz\n", "zppz\tPRESENT\n")
    root = lay(
        {
            "audioset_train_strong.tsv": STRONG,
            "audioset_eval_strong.tsv": STRONG.replace("b0RFKhbpFJA", "c0RFKhbpFJA").replace("a_b-c", "d_b-c"),
            "audioset_eval_strong_framed_posneg.tsv": framed,
            names: tables[names],
            "wav/b0RFKhbpFJA_30000.wav": None,
            "wav/Ya_b-c_12345.wav": None,
            "wav/c0RFKhbpFJA.wav": None,
        }
    )
    manifest = read_manifest(root)
    assert (manifest.format, manifest.task) == ("audioset_strong", "multi")
    found = {c.key: (c.split, c.group, [(e.label, e.onset, e.offset) for e in c.events]) for c in manifest.clips}
    speech = [("Male speech, man speaking", 0.01, 0.05), ("Female speech", 0.02, 0.03)]
    assert found == {
        "wav/b0RFKhbpFJA_30000.wav": ("train", "b0RFKhbpFJA", speech),
        "wav/Ya_b-c_12345.wav": ("train", "a_b-c_12345", [("/m/07xyz", 0.01, 0.02)]),
        "wav/c0RFKhbpFJA.wav": ("test", "c0RFKhbpFJA", speech),
    }
    assert "2 of 5 segments have no recording here and are left out" in manifest.notes
    assert any(note.startswith("1 classes are called by their MIDs, such as /m/07xyz") for note in manifest.notes)


def test_audioset_with_times_says_what_it_cannot_read(lay):
    bad = STRONG.replace("0.02\t0.03", "0.03\t0.02").replace("gone_gone_g_10000", "gone")
    root = lay({"audioset_train_strong.tsv": bad, "b0RFKhbpFJA.wav": None, "a_b-c_12345.wav": None})
    assert refusal(root).splitlines() == [
        "audioset_train_strong.tsv, line 3: end 0.02 is not after start 0.03",
        "audioset_train_strong.tsv, line 5: segment_id 'gone' is no YTID with a start in milliseconds",
    ]
    empty = lay({"t.tsv": STRONG, "other.wav": None}, "empty")
    assert "none of the 3 segments has a recording" in refusal(empty)


def test_an_audiofolder_with_its_parts_in_the_paths(lay):
    rows = [{"file_name": f"{part}/{i}.wav", "label": "ab"[i % 2]} for part in ("train", "test") for i in range(2)]
    files = {row["file_name"]: None for row in rows}
    csv_root = lay(
        {"metadata.csv": "file_name,label\n" + "".join(f"{r['file_name']},{r['label']}\n" for r in rows), **files}
    )
    jsonl_root = lay({"metadata.jsonl": "".join(json.dumps(r) + "\n" for r in rows), **files}, "jsonl")
    for root in (csv_root, jsonl_root):
        assert {c.key: (c.label, c.split) for c in read_manifest(root).clips} == {
            "train/0.wav": (("a",), "train"),
            "train/1.wav": (("b",), "train"),
            "test/0.wav": (("a",), "test"),
            "test/1.wav": (("b",), "test"),
        }


def test_an_audiofolder_with_a_table_in_each_part(lay):
    root = lay(
        {
            "train/metadata.jsonl": (
                '{"file_name": "0.wav", "labels": ["a", "b"]}\n{"file_name": "1.wav", "labels": []}\n'
            ),
            "validation/metadata.jsonl": '{"file_name": "0.wav", "labels": ["b"]}\n',
            "train/0.wav": None,
            "train/1.wav": None,
            "validation/0.wav": None,
        }
    )
    assert "line 2: no label; write 'other' for a clip without any class" in refusal(root)
    (root / "train" / "metadata.jsonl").write_text('{"file_name": "0.wav", "labels": ["a", "b"]}\n')
    assert [(c.label, c.split, Path(c.path).parent.name) for c in read_manifest(root).clips] == [
        (("a", "b"), "train", "train"),
        (("b",), "dev", "validation"),
    ]


def test_json_lines_that_are_none(lay):
    root = lay({"metadata.jsonl": '{"file_name": "0.wav", "label": "a"}\n[1]\n{"file\n', "0.wav": None})
    assert refusal(root).splitlines() == ["line 2: expected one JSON object", "line 3: expected one JSON object"]


def test_esc50_at_its_root_and_inside(lay):
    root = lay(
        {
            "meta/esc50.csv": "filename,fold,target,category,esc10,src_file,take\n1-1-A-0.wav,1,0,dog,True,1,A\n"
            "2-2-A-1.wav,2,1,hen,True,2,A\n",
            "audio/1-1-A-0.wav": None,
            "audio/2-2-A-1.wav": None,
        },
        "ESC-50-master",
    )
    for place in (root, root / "meta", root / "meta" / "esc50.csv"):
        assert said(read_manifest(place))["2-2-A-1.wav"] == (("hen",), None, "2", "2")
    for place in (root / "audio", root.parent):
        text = refusal(place)
        assert f"auricle data check {root}" in text
        assert "ESC-50" in text


@pytest.mark.parametrize("place", ["", "audio/"])
def test_speech_commands_as_unpacked(lay, place):
    names = ["yes/aa11_nohash_0.wav", "yes/bb22_nohash_0.wav", "no/aa11_nohash_0.wav", "no/cc33_nohash_1.wav"]
    root = lay(
        {
            "validation_list.txt": "yes/bb22_nohash_0.wav\n",
            "testing_list.txt": "no/cc33_nohash_1.wav\n",
            **{f"{place}{name}": None for name in names},
            f"{place}_background_noise_/doing_the_dishes.wav": None,
        },
        "train",
    )
    manifest = read_manifest(root)
    assert (manifest.format, manifest.labels, manifest.negatives) == ("speechcommands", ("no", "yes"), 1)
    assert {c.key.removeprefix(place): (c.split, c.group) for c in manifest.clips} == {
        "_background_noise_/doing_the_dishes.wav": ("train", None),
        "no/aa11_nohash_0.wav": ("train", "aa11"),
        "no/cc33_nohash_1.wav": ("test", "cc33"),
        "yes/aa11_nohash_0.wav": ("train", "aa11"),
        "yes/bb22_nohash_0.wav": ("dev", "bb22"),
    }
    assert f"auricle data check {root}" in refusal(root.parent)


def test_lists_of_other_recordings_are_no_speech_commands(lay):
    files = {"validation_list.txt": "up/a.wav\n", "testing_list.txt": "up/b.wav\n", "yes/c.wav": None, "no/d.wav": None}
    assert "none of the 2 listed recordings is below" in refusal(lay(files))
    text = refusal(lay({"yes/c.wav": None}, "other"), data_format="speechcommands")
    assert text == "expected validation_list.txt and testing_list.txt beside one folder a word"


def test_desed_with_its_synthetic_scenes(lay):
    row = "filename\tonset\toffset\tevent_label\n"
    root = lay(
        {
            "metadata/train/synthetic21_train/soundscapes.tsv": row + "1.wav\t0.01\t0.05\tDog\n",
            "metadata/train/weak.tsv": "filename\tevent_labels\nw.wav\tDog,Cat\n",
            "metadata/validation/validation.tsv": row + "v.wav\t0.01\t0.05\tCat\n",
            "audio/train/synthetic21_train/soundscapes/1.wav": None,
            "audio/train/weak/w.wav": None,
            "audio/validation/validation/v.wav": None,
        },
        "dataset",
    )
    manifest = read_manifest(root)
    assert {c.key: (c.label, c.split, c.strong) for c in manifest.clips} == {
        "1.wav": (("Dog",), "train", True),
        "w.wav": (("Cat", "Dog"), "train", False),
        "v.wav": (("Cat",), "dev", True),
    }
    assert f"auricle data check {root}" in refusal(root.parent)


def test_two_tables_are_parts_or_a_question(lay):
    rows = "path,label\n{0}.wav,a\n{1}.wav,b\n"
    audio = {f"{n}.wav": None for n in "1234"}
    root = lay({"train.csv": rows.format(1, 2), "val.csv": rows.format(3, 4), **audio})
    assert {c.key: c.split for c in read_manifest(root).clips} == {
        "1.wav": "train",
        "2.wav": "train",
        "3.wav": "dev",
        "4.wav": "dev",
    }
    dcase = lay({"development.csv": rows.format(1, 2), "evaluation.csv": rows.format(3, 4), **audio}, "dcase")
    manifest = read_manifest(dcase)
    assert Counter(c.split for c in manifest.clips) == {"train": 2, "test": 2}
    assert any("development is trained on" in note for note in manifest.notes)
    unclear = lay({"north.csv": rows.format(1, 2), "south.csv": rows.format(3, 4), **audio}, "unclear")
    assert refusal(unclear) == "north.csv, south.csv: name the one that is meant"


DOUBTFUL = {
    "parts without classes": ("train", "test"),
    "all audio": ("audio",),
    "wavs and spectrograms": ("wavs", "mp3"),
    "folds": ("fold1", "fold2"),
    "speakers": ("Actor_01", "Actor_02"),
    "numbered speakers": ("p225", "p226"),
    "days": ("2026-05-01", "2026-05-02"),
    "prefixed parts": ("birds_train", "birds_test"),
    "LibriSpeech": ("train-clean-100", "dev-clean"),
    "channels": ("ch1", "ch2"),
    "microphones": ("mic_a", "mic_b"),
    "devices": ("Device 1", "Device 2"),
    "sample rates": ("44100", "48000"),
    "rates with a unit": ("16k", "22.05 kHz", "8kHz"),
    "years": ("2024", "2025"),
    "numbered speakers of AudioMNIST": ("01", "02", "60"),
    "days by number": ("day1", "day2"),
    "German": ("Alte Aufnahmen", "Neue Aufnahmen"),
    "VCTK": ("wav48_silence_trimmed", "wav16_trimmed"),
    "a class called train": ("train", "bus", "tram"),
}


@pytest.mark.parametrize("names", DOUBTFUL.values(), ids=DOUBTFUL)
def test_folders_that_say_no_sounds_are_asked_about_not_guessed(lay, names):
    root = lay({f"{name}/{i}.wav": None for name in names for i in range(2)})
    text = refusal(root)
    assert "say what lies in them, not what sounds" in text
    assert f"auricle data check {root} --data-format folders" in text
    assert read_manifest(root, data_format="folders").labels == tuple(sorted(names))


def test_folders_named_after_sounds_are_classes(lay):
    sounds = (("0", "1"), ("dog", "noise_gate"), ("auditorium", "testudo"), ("A", "B"), ("left", "right"))
    for i, names in enumerate((*sounds, ("daytime", "microwave"), ("abnormal", "normal"), ("Wavy", "weekend"))):
        root = lay({f"{name}/{n}.wav": None for name in names for n in range(2)}, f"s{i}")
        assert read_manifest(root).labels == names


def test_classes_one_level_down_are_asked_about(lay):
    both = lay({f"{place}/{name}/1.wav": None for place in ("north", "south") for name in ("owl", "frog")})
    assert "the folders 'north', 'south' hold folders called 'frog', 'owl'" in refusal(both)
    one = lay({f"genres_original/{name}/1.wav": None for name in ("blues", "rock")}, "gtzan")
    assert f"auricle data check {one / 'genres_original'}" in refusal(one)
    assert read_manifest(one / "genres_original").labels == ("blues", "rock")


def test_a_table_beside_class_folders_is_said_to_be_unread(lay):
    root = lay({"dog/1.wav": None, "cat/1.wav": None, "notes.csv": "when,who\n1,2\n"})
    assert "the classes are the names of the folders; not read: notes.csv" in read_manifest(root).notes


def test_negative_folders_of_birdnet(lay):
    names = ("Parus major_Great Tit", "Noise", "silence", "-Parus major_Great Tit", "background", "_background_noise_")
    root = lay({f"{name}/{i}.wav": None for name in names for i in range(2)})
    manifest = read_manifest(root)
    assert (manifest.labels, manifest.negatives) == (("Parus major_Great Tit",), 10)
    (note,) = [note for note in manifest.notes if "negatives" in note]
    assert note.startswith("recordings in '-Parus major_Great Tit', 'Noise', '_background_noise_' and 1 more are negat")
    literal = read_manifest(root, data_format="folders")
    assert "Noise" in literal.labels
    assert literal.negatives == 2


def test_one_class_folder_says_what_is_missing(lay):
    report = check(lay({"frog/1.wav": None, "frog/2.wav": None}))
    assert report.problems == ("the only class is 'frog'; add a second class, or clips labelled 'other' without it",)


def test_what_is_no_data_set_is_named(lay):
    root = lay({"1.wav": None, "2.wav": None, "data.zip": "PK", "labels.xlsx": "PK"})
    text = refusal(root)
    assert "2 recordings lie here without a table or class folders" in text
    assert "data.zip: an archive; unpack it first" in text
    assert "labels.xlsx: spreadsheets are not read; save it as .csv" in text
    assert refusal(root / "data.zip") == "data.zip: an archive; unpack it first"
