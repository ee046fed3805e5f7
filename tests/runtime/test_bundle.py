# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import os
import pickle
import random
import shutil
from collections.abc import Iterator

import pytest
from helpers.tinybundle import LABELS, loudness_graph, make_bundle, spec_values

from auricle.errors import BundleError
from auricle.files import sha256_bytes
from auricle.runtime.atomic_folder import settle
from auricle.runtime.bundle import BundleSpec, add_files, load_bundle, write_bundle
from auricle.runtime.spec import parse_spec


@pytest.fixture
def folder(tmp_path):
    return make_bundle(tmp_path / "m").path


def edit(folder, **changes) -> None:
    """Change fields of auricle.json behind auricle's back, as people do: without the hash of the file itself."""
    path = folder / "auricle.json"
    values = json.loads(path.read_text())
    values.pop("own_sha256", None)
    path.write_text(json.dumps(values | changes))


def test_what_is_written_is_read_back(tmp_path):
    weights = tmp_path / "weights"
    weights.write_bytes(b"weights")
    spec = BundleSpec(**spec_values(provenance={"data_hash": "abc", "seeds": [1, 2], "recipe": {"a": {"b": 1}}}))
    files = {
        "model.onnx": loudness_graph(),
        "model.safetensors": weights,
        "golden.npz": lambda: b"g",
        "README.md": b"#",
    }
    bundle = write_bundle(tmp_path / "deep" / "er", spec, files)
    assert bundle == load_bundle(tmp_path / "deep" / "er")
    assert bundle.spec.model_copy(update={"sha256": {}}) == spec
    assert bundle.spec.sha256 == {
        "model.onnx": sha256_bytes(loudness_graph()),
        "model.safetensors": sha256_bytes(b"weights"),
        "golden.npz": sha256_bytes(b"g"),
    }
    assert bundle.read("model.safetensors") == b"weights"
    assert "golden.npz" in bundle
    assert "README.md" not in bundle
    assert (bundle.spec.window_samples, bundle.spec.hop_samples) == (1000, 500)


def test_readme_run_and_strangers_are_left_alone(folder):
    (folder / "README.md").write_text("edited by hand")
    (folder / "run").mkdir()
    (folder / "run" / "lock").write_text("x")
    (folder / "notes.txt").write_text("x")
    assert load_bundle(folder).spec.labels == LABELS


def test_files_can_be_added_without_touching_the_others(folder):
    before = load_bundle(folder).spec.sha256["model.onnx"]
    bundle = add_files(folder, {"model.int8.onnx": loudness_graph(scale=0.5)})
    assert set(bundle.spec.sha256) == {"model.onnx", "model.int8.onnx"}
    assert bundle.spec.sha256["model.onnx"] == before


def test_nothing_to_load_is_said(tmp_path):
    with pytest.raises(BundleError, match=r"the model .*gone does not exist; give the folder that holds auricle.json"):
        load_bundle(tmp_path / "gone")
    (tmp_path / "f").write_text("x")
    with pytest.raises(BundleError, match=r"f is a file, not a model folder; give the folder"):
        load_bundle(tmp_path / "f")
    (tmp_path / "d").mkdir()
    with pytest.raises(
        BundleError, match=r"d is not a model folder: it has no auricle.json; `auricle train --out` makes one"
    ):
        load_bundle(tmp_path / "d")


def test_a_missing_file_is_named(folder):
    (folder / "model.onnx").unlink()
    with pytest.raises(BundleError, match=r"has no file model.onnx, which auricle.json lists; get the folder again"):
        load_bundle(folder)
    with pytest.raises(BundleError, match=r"has no file 'golden.npz'; it has model.onnx"):
        make_bundle(folder).read("golden.npz")
    edit(folder, sha256={})
    with pytest.raises(BundleError, match=r"auricle.json lists no model.onnx; get the model folder again"):
        load_bundle(folder)


def test_c1_a_file_cut_anywhere_is_refused(folder):
    data = (folder / "model.onnx").read_bytes()
    for size in (0, 1, len(data) // 2, len(data) - 1):
        (folder / "model.onnx").write_bytes(data[:size])
        with pytest.raises(BundleError, match=rf"model.onnx is damaged or was changed: its {size} bytes have SHA-256"):
            load_bundle(folder)


def test_c1_a_cut_specification_is_refused(folder):
    data = (folder / "auricle.json").read_bytes()
    for size in range(0, len(data) - 2, 37):
        (folder / "auricle.json").write_bytes(data[:size])
        with pytest.raises(BundleError, match=r"auricle.json is not valid JSON .*; get the model folder again"):
            load_bundle(folder)


def test_c2_every_flipped_bit_is_seen(folder):
    add_files(folder, {"model.safetensors": b"weights" * 5})
    for name in ("model.onnx", "model.safetensors"):
        data = (folder / name).read_bytes()
        for place in range(0, len(data), max(1, len(data) // 20)):
            damaged = bytearray(data)
            damaged[place] ^= 1 << (place % 8)
            (folder / name).write_bytes(damaged)
            with pytest.raises(BundleError, match=rf"{name} is damaged or was changed: its {len(data)} bytes"):
                load_bundle(folder)
        (folder / name).write_bytes(data)
    assert load_bundle(folder)


def damaged_variants(data: bytes, rng: random.Random, cuts: int, flips: int) -> Iterator[bytes]:
    """Yield the file cut at places and with flipped bits, both drawn at random: all places if there are so few."""
    for size in range(len(data)) if cuts >= len(data) else rng.sample(range(len(data)), cuts):
        yield data[:size]
    for _ in range(flips):
        place = rng.randrange(len(data))
        yield data[:place] + bytes([data[place] ^ 1 << rng.randrange(8)]) + data[place + 1 :]


def assert_every_damage_is_seen(folder, cuts: int, flips: int) -> None:
    add_files(folder, {"model.safetensors": b"weights" * 20, "golden.npz": b"scores" * 20})
    files = ["auricle.json", *load_bundle(folder).spec.sha256]
    sizes = {name: (folder / name).stat().st_size for name in files}
    assert sum(sizes.values()) <= 20_000
    rng = random.Random(0)
    for name in files:
        data = (folder / name).read_bytes()
        for damaged in damaged_variants(data, rng, cuts, flips * sizes[name] // sum(sizes.values())):
            (folder / name).write_bytes(damaged)
            with pytest.raises(BundleError):
                load_bundle(folder)
        (folder / name).write_bytes(data)
    assert load_bundle(folder)


def test_c1_c2_cuts_and_flipped_bits_are_seen(folder):
    assert_every_damage_is_seen(folder, cuts=100, flips=500)


@pytest.mark.slow
def test_c1_c2_every_cut_and_ten_thousand_flipped_bits_are_seen(folder):
    assert_every_damage_is_seen(folder, cuts=20_000, flips=10_000)


def test_c2_damage_of_the_specification_is_told_with_a_way_out(folder):
    path = folder / "auricle.json"
    data = path.read_bytes()
    path.write_bytes(data.replace(b'"loud": 0.5', b'"loud": 0.7'))
    with pytest.raises(BundleError) as caught:
        load_bundle(folder)
    assert str(caught.value) == (
        f"{folder}: auricle.json is damaged or was changed: its {len(data)} bytes do not have the SHA-256 that it "
        "states (own_sha256); get the model folder again, or drop that line if you changed the file yourself"
    )
    values = json.loads(path.read_text())
    del values["own_sha256"]
    path.write_text(json.dumps(values))
    assert load_bundle(folder).spec.thresholds["loud"] == 0.7


def test_a_bundle_without_a_hash_of_its_own_specification_is_read(folder):
    edit(folder)
    assert "own_sha256" not in json.loads((folder / "auricle.json").read_text())
    assert load_bundle(folder).spec.labels == LABELS


def test_r2_a_model_that_was_committed_is_read_and_settled(folder):
    """A kill after the commit: all files lie in .incoming, or some of them still do."""
    before = load_bundle(folder)
    incoming = folder / ".incoming"
    for moved in (["auricle.json", "model.onnx"], ["auricle.json"]):
        incoming.mkdir()
        for name in moved:
            (folder / name).rename(incoming / name)
        assert load_bundle(folder).spec == before.spec
        settle(folder)
        assert not incoming.exists()
        assert load_bundle(folder).spec == before.spec


def test_c12_a_linked_folder_of_new_files_is_not_followed(folder, tmp_path):
    other = make_bundle(tmp_path / "other", name="other").path
    (folder / ".incoming").symlink_to(other)
    assert load_bundle(folder).spec.name == "tiny"
    settle(folder)
    assert (other / "auricle.json").exists()


def test_a_change_after_loading_is_seen_when_the_file_is_read(folder):
    bundle = load_bundle(folder)
    (folder / "model.onnx").write_bytes(loudness_graph(scale=2.0))
    with pytest.raises(BundleError, match=r"model.onnx is damaged or was changed"):
        bundle.read("model.onnx")


def test_c3_a_pickle_is_never_opened(folder):
    class Bomb:
        def __reduce__(self):
            return os.mkdir, (str(folder / "exploded"),)

    bomb = pickle.dumps(Bomb())
    write_bundle(folder, load_bundle(folder).spec, {"model.onnx": loudness_graph(), "model.safetensors": bomb})
    with pytest.raises(BundleError, match="is not an ONNX model"):
        add_files(folder, {"model.onnx": bomb})
    (folder / "auricle.json").write_bytes(bomb)
    with pytest.raises(BundleError, match=r"auricle.json is not valid JSON"):
        load_bundle(folder)
    assert not (folder / "exploded").exists()


def test_c8_a_later_schema_names_both_versions(folder):
    edit(folder, schema_version=2, provenance={"versions": {"auricle": "7.1"}}, news=True)
    with pytest.raises(
        BundleError, match=r"was made by auricle 7.1 \(schema 2\), this is auricle [\d.]+ \(schema 1\): up"
    ):
        load_bundle(folder)
    edit(folder, provenance=3)
    with pytest.raises(BundleError, match=r"was made by auricle a later version \(schema 2\)"):
        load_bundle(folder)


@pytest.mark.parametrize("version", [None, 0, "1", True, 1.5])
def test_c9_no_usable_version_is_no_bundle(folder, version):
    edit(folder, schema_version=version)
    with pytest.raises(BundleError, match=r"states no schema_version; it was not made by auricle"):
        load_bundle(folder)


@pytest.mark.parametrize("name", ["../model.onnx", "/etc/passwd", "a/b", ".hidden", "..", "", "a\\b", "a\0", "x" * 101])
def test_c12_names_with_tricks_are_refused(folder, name):
    edit(folder, sha256={"model.onnx": "0" * 64, name: "0" * 64})
    with pytest.raises(BundleError, match="is not a plain file name"):
        load_bundle(folder)
    with pytest.raises(BundleError, match="only plain names in the folder itself"):
        write_bundle(folder, BundleSpec(**spec_values()), {name: b""})


def test_c12_links_are_refused(folder, tmp_path):
    for name in ("model.onnx", "auricle.json"):
        shutil.move(folder / name, tmp_path / name)
        (folder / name).symlink_to(tmp_path / name)
        with pytest.raises(BundleError, match=rf"{name} is a symbolic link; a model folder holds its files itself"):
            load_bundle(folder)
        (folder / name).unlink()
        shutil.move(tmp_path / name, folder / name)
    (folder / "model.onnx").unlink()
    (folder / "model.onnx").mkdir()
    with pytest.raises(BundleError, match=r"model.onnx is not a regular file"):
        load_bundle(folder)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"labels": ["loud", "loud"], "thresholds": {"loud": 0.5}}, "label 'loud' stands twice"),
        ({"labels": ["loud", " "], "thresholds": {"loud": 0.5, " ": 0.5}}, "a label is empty or holds control"),
        ({"labels": ["loud", "a\nb"], "thresholds": {"loud": 0.5, "a\nb": 0.5}}, "a label is empty or holds control"),
        ({"labels": [], "thresholds": {}}, "labels: tuple should have at least 1 item"),
        ({"labels": [1, 2]}, "labels.0: input should be a valid string"),
        ({"thresholds": {"loud": 0.5}}, "thresholds and labels differ in 'quiet'"),
        ({"thresholds": {"loud": 0.5, "quiet": 1.5}}, "thresholds.quiet: input should be less than or equal to 1"),
        ({"task": "both"}, "task: input should be 'single' or 'multi'"),
        ({"pad": "wrap"}, "pad: input should be 'zero' or 'repeat'"),
        ({"hop_s": 2.0}, "hop_s 2 is above window_s 1: sound would be skipped"),
        ({"margin_s": 0.2}, "window_s 1 is not hop_s 0.5 with margin_s 0.2 on both sides"),
        ({"hop_s": 0.2, "margin_s": 0.4}, "margin_s 0.4 is longer than hop_s 0.2"),
        ({"hop_s": 0.5, "margin_s": 0.25}, "hop_s 0.5 and margin_s 0.25 are no whole numbers of frames"),
        ({"hop_s": 0.6, "margin_s": 0.2, "fixed_length": True}, "margin_s needs a network that takes any length"),
        ({"min_samples": 1001}, "window_s 1 is shorter than min_samples 1001"),
        ({"sample_rate": "16000"}, "sample_rate: input should be a valid integer"),
        ({"window_s": float("inf")}, "window_s: input should be a finite number"),
        ({"frames": {"hop_samples": 5000, "first_centre_samples": 0, "receptive_samples": 1}}, "longer than a window"),
        ({"postprocess": {"medians_s": {"bark": 1.0}}}, "postprocess.medians_s names 'bark', which is no label"),
        ({"postprocess": {"off_ratios": {"loud": 0.0}}}, "postprocess.off_ratios.loud: input should be greater than 0"),
        ({"postprocess": {"boxes": {"filter_s": 0}}}, "postprocess.boxes.filter_s: input should be greater than 0"),
        ({"surprise": 1}, "surprise: extra inputs are not permitted"),
        ({"name": ""}, "name: string should have at least 1 character"),
        ({"sha256": {"model.onnx": "beef"}}, "the hash of 'model.onnx' is no SHA-256"),
        ({"calibration": {"method": "temperature"}}, "`temperature` stands with method temperature, and only there"),
        ({"calibration": {"method": "logistic", "scale": [1.0]}}, "`scale` and `bias` stand with method logistic"),
        ({"calibration": {"method": "logistic", "scale": [1.0], "bias": [0.0]}}, "needs 2 values of scale and bias"),
        (
            {"task": "single", "calibration": {"method": "logistic", "scale": [1.0, 1.0], "bias": [0.0, 0.0]}},
            "calibration by method logistic needs task multi",
        ),
        (
            {
                "frontend": {
                    **{"name": "logmel", "sample_rate": 16000, "n_mels": 64},
                    **{"window_ms": 25.0, "hop_ms": 10.0, "f_min": 30.0},
                }
            },
            "sample_rate 1000 differs from frontend.sample_rate 16000",
        ),
    ],
)
def test_impossible_specifications_are_explained(folder, changes, text):
    edit(folder, **changes)
    with pytest.raises(BundleError) as caught:
        load_bundle(folder)
    assert text in caught.value.message
    assert "auricle.json cannot be used: " in caught.value.message
    assert "\n" not in caught.value.message


def test_what_is_said_by_label_goes_before_what_is_said_for_all():
    values = spec_values(postprocess={"median_s": 0.4, "medians_s": {"loud": 0.2}, "off_ratios": {"quiet": 0.5}})
    post = parse_spec(json.dumps(values | {"schema_version": 1}).encode(), "m").postprocess
    assert [post.median_of(label) for label in ("loud", "quiet")] == [0.2, 0.4]
    assert [post.off_ratio_of(label) for label in ("loud", "quiet")] == [1.0, 0.5]


def test_all_problems_are_told_at_once():
    values = spec_values(hop_s=2.0, min_samples=5_000, labels=["a", "a"])
    with pytest.raises(BundleError) as caught:
        parse_spec(json.dumps(values | {"schema_version": 1}).encode(), "m")
    assert caught.value.message.count(";") == 4


def test_a_huge_or_deep_specification_is_refused():
    with pytest.raises(BundleError, match=r"m: auricle.json has 16000001 bytes, at most 16000000 are read"):
        parse_spec(b" " * 16_000_001, "m")
    with pytest.raises(BundleError, match=r"m: auricle.json is not valid JSON"):
        parse_spec(b"[" * 100_000, "m")
    with pytest.raises(BundleError, match="states no schema_version"):
        parse_spec(b"[1]", "m")
