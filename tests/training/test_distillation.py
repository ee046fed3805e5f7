# SPDX-License-Identifier: Apache-2.0
"""Learning from a teacher: which items, which targets, and that nothing held out is heard."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers.tinyteachers import write_efficientat
from helpers.toydata import TINY, Listener, make_loop, signal_at, tiny, tiny_of, write_folders
from safetensors.torch import load as load_tensors

from auricle import api
from auricle.batches.augment.augmentation import Placement
from auricle.batches.targets import ClipBatch, Crop
from auricle.distill.loss import TeacherBatch
from auricle.distill.stage_head import fit_stage_head
from auricle.distill.store import open_store
from auricle.distill.targets import TeacherTargets, make_training_items
from auricle.distill.teach import clip_mean
from auricle.errors import ConfigError, DataError, Interrupted
from auricle.files import sha256_file
from auricle.progress import Progress
from auricle.recipe.schema import TeacherSection, load_recipe
from auricle.runtime.bundle import load_bundle
from auricle.runtime.detector import load
from auricle.synth.mixtures import Mixture
from auricle.teachers.heads import PENALTIES
from auricle.training.preparation import prepare, read_training_data, training_set
from auricle.training.request_recipe import make_request_recipe


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("AURICLE_CACHE", str(tmp_path_factory.getbasetemp() / "lessons-cache"))


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Clips in two folds, a pool, and soft labels of both with 40 mixtures; ``tenths`` has windows of 0.1 s, and
    ``labels.csv`` a row a clip.
    """
    folder = tmp_path_factory.mktemp("lessons")
    write_folders(folder / "clips", clips=6)
    write_folders(folder / "pool", clips=3, labels=("other",))
    lines = [f"clips/{label}/{i}.wav,{label},{1 + i % 2}" for label in ("low", "high") for i in range(6)]
    (folder / "folds.csv").write_text("\n".join(["filename,label,fold", *lines]))
    soft = [
        f"clips/{label}/{i}.wav,{high:g},{1 - high:g}"
        for label, high in (("low", 0.25), ("high", 0.75))
        for i in range(6)
    ]
    (folder / "labels.csv").write_text("\n".join(["filename,high,low", *soft]))
    teacher = str(write_efficientat(folder))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AURICLE_CACHE", str(folder / "cache"))
        settings = {"teacher": teacher, "mixture_s": 0.5, "pool": folder / "pool"}
        api.teach(folder / "folds.csv", out=folder / "soft", window_s=0.5, mixtures=40, **settings)
        api.teach(folder / "folds.csv", out=folder / "tenths", window_s=0.1, mixtures=10, **settings)
        api.teach(folder / "pool", teacher=teacher, out=folder / "pooled", window_s=0.5, unlabelled=True, mixtures=9)
    return folder


def material_of(place, soft="soft", *overrides):
    recipe = tiny(*overrides, f"teacher.labels={place / soft}")
    return prepare(read_training_data(place / "folds.csv", recipe), recipe, Progress())


def in_fold(material, fold):
    return np.array([i for i, clip in enumerate(material.manifest.clips) if clip.fold == fold])


def test_no_mixture_of_a_held_out_clip_takes_part(place):
    material = material_of(place)
    soft_labels = material.soft_labels
    for fold, other in (("1", "2"), ("2", "1")):
        items = training_set(material, in_fold(material, fold)).clips
        mixtures = [item for item in items if isinstance(item, Mixture)]
        paths = {soft_labels.clip_of[soft_labels.usable[s]].path for m in mixtures for s in m.sources}
        paths |= {item.path for item in items if not isinstance(item, Mixture)}
        held_out = {clip.path for clip in material.manifest.clips if clip.fold == other}
        assert len(mixtures) > 5
        assert not {sha256_file(path) for path in paths} & {sha256_file(path) for path in held_out}
        assert any("/pool/" in path for path in paths)


def test_the_head_hears_training_clips_only(place):
    """Other labels of the held-out fold change nothing that is learnt."""
    material = material_of(place)
    train = in_fold(material, "1")
    first = training_set(material, train).teacher.class_scores
    targets = material.targets.copy()
    targets[in_fold(material, "2")] = targets[in_fold(material, "2")][:, ::-1]
    swapped = make_training_items(
        material.soft_labels, train, material.recipe, targets[train]
    ).teacher_targets.class_scores
    assert np.array_equal(first, swapped)
    targets[train] = targets[train][:, ::-1]
    changed = make_training_items(
        material.soft_labels, train, material.recipe, targets[train]
    ).teacher_targets.class_scores
    assert not np.array_equal(first, changed)


def test_a_head_on_stages_has_a_penalty_of_these_clips_alone(place):
    """The scores are those of the head that ``fit_stage_head`` makes of the training clips' statistics."""
    api.teach(place / "folds.csv", teacher=str(place / "mn01.pt"), out=place / "stages", window_s=0.5, stages="1,3")
    material = material_of(place, "stages")
    indices, store = in_fold(material, "1"), open_store(place / "stages")
    made = make_training_items(material.soft_labels, indices, material.recipe, material.targets[indices])
    clips = [material.manifest.clips[i] for i in indices]
    rows = [store.rows[store.row_of[clip.key]] for clip in clips]
    vectors = np.stack([clip_mean(store.embeddings, row.first_window, row.windows) for row in rows])
    head, penalty = fit_stage_head(vectors, material.targets[indices], material.manifest.select(indices), "single")
    assert penalty in PENALTIES
    np.testing.assert_allclose(made.teacher_targets.class_scores, head(store.embeddings), atol=1e-6)


def test_an_epoch_holds_clips_as_often_as_the_recipe_says(place):
    material = material_of(place, "soft", "teacher.clip_share=0.5")
    data = training_set(material, in_fold(material, "1"))
    mixtures = sum(isinstance(item, Mixture) for item in data.clips)
    clips = sum(not isinstance(item, Mixture) and "clips/" in item.key for item in data.clips)
    assert clips % 6 == 0
    assert clips == pytest.approx(mixtures + 3, abs=3)
    assert data.targets[:clips].sum(1).tolist() == [1] * clips
    assert data.targets[clips:].sum() == 0


def test_sound_of_the_pool_alone_weighs_less(place):
    data = training_set(material_of(place, "soft", "teacher.pool_weight=0.25"), np.arange(12))
    of_pool = [
        item.parts[0].source >= 12 if isinstance(item, Mixture) else item.key.startswith("other/")
        for item in data.clips
    ]
    assert {(bool(p), float(w)) for p, w in zip(of_pool, data.weights, strict=True)} == {(True, 0.25), (False, 1.0)}
    silent = training_set(material_of(place, "soft", "teacher.head=none"), np.arange(12))
    labelled = [not isinstance(i, Mixture) and "clips/" in i.key for i in silent.clips]
    assert silent.teacher.class_scores is None
    assert silent.weights.tolist() == [1.0 if known else 0.0 for known in labelled]


TEACHER = TeacherTargets(
    scores=np.arange(12, dtype=np.float16).reshape(6, 2) / 16,
    embeddings=np.arange(6, dtype=np.float16)[:, None],
    class_scores=np.array([[1, 0], [0.5, 0.5], [0, 1], [0, 1], [0.25, 0.75], [1, 0]], np.float32),
    first=np.array([0, 4, -1]),
    count=np.array([4, 1, 0]),
    labelled=np.array([True, False, True]),
    per_crop=2,
    hop=400.0,
    task="multi",
    settings=TeacherSection(soft_weight=0.5),
)
PLACE = Placement(start=0.7, shift=0.6, speed=1.0)


def placed(clip: int, start: float, shift: float) -> Crop:
    first, place = TEACHER.place(clip, Placement(start, shift))
    return Crop(clip, first, 10_000 - first, place)


def test_crops_begin_and_roll_by_whole_windows():
    assert TEACHER.place(0, PLACE) == (2 * 400, Placement(0.0, 0.5, 1.0))
    assert TEACHER.place(1, PLACE)[0] == 0
    assert TEACHER.place(2, PLACE) == (0, PLACE)


def test_targets_by_hand():
    hard = ClipBatch(torch.tensor([[0.0, 1], [0, 0], [1, 0]]))
    crops = [placed(0, 0.34, 0.6), placed(1, 0.9, 0.0), placed(2, 0.9, 0.9)]  # window 1 of 3, rolled by one
    found = TEACHER.collate(crops, {"clip": hard})
    taught = found["teacher"]
    # Half people, half teacher; teacher; people.
    assert found["clip"].labels.tolist() == [[0.25, 1.0], [0.25, 0.75], [1, 0]]
    assert taught.windows[0].tolist() == [[0, 1], [0.5, 0.5]]  # rolled by one
    assert taught.windows[1].tolist() == [[0.25, 0.75], [0.25, 0.75]]  # the only window stands for the missing one
    assert taught.scores[0].tolist() == [4 / 16, 5 / 16]
    assert taught.embedding.tolist() == [[1.5], [4], [0]]
    assert taught.known.tolist() == [1, 1, 0]


@pytest.mark.parametrize(("per_crop", "hop"), [(1, 4_000.0), (5, 800.0), (3, 133.333), (1, 20.0)])
def test_the_windows_of_a_crop_are_those_where_it_was_placed(per_crop, hop):
    """The slow way: the window that was drawn is looked up again from the place of the crop."""
    count = 40
    numbers = np.arange(count, dtype=np.float16)[:, None]
    teacher = replace(TEACHER, scores=numbers, embeddings=numbers, class_scores=None, first=np.array([0]),
                      count=np.array([count]), per_crop=per_crop, hop=hop)  # fmt: skip
    for start in np.linspace(0, 0.999, 101):
        for shift in (0.0, 0.3, 0.99):
            first, place = teacher.place(0, Placement(float(start), shift))
            crop = Crop(0, first, 1_000_000, place)
            window, roll = int(start * (count - per_crop + 1)), int(shift * per_crop)
            expected = np.roll(window + np.arange(per_crop), roll)
            assert teacher._windows(crop).tolist() == expected.tolist()


def test_what_a_teacher_says_is_mixed_too_and_unknown_where_a_partner_was():
    said = torch.tensor([[1.0], [0.0], [0.5]])
    batch = TeacherBatch(said, 2 * said, said[:, None], torch.tensor([1.0, 1.0, 0.0]))
    partner, weight = torch.tensor([1, 2, 0]), torch.tensor([0.75, 0.75, 1.0])
    mixed = TEACHER.mix(batch, partner, weight)
    assert mixed.scores[:, 0].tolist() == [0.75, 0.125, 0.5]
    assert mixed.embedding[:, 0].tolist() == [1.5, 0.25, 1.0]
    assert mixed.windows[:, 0, 0].tolist() == [0.75, 0.125, 0.5]
    assert mixed.known.tolist() == [1, 0, 0]


def test_several_windows_a_crop_teach_frames(place, tmp_path):
    material = material_of(place, "tenths")
    assert training_set(material, np.arange(12)).teacher.per_crop == 5
    heard = Listener()
    api.train(place / "folds.csv", out=tmp_path / "m", soft=place / "tenths", overrides=TINY, progress=heard)
    assert np.mean(heard.losses[-3:]) < np.mean(heard.losses[:3])


def test_windows_that_do_not_fill_a_crop_are_refused(place):
    with pytest.raises(
        ConfigError, match=r"windows of 0\.5 s every 0\.5 s do not fill crops of 0\.7 s; set data\.clip_s"
    ):
        training_set(material_of(place, "soft", "data.clip_s=0.7"), np.arange(12))


@pytest.mark.parametrize("soft", ["soft", "labels.csv"])
def test_a_sweep_trains_on_soft_labels_as_train_does(place, soft, tmp_path):
    recipe = tmp_path / "sweep.yaml"
    recipe.write_text("sweep: {trials: 1, search: {optim.lr: [0.002]}}")
    said = Listener()
    result = api.sweep(
        recipe, place / "folds.csv", out=tmp_path / "out", soft=place / soft, overrides=TINY, progress=said
    )
    best = tmp_path / "out" / "best.yaml"
    assert load_recipe(best).teacher.labels == str(place / soft)
    run = api.train(place / "folds.csv", out=tmp_path / "m", recipe=best, progress=(heard := Listener()))
    assert run.dev["accuracy"] == result.best.score
    assert said.losses == heard.losses
    assert api.train(place / "folds.csv", out=tmp_path / "hard", overrides=TINY, progress=(plain := Listener()))
    assert plain.losses != heard.losses
    assert load_bundle(run.path).spec.provenance.teacher.startswith("mn01" if soft == "soft" else "labels.csv")


def test_other_data_and_a_moved_pool_are_refused(place, tmp_path):
    other = write_folders(tmp_path / "clips", clips=2)
    recipe = tiny(f"teacher.labels={place / 'soft'}")
    with pytest.raises(
        DataError, match=r"mn01 has labelled no file of the data; labelled: clips/low/0\.wav, \.\.\.; data"
    ):
        prepare(read_training_data(other, recipe), recipe, Progress())
    with pytest.raises(DataError, match=r"3 of 3 recordings of the pool cannot be read\n.*--set teacher\.pool=FOLDER"):
        material_of(place, "soft", f"teacher.pool={tmp_path}")
    with pytest.raises(ConfigError, match=r"data\.balance sampler is for labelled clips alone"):
        material_of(place, "soft", "data.balance=sampler")


RAW = [*tiny_of("rawnet"), "data.balance=none", "data.calibration_folds=0"]


@pytest.mark.parametrize("soft", ["soft", "tenths"])
def test_a_network_of_waveforms_learns_from_a_teacher(place, tmp_path, soft):
    """Also from several windows a crop, for whose scores it has no frames."""
    settings = [*RAW, "optim.epochs=6", "optim.lr=0.01", f"teacher.labels={place / soft}"]
    recipe = make_request_recipe("rawnet", None, settings, None)
    loop = make_loop(prepare(read_training_data(place / "folds.csv", recipe), recipe, Progress()), tmp_path / "run")
    batch = loop._mixed(next(loop._loader(0, 1, 0)), 0)
    with torch.no_grad():
        before = loop.objective.eval()(batch)
    loop.fit()
    with torch.no_grad():
        after = loop.objective.eval()(batch)
    assert set(before) == {"loss", "clip", "teacher_classes", "teacher_embedding"}
    assert after["loss"] < before["loss"]


def test_a_run_on_waveforms_with_a_teacher_resumes_to_the_same_bits(place, tmp_path):
    settings = {"model": "rawnet", "soft": place / "soft", "overrides": [*RAW, "augment.mixup_alpha=0.5"]}
    api.train(place / "folds.csv", out=tmp_path / "whole", **settings)
    with pytest.raises(Interrupted):
        api.train(place / "folds.csv", out=tmp_path / "parts", **settings, progress=signal_at(5, 2))
    api.train(place / "folds.csv", out=tmp_path / "parts", **settings, resume=True)
    first, second = ((tmp_path / n / "model.safetensors").read_bytes() for n in ("whole", "parts"))
    assert first == second
    assert load(tmp_path / "whole").spec.provenance.teacher.startswith("mn01 (")


def test_the_teachers_layers_are_not_in_the_model(place, tmp_path):
    api.train(place / "folds.csv", out=tmp_path / "m", soft=place / "soft", overrides=[*TINY, "optim.epochs=1"])
    stored = load_tensors((tmp_path / "m" / "model.safetensors").read_bytes())
    assert not [name for name in stored if name.startswith(("classes", "embedding", "apprentice", "aux"))]
    assert load(tmp_path / "m").labels == ("high", "low")


def test_a_model_names_its_teacher_and_no_place_of_this_machine(place, tmp_path):
    pool = str(place / "pool")
    settings = [*TINY, "optim.epochs=1", f"teacher.pool={pool}"]
    api.train(place / "folds.csv", out=tmp_path / "m", soft=place / "soft", overrides=settings)
    provenance, card = load(tmp_path / "m").spec.provenance, (tmp_path / "m" / "README.md").read_text()
    assert (provenance.recipe["teacher"]["labels"], provenance.recipe["teacher"]["pool"]) == ("soft", "pool")
    index = open_store(place / "soft").index
    mixtures = index.mixtures.count
    heard = f"{index.items - mixtures} recordings, {index.pool} of them a pool, {mixtures} mixtures"
    assert provenance.teacher == f"{index.teacher} ({heard})"
    assert f"It learnt from soft labels too: {provenance.teacher}." in card
    assert str(place) not in (tmp_path / "m" / "auricle.json").read_text() + card


def test_a_run_with_a_teacher_resumes_to_the_same_bits(place, tmp_path):
    settings = {"soft": place / "soft", "overrides": [*TINY, "augment.mixup_alpha=0.5", "optim.accumulate=2"]}
    api.train(place / "folds.csv", out=tmp_path / "whole", **settings)
    with pytest.raises(Interrupted):
        api.train(place / "folds.csv", out=tmp_path / "parts", **settings, progress=signal_at(5, 2))
    api.train(place / "folds.csv", out=tmp_path / "parts", **settings, resume=True)
    first, second = ((tmp_path / n / "model.safetensors").read_bytes() for n in ("whole", "parts"))
    assert first == second


def test_unlabelled_audio_gives_a_model_to_start_from(place, tmp_path):
    """A student of the pool knows the teacher's classes; fine-tuned, it knows the user's."""
    overrides = [*TINY, "optim.epochs=1"]
    api.train(place / "pool", out=tmp_path / "pre", soft=place / "pooled", overrides=overrides)
    assert load(tmp_path / "pre").labels == ("Speech", "Whistle", "Hum", "Music", "Bark, dog")
    api.train(
        place / "folds.csv", out=tmp_path / "m", init=str(tmp_path / "pre"), new_head=True, overrides=overrides,
        test_fold="2",
    )  # fmt: skip
    assert load(tmp_path / "m").labels == ("high", "low")


def test_cross_validation_learns_from_a_teacher(place, tmp_path):
    result = api.crossval(
        place / "folds.csv", soft=place / "soft", overrides=[*TINY, "optim.epochs=1"], out=tmp_path / "cv"
    )
    assert result.n == 12
    assert result.recipe["teacher"]["labels"] == str(place / "soft")
