# SPDX-License-Identifier: Apache-2.0
"""Scenes of training clips: labels of clips become labels that say when, and events are fitted on them."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile
from helpers.toydata import RATE, make_loop, sound, tiny, write_folders

from auricle import api
from auricle.batches.frame_targets import FrameTargets
from auricle.batches.scene_items import BEHIND, BESIDE, SceneItem, make_scene_maker
from auricle.batches.targets import ClipTargets
from auricle.data.manifest import Clip
from auricle.errors import ConfigError
from auricle.progress import Progress
from auricle.recipe.schema import load_recipe
from auricle.runtime.bundle import load_bundle
from auricle.training.preparation import prepare, read_training_data, training_set

#: A tone for a tenth of a second in the middle of half a second of silence, and one that goes on.
SECONDS = 0.5


def short_tone(number: int) -> np.ndarray:
    samples = np.zeros(round(SECONDS * RATE), np.float32)
    samples[1_600:2_400] = sound("low", number, 0.1)
    return samples


def read(clip: Clip) -> np.ndarray:
    number = int(clip.key)
    return short_tone(number) if clip.label == ("short",) else sound("high", number, SECONDS)


CLIPS = (
    *(Clip(str(i), f"/{i}", label=("short",)) for i in range(3)),
    *(Clip(str(i), f"/{i}", label=("steady",)) for i in range(3, 6)),
    *(Clip(str(i), f"/{i}", negative=True) for i in range(6, 8)),
    Clip("8", "/8", label=("short", "steady")),
    Clip("9", "/9", label=("short",), kind="soft"),
)
RECIPE = tiny("scenes.share=0.5", "scenes.snr_db=[30, 30]", "scenes.fade_s=[0.005, 0.005]")


@pytest.fixture(scope="module")
def maker():
    return make_scene_maker(CLIPS, read, RECIPE, scene_s=2.0)


def test_clips_with_one_class_or_none_are_sources_where_they_sound(maker):
    by_label = {label: [s for s in maker.sources if s.label == label] for label in ("short", "steady", BEHIND, BESIDE)}
    assert [s.number for s in by_label["short"]] == [0, 1, 2]
    (begin, end) = by_label["short"][0].regions[0]
    assert (begin, end) == pytest.approx((1_600, 2_400), abs=160)
    assert [s.number for s in by_label["steady"]] == [3, 4, 5]
    assert {6, 7} < {s.number for s in by_label[BEHIND]} == {s.number for s in by_label[BESIDE]}
    assert len(maker.clips) == 8
    assert maker.steady == ("steady",)


def test_a_scene_is_a_function_of_seed_epoch_and_number(maker):
    again = make_scene_maker(CLIPS, read, RECIPE, scene_s=2.0)
    other = make_scene_maker(CLIPS, read, tiny("scenes.share=0.5", "seed=1"), scene_s=2.0)
    assert maker.plan(3, 5) == again.plan(3, 5)
    assert all(maker.plan(3, 5) != plan for plan in (maker.plan(4, 5), maker.plan(3, 6), other.plan(3, 5)))


def test_events_are_where_the_sounds_are(maker):
    """30 dB over the background: what is loud is exactly what the events say, of the class that is short."""
    checked = 0
    for number in range(60):
        plan = maker.plan(0, number)
        events = maker.events(plan)
        assert {event.label for event in events} <= {"short", "steady"}
        if {e.source.label for e in plan.events} != {"short"} or len(plan.events) != 1:
            continue
        samples = maker.render(plan, read)
        (event,) = [event for event in events if event.label == "short"]
        inside = samples[round(event.onset * RATE) : round(event.offset * RATE)]
        outside = np.concatenate([samples[: round(event.onset * RATE)], samples[round(event.offset * RATE) :]])
        assert np.sqrt(np.mean(inside**2)) > 10 * np.sqrt(np.mean(outside**2))
        checked += 1
    assert checked >= 3


def test_a_steady_class_lasts_for_whole_scenes_and_also_comes_and_goes(maker):
    spans = [(e.onset, e.offset) for n in range(80) for e in maker.events(maker.plan(0, n)) if e.label == "steady"]
    whole = [span for span in spans if span == (0.0, 2.0)]
    assert 0 < len(whole) < len(spans)


def test_without_a_class_there_is_no_scene():
    assert make_scene_maker(CLIPS[6:], read, RECIPE, scene_s=2.0) is None
    assert make_scene_maker([Clip("7", "/7", label=("x",))], lambda clip: np.zeros(800), RECIPE, scene_s=2.0) is None


def test_where_all_classes_are_steady_none_is_a_background():
    assert make_scene_maker(CLIPS[3:6], read, RECIPE, scene_s=2.0).steady == ()


def prepared(folder, *overrides):
    recipe = tiny("scenes.events_a_second=6", *overrides)
    return prepare(read_training_data(folder, recipe), recipe, Progress())


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    return write_folders(tmp_path_factory.mktemp("scenes") / "clips", clips=6)


def test_scenes_stand_behind_the_clips_as_many_as_the_recipe_says(clips):
    material = prepared(clips, "scenes.share=0.4", "data.balance=sampler")
    data = training_set(material, np.arange(12))
    assert [isinstance(item, SceneItem) for item in data.clips] == [False] * 12 + [True] * 8
    assert data.targets.shape == (20, 2)
    assert not data.targets[12:].any()
    assert len(data.weights) == len(data.draws) == 20
    assert data.strong


@pytest.mark.parametrize(("strong", "overrides"), [(False, []), (True, ["scenes.share=0.4"])])
def test_none_are_made_where_none_are_wanted_or_labels_say_when(strong, overrides, tmp_path):
    data = write_folders(tmp_path / "clips", clips=6)
    if strong:
        rows = [f"{label}/{i}.wav,{label},0.1,0.4" for label in ("low", "high") for i in range(6)]
        (data / "when.csv").write_text("\n".join(["path,event_label,onset,offset", *rows]) + "\n")
    chosen = training_set(prepared(data / "when.csv" if strong else data, *overrides), np.arange(12))
    assert (len(chosen.clips), chosen.scenes, chosen.strong) == (12, None, strong)


def test_a_batch_has_the_targets_of_its_scenes(clips, tmp_path):
    """Frame targets and clip labels of a scene are those of the events that its epoch has."""
    material = prepared(
        clips, "scenes.share=0.5", "augment.shift=false", "augment.speed=[1, 1]", "augment.mixup_alpha=0"
    )
    loop = make_loop(material, tmp_path)
    maker, labels = loop.data.scenes, material.manifest.labels
    seen = 0
    for batch, positions in zip(loop._loader(0, 6, 0), loop.shard.walk(0, 6), strict=True):
        for row, (epoch, clip) in enumerate(positions):
            if clip < 12:
                continue
            events = maker.events(maker.plan(epoch, clip - 12))
            found = batch.targets[FrameTargets.name].frames[row]
            assert batch.targets[FrameTargets.name].known[row].tolist() == [1, 1]
            for column, label in enumerate(labels):
                there = any(event.label == label for event in events)
                assert bool(found[:, column].any()) == there
                assert batch.targets[ClipTargets.name].labels[row, column] == found[:, column].max()
                seen += there
    assert seen >= 4


def test_a_range_upside_down_is_refused():
    with pytest.raises(ConfigError, match=r"scenes\.fade_s \[0\.5, 0\.1\] is not a range from low to high"):
        load_recipe(None, ["scenes.fade_s=[0.5, 0.1]"])


@pytest.mark.slow
def test_events_are_fitted_on_scenes_of_dev_clips(tmp_path):
    """Two tones of a fifth of a second: the model finds them in a long recording, at their times, once each."""
    for label, pitch in (("low", "low"), ("high", "high")):
        (tmp_path / "clips" / label).mkdir(parents=True)
        for i in range(8):
            samples = np.zeros(4_000, np.float32)
            samples[800:2_400] = sound(pitch, i, 0.2)
            soundfile.write(tmp_path / "clips" / label / f"{i}.wav", samples, RATE, subtype="FLOAT")
    words = ["data.clip_s=2", "data.workers=0", "data.batch_size=8", "data.dev_fraction=0.4", "optim.steps=12"]
    api.train(tmp_path / "clips", out=tmp_path / "m", overrides=[*words, "run.device=cpu", "run.threads=1"])
    post = load_bundle(tmp_path / "m").spec.postprocess
    assert set(post.medians_s) == set(post.off_ratios) == {"low", "high"}
    recording = 0.003 * np.random.default_rng(0).standard_normal(10 * RATE).astype(np.float32)
    truth = [(2.0, "low"), (5.0, "high"), (8.0, "low")]
    for onset, label in truth:
        recording[round(onset * RATE) :][:1_600] += sound(label, 3, 0.2)
    events = api.load(tmp_path / "m").detect(recording, RATE).events
    assert [event.label for event in events] == [label for _, label in truth]
    assert [event.onset for event in events] == pytest.approx([onset for onset, _ in truth], abs=0.15)


def test_what_a_louder_sound_hides_is_neither_played_nor_labelled():
    loud = tiny("scenes.share=0.5", "scenes.snr_db=[0, 30]", "scenes.events_a_second=10")
    maker = make_scene_maker(CLIPS, read, loud, scene_s=2.0)
    pairs = 0
    for number in range(60):
        placed = maker.plan(0, number).events
        for one in placed:
            for other in placed:
                if one is not other and one.onset < other.end and other.onset < one.end:
                    pairs += 1
                    assert abs(one.snr_db - other.snr_db) < 6
    assert pairs > 20
