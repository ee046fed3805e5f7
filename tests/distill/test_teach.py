# SPDX-License-Identifier: Apache-2.0
"""``teach``: what it writes, that it continues to the same bytes, and what it refuses."""

from __future__ import annotations

import csv

import numpy as np
import pytest
import soundfile
from helpers.tinyteachers import CLASSES, write_efficientat, write_graph
from helpers.toydata import RATE, Listener, content, sound, write_folders

from auricle import api
from auricle.audio.decode import read_audio
from auricle.data.soft_labels import read_soft_labels
from auricle.distill.store import open_store
from auricle.errors import DataError, RunError, UsageError
from auricle.teachers import efficientat
from auricle.teachers.registry import open_stages, open_teacher


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("AURICLE_CACHE", str(tmp_path_factory.getbasetemp() / "teaching-cache"))


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """``clips/`` with 2 x 6 clips, ``pool/`` with 3, and a teacher."""
    folder = tmp_path_factory.mktemp("teaching")
    write_folders(folder / "clips", clips=6)
    write_folders(folder / "pool", clips=3, labels=("other",))
    write_efficientat(folder)
    return folder


def teach(place, out, **changes):
    settings = {"teacher": str(place / "mn01.pt"), "window_s": 0.5, "mixture_s": 0.5, **changes}
    return api.teach(place / "clips", out=out, **settings)


def test_windows_are_what_the_teacher_says(place, tmp_path):
    """A clip of 0.6 s has one window of 0.5 s; its last tenth is more than the slack, so a second one holds it."""
    result = teach(place, tmp_path / "soft")
    assert (result.recordings, result.mixtures, result.labels, result.failures) == (12, 0, 5, {})
    store = open_store(tmp_path / "soft")
    row = store.rows[store.row_of["low/3.wav"]]
    assert (row.seconds, row.windows) == (0.6, 2)
    teacher = open_teacher(str(place / "mn01.pt"))
    samples = read_audio(str(place / "clips/low/3.wav"), sample_rate=32_000).samples
    windows = np.stack([samples[:16_000], np.pad(samples[16_000:], (0, 16_000 - (len(samples) - 16_000)))])
    answer = teacher.score(windows)
    rows = slice(row.first_window, row.first_window + 2)
    np.testing.assert_allclose(store.scores[rows], answer.scores, atol=2e-3)
    np.testing.assert_allclose(store.embeddings[rows], answer.embedding, atol=2e-2)
    table = read_soft_labels(tmp_path / "soft" / "labels.csv")
    assert table.labels == tuple(sorted(CLASSES))
    at = table.names.index("low/3.wav")
    assert table.ordered(CLASSES)[at] == pytest.approx(store.scores[rows].max(0), abs=1e-3)


def test_interrupted_at_any_moment_it_goes_on_to_the_same_bytes(place, tmp_path, monkeypatch):
    monkeypatch.setattr("auricle.distill.teach.SHARD_ITEMS", 4)
    settings = {"pool": place / "pool", "mixtures": 10}
    teach(place, tmp_path / "whole", **settings)
    rng, score, left = np.random.default_rng(0), efficientat.EfficientAtTeacher.score, [0]

    def failing(self, waveforms):
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        return score(self, waveforms)

    monkeypatch.setattr(efficientat.EfficientAtTeacher, "score", failing)
    stops = 0
    for attempt in range(30):
        left[0] = int(rng.integers(0, 3))
        try:
            teach(place, tmp_path / "parts", **settings, resume=attempt > 0)
            break
        except KeyboardInterrupt:
            stops += 1
            damaged = sorted((tmp_path / "parts").glob("shards/*.npy"))
            if stops == 2 and damaged:  # as a power cut may leave it
                damaged[-1].write_bytes(damaged[-1].read_bytes()[:100])
    assert stops >= 4
    assert content(tmp_path / "parts") == content(tmp_path / "whole")


def test_the_pool_and_mixtures_follow_the_recordings(place, tmp_path):
    rows = [f"pool/other/{i}.wav,{package},usr/share/{i}.ogg" for i, package in enumerate("aba")]
    (place / "pool.csv").write_text("\n".join(["filename,package,path", *rows]))
    heard = Listener()
    result = teach(
        place, tmp_path / "soft", pool=place / "pool.csv", leave_out=["package=b"], mixtures=7, progress=heard
    )
    assert (result.recordings, result.mixtures) == (14, 7)
    store = open_store(tmp_path / "soft")
    assert [row.key for row in store.rows[12:]] == ["pool/other/0.wav", "pool/other/2.wav"]
    assert len(store.scores) == store.first_mixture_window + 7
    assert "12 recordings, 2 of a pool, 7 mixtures" in heard.notices[0]
    with (tmp_path / "soft" / "labels.csv").open(newline="") as file:
        assert len(list(csv.reader(file))) == 13


def test_a_map_translates_and_is_shown_before(place, tmp_path):
    (tmp_path / "map.csv").write_text("label,teacher\nlow,Hum\nlow,Music\nhigh,Whistle\n")
    heard = Listener()
    teach(place, tmp_path / "soft", label_map=tmp_path / "map.csv", progress=heard)
    assert heard.notices[1:] == [
        "  high  <-  Whistle",
        "  low   <-  Hum | Music",
        "one class a clip: the mapped scores in labels.csv are divided by their sum",
    ]
    table = read_soft_labels(tmp_path / "soft" / "labels.csv", task="single")
    store = open_store(tmp_path / "soft")
    row = store.rows[store.row_of[table.names[0]]]
    scores = store.scores[row.first_window : row.first_window + row.windows].astype(float).max(0)
    low, high = max(scores[2], scores[3]), scores[1]
    assert table.ordered(("low", "high"))[0] == pytest.approx([low / (low + high), high / (low + high)], abs=1e-3)
    (tmp_path / "map.csv").write_text("label,teacher\nlow,Humm\n")
    with pytest.raises(DataError, match=r"line 2: 'Humm' is no class of the teacher \(did you mean 'Hum'\?\)"):
        teach(place, tmp_path / "other", label_map=tmp_path / "map.csv")


def test_a_head_is_fitted_without_each_fold(place, tmp_path):
    lines = [f"clips/{label}/{i}.wav,{label},{1 + i % 2}" for label in ("low", "high") for i in range(6)]
    (place / "folds.csv").write_text("\n".join(["filename,label,fold", *lines]))
    api.teach(place / "folds.csv", teacher=str(place / "mn01.pt"), out=tmp_path / "soft", window_s=0.5, fit=True)
    names = sorted(p.name for p in (tmp_path / "soft").glob("labels*"))
    assert names == ["labels-without-fold-1.csv", "labels-without-fold-2.csv"]
    table = read_soft_labels(tmp_path / "soft" / names[0], task="single")
    assert table.labels == ("high", "low")
    # A head that never heard fold 1 cannot change with what stands there.
    lines = [
        line.replace(",low,1", ",swap,1").replace(",high,1", ",low,1").replace(",swap,1", ",high,1") for line in lines
    ]
    (place / "folds.csv").write_text("\n".join(["filename,label,fold", *lines]))
    api.teach(place / "folds.csv", teacher=str(place / "mn01.pt"), out=tmp_path / "swapped", window_s=0.5, fit=True)
    assert (tmp_path / "swapped" / names[0]).read_bytes() == (tmp_path / "soft" / names[0]).read_bytes()
    assert (tmp_path / "swapped" / names[1]).read_bytes() != (tmp_path / "soft" / names[1]).read_bytes()


def test_statistics_of_stages_become_a_teacher_of_the_own_classes(place, tmp_path):
    heard = Listener()
    result = teach(place, tmp_path / "soft", stages="2,5", fit=True, pad="repeat", progress=heard)
    assert result.recordings == 12
    store = open_store(tmp_path / "soft")
    stages = open_stages(str(place / "mn01.pt"), "2,5")
    assert (store.index.stages, store.index.pad) == ((2, 5), "repeat")
    assert store.embeddings.shape == (len(store.scores), stages.embedding_size)
    assert "12 recordings fit a head on 32 statistics, penalty " in heard.notices[-1]
    samples = read_audio(str(place / "clips/low/3.wav"), sample_rate=32_000).samples
    again = np.resize(samples[16_000:], 16_000)  # what is left after half a second, over and over
    expected = stages.score(np.stack([samples[:16_000], again])).embedding
    row = store.rows[store.row_of["low/3.wav"]]
    np.testing.assert_allclose(store.embeddings[row.first_window :][:2], expected, atol=2e-2)
    # The file that is left is a teacher: it says of the clips what the table says, and it labels others.
    teacher = open_teacher(str(tmp_path / "soft" / "teacher.safetensors"))
    assert teacher.labels == ("high", "low")
    table = read_soft_labels(tmp_path / "soft" / "labels.csv", task="single")
    said = teacher.head(expected.mean(0))
    assert table.ordered(("high", "low"))[table.names.index("low/3.wav")] == pytest.approx(said, abs=1e-2)
    other = api.teach(
        place / "pool", unlabelled=True, teacher=str(tmp_path / "soft" / "teacher.safetensors"), out=tmp_path / "more",
        window_s=0.5,
    )  # fmt: skip
    assert (other.recordings, other.labels) == (3, 2)


def test_stages_are_of_one_network_in_float32(place, tmp_path):
    with pytest.raises(UsageError, match="--stages computes in float32: leave --bf16 out"):
        teach(place, tmp_path / "soft", stages="all", bf16=True)
    with pytest.raises(UsageError, match="--stages 20: expected all, or numbers from 0 to 16"):
        teach(place, tmp_path / "soft", stages="20")
    teach(place, tmp_path / "soft", stages="1")
    with pytest.raises(RunError, match="cannot continue: it was started with another identity, stages, teacher; give"):
        teach(place, tmp_path / "soft", stages="2", resume=True)


def test_a_recording_that_cannot_be_read_is_a_failure_and_no_source(place, tmp_path):
    folder = write_folders(tmp_path / "data" / "clips", clips=3).parent
    (folder / "clips" / "low" / "1.wav").write_bytes(b"")
    result = api.teach(
        folder / "clips", teacher=str(place / "mn01.pt"), out=tmp_path / "soft", window_s=0.5, mixtures=5, mixture_s=0.5
    )
    assert list(result.failures) == ["low/1.wav"]
    assert result.failures["low/1.wav"].startswith("empty_file: ")
    store = open_store(tmp_path / "soft")
    assert store.rows[store.row_of["low/1.wav"]].windows == 0
    assert len(store.scores) == store.first_mixture_window + 5
    for path in (folder / "clips").rglob("*.wav"):
        path.write_bytes(b"")
    with pytest.raises(DataError, match=r"not one recording of .* can be read"):
        api.teach(folder / "clips", teacher=str(place / "mn01.pt"), out=tmp_path / "none", window_s=0.5)


def test_a_finished_run_is_not_done_again(place, tmp_path):
    teach(place, tmp_path / "soft")
    before, heard = content(tmp_path / "soft"), Listener()
    teach(place, tmp_path / "soft", resume=True, progress=heard)
    assert heard.notices[-1] == f"{tmp_path / 'soft'} is finished; nothing to do"
    assert content(tmp_path / "soft") == before


def test_folders_are_not_mixed(place, tmp_path):
    teach(place, tmp_path / "soft")
    with pytest.raises(RunError, match=r"soft holds soft labels already; --resume resumes it, --overwrite replaces it"):
        teach(place, tmp_path / "soft")
    with pytest.raises(RunError, match=r"cannot continue: it was started with another hop_s; give"):
        teach(place, tmp_path / "soft", hop_s=0.25, resume=True)
    with pytest.raises(RunError, match="give one of them"):
        teach(place, tmp_path / "soft", resume=True, overwrite=True)
    teach(place, tmp_path / "soft", hop_s=0.25, overwrite=True)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("x")
    with pytest.raises(
        RunError, match=r"mine holds other things than soft labels \(thesis.txt\); choose another folder"
    ):
        teach(place, tmp_path / "mine", overwrite=True)


def test_what_does_not_go_together(place, tmp_path):
    graph = write_graph(tmp_path)
    cases = [
        ({"teacher": str(graph), "window_s": 5.0}, r"--window 5: teacher tagger takes at most 2 s at once"),
        ({"hop_s": 0.6}, r"--hop 0\.6: expected more than 0 and at most the window, 0\.5 s"),
        ({"mixtures": 1, "mixture_s": 0.2}, r"--mixture-length 0\.2 is shorter than a window of 0\.5 s"),
        ({"fit": True, "unlabelled": True}, r"--fit needs labelled recordings"),
        ({"fit": True, "label_map": "map.csv"}, r"--fit learns the user's classes and --map translates them"),
        ({"fit": True, "embeddings": False}, r"leave --no-embeddings out"),
        ({"unlabelled": True, "pool": place / "pool"}, r"with --unlabelled .* is the pool itself"),
        ({"leave_out": ["a=b"]}, r"--leave-out a=b needs a --pool"),
        ({"pool": place / "pool", "leave_out": ["a=b"]}, r"--leave-out a=b: .* is no table"),
    ]
    for settings, message in cases:
        with pytest.raises(UsageError, match=message):
            teach(place, tmp_path / "out", **settings)


def test_tables_of_a_pool(place, tmp_path):
    (tmp_path / "pool.csv").write_text("filename,package\ngone.wav,a\n")
    with pytest.raises(DataError, match="not one of its 1 files is there"):
        teach(place, tmp_path / "out", pool=tmp_path / "pool.csv")
    with pytest.raises(UsageError, match=r"--leave-out kind=a: expected COLUMN=VALUE with one of filename, package"):
        teach(place, tmp_path / "out", pool=tmp_path / "pool.csv", leave_out=["kind=a"])
    (tmp_path / "pool.csv").write_text("name\ngone.wav\n")
    with pytest.raises(DataError, match="no column filename or path"):
        teach(place, tmp_path / "out", pool=tmp_path / "pool.csv")
    (tmp_path / "pool.csv").write_text("filename\n../../secret.wav\n")
    with pytest.raises(DataError, match=r"leads outside the data folder"):
        teach(place, tmp_path / "out", pool=tmp_path / "pool.csv")
    with pytest.raises(DataError, match="expected a folder of audio, or a table of files"):
        teach(place, tmp_path / "out", pool=tmp_path / "nowhere")


def test_long_recordings_have_many_windows_and_unlabelled_ones_need_no_classes(place, tmp_path):
    (tmp_path / "night").mkdir()
    soundfile.write(tmp_path / "night" / "long.wav", sound("low", 1, 2.0), RATE)
    api.teach(
        tmp_path / "night", teacher=str(place / "mn01.pt"), out=tmp_path / "soft", window_s=0.5, hop_s=0.25,
        unlabelled=True, embeddings=False,
    )  # fmt: skip
    store = open_store(tmp_path / "soft")
    assert [(row.key, row.windows) for row in store.rows] == [("long.wav", 7)]
    assert store.index.embedding_size == 0
    assert store.index.parts == ()
