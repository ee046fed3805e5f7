# SPDX-License-Identifier: Apache-2.0
"""Scans on a Ray cluster: what local processes give, whatever happens to the workers."""

from __future__ import annotations

import json
import os
from functools import partial

import numpy as np
import pytest
import soundfile
from helpers.deadly_work import dying, open_refused, open_shards, open_work, work_with_a_killer
from helpers.tinybundle import RATE, make_bundle
from helpers.tinyteachers import write_efficientat
from helpers.toydata import write_folders

from auricle import api
from auricle.audio.listing import Entry
from auricle.errors import AuricleError, UsageError
from auricle.scale import ray_work
from auricle.scale.ray_work import spread_on_cluster, work_on_cluster

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("cluster"), pytest.mark.filterwarnings("ignore")]


def results(names, tmp_path, jobs=2, timeout_s=30.0, opened=open_work):
    pieces = ((i, Entry(name)) for i, name in enumerate(names))
    return dict(work_on_cluster(partial(opened, str(tmp_path)), pieces, jobs=jobs, timeout_s=timeout_s))


def codes(found):
    return {record["path"]: record["error"] and record["error"]["code"] for record in found.values()}


def test_every_piece_has_its_record_once_and_the_workers_share_them(tmp_path):
    pieces = ((i, Entry(f"a{i}")) for i in range(50))
    found = list(work_on_cluster(partial(open_work, str(tmp_path)), pieces, jobs=2, timeout_s=30))
    assert sorted(index for index, _ in found) == list(range(50))
    assert all(record["path"] == f"a{index}" for index, record in found)
    assert len({record["pid"] for _, record in found}) == 2
    assert os.getpid() not in {record["pid"] for _, record in found}


def test_what_hangs_fails_alone_and_what_kills_its_worker_twice_fails(tmp_path):
    found = results(["a", "hang", "b", "die", "die once", "c"], tmp_path, jobs=1, timeout_s=2.0)
    assert codes(found) == {"a": None, "hang": "timeout", "b": None, "die": "internal", "die once": None, "c": None}
    assert found[1]["error"]["message"] == "not done after 2 s; look at the file, or allow more with --timeout"
    assert "its worker process died 2 times (Ray says: " in found[3]["error"]["message"]


def test_work_that_refuses_stops_everything(tmp_path):
    with pytest.raises(UsageError, match="the model is broken"):
        results(["a", "refuse", "b"], tmp_path)
    with pytest.raises(UsageError, match="no such model"):
        results(["a"], tmp_path, opened=open_refused)


def test_workers_that_die_when_they_start_are_not_started_for_ever(tmp_path):
    with pytest.raises(AuricleError, match=r"die when they start \(Ray says: .*\); fewer --jobs take less memory"):
        results(["a"], tmp_path, opened=dying)


def write_archive(folder, sounds, broken):
    """Write names of three sounds, and of files that are none in two ways; returns code of each bad one by its path."""
    folder.mkdir()
    (folder / "in").mkdir()
    for number, level in enumerate((0.2, 0.5, 0.8)):
        soundfile.write(folder / f"{number}.wav", np.tile(np.float32([level, -level]), RATE), RATE, subtype="FLOAT")
    bad = {"not_audio": "<html>404</html>", "empty_file": ""}
    for code, text in bad.items():
        (folder / f"{code}.wav").write_text(text)
    for number in range(sounds):
        os.link(folder / f"{number % 3}.wav", folder / "in" / f"{number:04}.wav")
    codes = {}
    for number in range(broken):
        code = list(bad)[number % 2]
        name = folder / "in" / f"{number * 41 % sounds:04}{code}.wav"  # between the good ones
        os.link(folder / f"{code}.wav", name)
        codes[str(name)] = code
    return codes


@pytest.mark.parametrize(("sounds", "broken"), [(198, 2), pytest.param(1_980, 20, marks=pytest.mark.slow)])
def test_a_scan_with_workers_killed_twice_equals_the_local_one(tmp_path, monkeypatch, sounds, broken):
    """Every good recording once, every bad one with its code, and not a byte else than without Ray."""
    from auricle.cli.main import main

    model = make_bundle(tmp_path / "tiny").path
    bad = write_archive(tmp_path / "archive", sounds, broken)
    archive = tmp_path / "archive" / "in"

    def scan(name, *words):
        with pytest.raises(SystemExit) as ended:
            main(["tag", str(archive), "--model", str(model), "--out", str(tmp_path / name), "--jobs", "2", *words])
        assert ended.value.code == 1, "some recordings failed"
        return [(tmp_path / name / file).read_bytes() for file in ("scores.jsonl", "failures.jsonl")]

    def with_a_killer(open_task, pieces, **options):
        opened = partial(work_with_a_killer, open_task, str(tmp_path), ("0007.wav", "0100.wav"))
        return work_on_cluster(opened, pieces, **options)

    monkeypatch.setattr(ray_work, "work_on_cluster", with_a_killer)
    scores, failures = scan("cluster", "--engine", "ray")
    assert (tmp_path / "0007.wav").exists()
    assert (tmp_path / "0100.wav").exists()
    assert [scores, failures] == scan("local")
    lines = [json.loads(line) for line in scores.splitlines()]
    assert sorted(line["path"] for line in lines) == sorted(map(str, archive.iterdir()))
    assert sum(line["error"] is None for line in lines) == sounds
    failed = [json.loads(line) for line in failures.splitlines()]
    assert {f["path"]: f["code"] for f in failed} == bad
    assert len(failed) == broken


def test_teaching_on_a_cluster_leaves_the_same_folder(tmp_path, monkeypatch):
    """Recordings and mixtures, shard by shard, byte for byte."""
    monkeypatch.setenv("AURICLE_CACHE", str(tmp_path / "cache"))
    write_folders(tmp_path / "clips", clips=20)  # two shards
    write_folders(tmp_path / "pool", clips=3, labels=("other",))
    write_efficientat(tmp_path)
    for name, more in (("here", {}), ("cluster", {"engine": "ray", "jobs": 2})):
        api.teach(
            tmp_path / "clips",
            teacher=str(tmp_path / "mn01.pt"),
            out=tmp_path / name,
            pool=tmp_path / "pool",
            mixtures=40,
            mixture_s=0.5,
            window_s=0.5,
            **more,
        )
    here, there = (
        {p.relative_to(d): p.read_bytes() for p in sorted(d.rglob("*")) if p.is_file() and p.name != "lock"}
        for d in (tmp_path / "here", tmp_path / "cluster")
    )
    assert here == there
    assert len([path for path in here if path.suffix == ".json" and path.parent.name == "shards"]) == 4


def test_a_shard_that_kills_its_worker_twice_stops_the_teaching(tmp_path):
    with pytest.raises(AuricleError, match=r"^shard die: its worker process died 2 times .* continue with --resume$"):
        list(spread_on_cluster(partial(open_shards, str(tmp_path)), iter([(0, "a"), (1, "die")]), jobs=1))


def test_ray_is_for_scans(capsys):
    from auricle.cli.main import main

    with pytest.raises(SystemExit) as ended:
        main(["tag", "x.wav", "--engine", "ray"])
    assert ended.value.code == 2
    assert "--engine ray is for a scan into a folder: give --out DIR too" in capsys.readouterr().err
