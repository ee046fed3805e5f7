# SPDX-License-Identifier: Apache-2.0
"""The search for the log-mel row's recipe: who is heard, what is counted, who is chosen."""

from __future__ import annotations

import json

import numpy as np
import pytest
import soundfile

from auricle.evaluation.spoof.intervals import Trials
from auricle.recipe.schema import load_recipe
from experiments import spoof_search as search

TINY = ("model.width=0.125", "optim.steps=1", "data.batch_size=2", "data.clip_s=0.4")
SYSTEMS = ("S01", "S02", "S03", "S05", "S06", "S07", "S08", "S09")


@pytest.fixture
def shared(tmp_path):
    """Eight people with a recording each, eight systems with a voice each, S04, and dev."""
    corpus = tmp_path / "shared/data/spoof"
    (corpus / "flac").mkdir(parents=True)
    (corpus / "protocols").mkdir()
    train = [f"h{i} a{i} - - bonafide" for i in range(8)]
    train += [f"t{s} b{s} - {s} spoof" for s in (*SYSTEMS, "S04")]
    dev = ["h9 c9 - - bonafide", "t9 d9 - S10 spoof"]
    rng = np.random.default_rng(0)
    for part, rows in (("train", train), ("dev", dev)):
        (corpus / "protocols" / f"{part}.txt").write_text("".join(f"{row}\n" for row in rows))
        for row in rows:
            soundfile.write(corpus / "flac" / f"{row.split()[1]}.flac", 0.1 * rng.standard_normal(8_000), 16_000)
    return tmp_path / "shared"


def test_neither_the_scored_systems_nor_the_speakers_nor_dev_are_heard(shared, tmp_path, monkeypatch):
    monkeypatch.setenv("AURICLE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(search, "HOW", (*search.HOW, *TINY))
    heard = []
    trains = search.fit

    def fit(material, split, folder, state, progress):
        assert len(split.dev) == len(split.test) == 0
        heard.append([material.manifest.clips[i] for i in split.train])
        return trains(material, split, folder, state, progress)

    scored = []
    figures = search.fold_figures

    def fold_figures(trials, scores):
        scored.append(trials)
        return figures(trials, scores)

    monkeypatch.setattr(search, "fit", fit)
    monkeypatch.setattr(search, "fold_figures", fold_figures)
    search.main(["pack", str(shared), str(tmp_path / "packed")])
    words = ["search", str(tmp_path / "packed"), str(tmp_path / "out"), "--only", "like"]
    search.main(words)
    search.main(words)  # what is there is not run again
    assert len(heard) == len(search.PAIRS)
    for clips, trials, pair in zip(heard, scored, search.PAIRS, strict=True):
        assert set(trials.attacks) == set(pair)
        assert trials.bonafide.any()
        assert not {c.group for c in clips} & set(trials.speakers)
        assert not {c.extra["system"] for c in clips} & {*pair, "S04", "S10"}
    assert not list((tmp_path / "out/running").iterdir())
    assert [p.name for p in (tmp_path / "packed/data/spoof/protocols").iterdir()] == ["train.txt"]
    assert len(list((tmp_path / "packed/data/spoof/flac").iterdir())) == 16
    stored = json.loads(search.Run("like", 2).path(tmp_path / "out").read_text())
    assert (stored["left_out"], stored["steps"]) == (["S01", "S08"], 1)


def test_another_process_may_lay_out_the_data_first(shared, tmp_path, monkeypatch):
    made = search.spoof.make_view

    def slow(place, folder, parts):
        made(place, tmp_path / "out/train", parts)
        return made(place, folder, parts)

    monkeypatch.setattr(search.spoof, "make_view", slow)
    assert search.view_of(shared, tmp_path / "out") == tmp_path / "out/train"
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["train"]


def test_areas_and_error_rates_by_hand():
    assert search.area(np.array([1.0, 2.0]), np.array([0.0, 1.0])) == 3.5 / 4
    trials = Trials(tuple("abcd"), ("p", "q", "s", "t"), ("-", "-", "S01", "S08"), np.array([True, True, False, False]))
    found = search.fold_figures(trials, np.array([3.0, 1.0, 0.0, 2.0]))
    # Person q against S08 is lost, the three other pairs are won.
    assert found["balanced"] == 75
    assert found["systems"]["S01"] == 0
    assert found["eer"] == 50


def fill(out, name, balanced, eer, folds=range(4)):
    for run in search.all_runs([name], folds):
        run.path(out).parent.mkdir(parents=True, exist_ok=True)
        facts = {"balanced": balanced, "eer": eer, "steps": 280 + run.fold, "batch_size": 32, "parameters": 1000}
        facts |= {"device": "cpu", "data_hash": "0" * 64, "machine": {"torch": "2.11", "commit": "abc"}}
        run.path(out).write_text(json.dumps(facts))


def test_the_choice_is_the_one_that_was_announced(tmp_path, monkeypatch):
    with pytest.raises(SystemExit, match="search is not complete; search first"):
        search.best(tmp_path)
    fill(tmp_path, "rawnet", 99, 1)  # to compare only
    for number, name in enumerate(search.CANDIDATES):
        fill(tmp_path, name, 60 + number, 20, search.FIRST)
    assert search.finalists(tmp_path) == list(search.CANDIDATES)[:-5:-1]
    with pytest.raises(SystemExit, match="search is not complete; search first"):
        search.best(tmp_path)
    for name in search.finalists(tmp_path):
        fill(tmp_path, name, 95 if name == "noise" else 70, 20, search.SECOND)
    fill(tmp_path, "plain", 99, 1, search.SECOND)  # looked at, but not among the best four of the first look
    assert search.best(tmp_path) == "noise"
    page = search.table(tmp_path)
    assert "| **noise** | like, and noise in 60 %, gain of 12 dB: `augment.noise_share=0.6` `augment.gain_db=12" in page
    assert "| 1,000 | 280 to 283 | 49.0 | **62.0** | 20.0 / 69.0 | 20.0 / 69.0 | 20.0 / 95.0 | 20.0 / 95.0 |" in page
    assert "| 1,000 | 280 to 281 | 42.0 |  | 20.0 / 62.0 | 20.0 / 62.0 |  |  |" in page
    assert page.index("| rawnet |") > page.index("| like |")
    done = []
    monkeypatch.setattr(search, "view_of", lambda shared, out: out)
    monkeypatch.setattr(search.spoof, "run", lambda shared, out, name, settings: done.append((name, settings)))
    search.main(["run", str(tmp_path), str(tmp_path)])
    assert done == [("crnn", [*search.HOW, *search.CANDIDATES["noise"].settings])]


def test_runs_are_dealt_out_whole():
    runs = search.all_runs(["a", "b"], range(8))
    split = [search.part_of(runs, f"{i}/3") for i in (1, 2, 3)]
    assert sorted(str(run) for part in split for run in part) == sorted(map(str, runs))
    assert [run.fold for run in runs[:4]] == [0, 0, 1, 1]
    for wrong in ("0/3", "4/3", "3", "a/b"):
        with pytest.raises(SystemExit, match="got no I/N with I from 1 to N; give 1/12 for the first of twelve"):
            search.part_of(runs, wrong)


def test_every_candidate_is_a_recipe():
    recipes = {
        name: load_recipe(None, search.settings_of(c), base={"model": {"name": c.model}})
        for name, c in search.EVERYTHING.items()
    }
    assert len({recipe.model_dump_json() for recipe in recipes.values()}) == len(search.EVERYTHING)
    assert {(r.data.clip_s, r.data.pad, r.data.batch_size) for r in recipes.values()} == {(4.0375, "repeat", 32)}
