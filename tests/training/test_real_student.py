# SPDX-License-Identifier: Apache-2.0
"""A student of the real mn04, on four classes of ESC-10 and mixtures with a pool: the whole way in two minutes."""

from __future__ import annotations

import csv

import pytest

from auricle import api
from auricle.progress import Progress

CLASSES = ("dog", "rain", "rooster", "helicopter")


class Losses(Progress):
    def __init__(self) -> None:
        self.losses: list[float] = []
        self.notices: list[str] = []

    def notice(self, text: str) -> None:
        self.notices.append(text)

    def step_done(self, step: int, loss: float) -> None:
        self.losses.append(loss)


@pytest.mark.slow
@pytest.mark.shared
def test_a_student_of_mixtures_learns(shared, tmp_path, monkeypatch):
    monkeypatch.setenv("AURICLE_CACHE", str(tmp_path / "cache"))
    data, pool = tmp_path / "data", tmp_path / "pool"
    data.mkdir()
    pool.mkdir()
    with (shared / "data/esc10/esc10.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["category"] in CLASSES]
    for row in rows:
        place = data / row["filename"]
        place.parent.mkdir(exist_ok=True)
        place.symlink_to(shared / "data/esc10" / row["filename"])
    with (data / "clips.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    for path in sorted((shared / "data/pool/audio").iterdir())[:20]:
        (pool / path.name).write_bytes(path.read_bytes())
    teacher = str(shared / "models/mn04_as_mAP_432.pt")
    api.teach(data / "clips.csv", teacher=teacher, out=tmp_path / "soft", pool=pool, mixtures=256, bf16=True)
    heard = Losses()
    settings = ["optim.steps=160", "data.batch_size=16", "run.threads=1", "data.workers=0", "run.early_stop=null"]
    result = api.train(
        data / "clips.csv",
        out=tmp_path / "m",
        soft=tmp_path / "soft",
        overrides=settings,
        test_fold="1",
        progress=heard,
    )
    assert result.test is not None
    assert result.test.metrics["accuracy"].value > 0.6  # chance is 0.25
    assert sum(heard.losses[-20:]) < 0.9 * sum(heard.losses[:20])
    assert any("mixtures of the teacher's" in text for text in heard.notices)
