# SPDX-License-Identifier: Apache-2.0
"""What the built-in model `general` was distilled on: nothing that its figures are of."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from auricle.files import sha256_file
from auricle.runtime.bundle import load_bundle
from auricle.runtime.model_names import BUNDLES

LIST = Path(__file__).parents[2] / "docs/results/general-sources.csv"
#: Kept from training, as the check that the student says what its teacher says.
KEPT_OUT = {
    "pool": {"klettres-data", "ufoai-sound"},
    "pool2": {"scikit-maad/scikit-maad", "Muges/ambientsounds", "gheja/doggy-daycare", "redeclipse/sounds"},
}


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def heard() -> set[str]:
    return {row["sha256"] for row in rows(LIST)}


def test_the_list_is_whole(heard):
    assert len(rows(LIST)) == len(heard) == 3_716
    assert {row["filename"].split("/")[0] for row in rows(LIST)} == {"pool", "pool2", "spoof"}


@pytest.mark.shared
@pytest.mark.parametrize(
    ("data", "pattern"), [("esc10", "*/*.ogg"), ("strong", "audio/*.ogg")], ids=["ESC-10", "scenes"]
)
def test_no_test_clip_was_heard(heard, shared, data, pattern):
    files = sorted((shared / "data" / data).glob(pattern))
    assert len(files) >= 80
    assert not {sha256_file(file)[:16] for file in files} & heard


@pytest.mark.shared
def test_no_dev_voice_was_heard(heard, shared):
    lines = (shared / "data/spoof/protocols/dev.txt").read_text().splitlines()
    dev = {sha256_file(shared / f"data/spoof/flac/{line.split()[1]}.flac")[:16] for line in lines}
    assert len(dev) == 458
    assert not dev & heard


@pytest.mark.shared
@pytest.mark.parametrize(("pool", "column"), [("pool", "package"), ("pool2", "source")])
def test_what_was_kept_out_was_kept_out(heard, shared, pool, column):
    table = rows(shared / f"data/{pool}/{pool}.csv")
    kept = [shared / "data" / pool / row["filename"] for row in table if row[column] in KEPT_OUT[pool]]
    assert len(kept) == {"pool": 129, "pool2": 201}[pool]
    assert not {sha256_file(path)[:16] for path in kept} & heard


def test_the_bundle_is_small_enough():
    sizes = {path.name: sum(f.stat().st_size for f in path.iterdir()) for path in BUNDLES.iterdir() if path.is_dir()}
    assert sizes["general"] <= 4_500_000
    assert load_bundle(BUNDLES / "general").spec.label_ids["Bark"] == "/m/05tny_"
