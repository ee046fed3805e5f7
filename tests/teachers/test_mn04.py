# SPDX-License-Identifier: Apache-2.0
"""The real mn04 on ESC-10, through ``teach``: the figures that its original code gave."""

from __future__ import annotations

import csv

import numpy as np
import pytest

from auricle import api
from auricle.data.formats.registry import read_manifest
from auricle.data.soft_labels import read_soft_labels
from auricle.distill.store import open_store
from auricle.teachers.heads import fit_head
from experiments.distillation import MEANS

pytestmark = [pytest.mark.slow, pytest.mark.shared]


@pytest.fixture(scope="module")
def taught(shared, tmp_path_factory):
    """Soft labels of ESC-10 by mn04 with a map, and the data."""
    folder = tmp_path_factory.mktemp("mn04")
    with (folder / "map.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("label", "teacher"))
        writer.writerows((label, name) for label, names in MEANS.items() for name in names)
    teacher = shared / "models/mn04_as_mAP_432.pt"
    data = shared / "data/esc10"
    api.teach(data, teacher=str(teacher), out=folder / "soft", label_map=folder / "map.csv")
    return folder / "soft", read_manifest(data)


def test_zero_shot_by_the_map(taught):
    folder, manifest = taught
    table = read_soft_labels(folder / "labels.csv")
    said = dict(zip(table.names, table.ordered(manifest.labels).argmax(1), strict=True))
    right = sum(manifest.labels[said[clip.key]] == clip.label[0] for clip in manifest.clips)
    assert right / len(manifest) == pytest.approx(0.9625, abs=0.005)


def test_the_linear_probe_over_five_folds(taught):
    folder, manifest = taught
    store = open_store(folder)
    rows = [store.rows[store.row_of[clip.key]] for clip in manifest.clips]
    vectors = np.stack(
        [np.float32(store.embeddings[r.first_window : r.first_window + r.windows]).mean(0) for r in rows]
    )
    targets, folds = manifest.targets(), np.array([clip.fold for clip in manifest.clips])
    right = 0
    for fold in manifest.folds:
        head = fit_head(vectors[folds != fold], targets[folds != fold], "single")
        right += (head(vectors[folds == fold]).argmax(1) == targets[folds == fold].argmax(1)).sum()
    assert right / len(manifest) == pytest.approx(0.985, abs=0.005)
