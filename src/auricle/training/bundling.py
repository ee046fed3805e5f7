# SPDX-License-Identifier: Apache-2.0
"""From trained weights to a model folder: export, check, thresholds, golden scores, model card."""

from __future__ import annotations

import io
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
import torch
from safetensors.torch import save as save_tensors
from torch import Tensor

from auricle import __version__
from auricle.batches.crops import frame_samples, scoring_hop_samples, scoring_windows
from auricle.batches.scene_items import make_scene_maker
from auricle.data.manifest import Clip
from auricle.data.trained_clips import CLIPS_FILE, DEV, TEST, TRAIN, dump_clips
from auricle.evaluation.evaluate import score_manifest
from auricle.evaluation.tuning.events import fit_events, fit_gap
from auricle.evaluation.tuning.thresholds import fit_smoothing, fit_thresholds
from auricle.exporting.onnx import ScoringGraph, check_parity, export_onnx
from auricle.exporting.streaming import export_running
from auricle.nn.networks import Network, build_network
from auricle.recipe.schema import Recipe
from auricle.results import Event, FloatArray, Scores
from auricle.runtime.bundle import Bundle, BundleSpec, write_bundle
from auricle.runtime.calibration import fit_calibration
from auricle.runtime.detector import load
from auricle.runtime.neighbours import NEIGHBOURS_FILE, fit_neighbours
from auricle.runtime.onnx_session import EMBEDDING, INPUT, open_session
from auricle.runtime.scoring import ClipAggregate, FrameOverlap
from auricle.runtime.spec import (
    ONNX_FILES,
    STREAM_FILES,
    AggregateRule,
    CalibrationPart,
    FramesPart,
    FrontendPart,
    LlrPart,
    ModelPart,
    NeighboursPart,
    PostprocessPart,
    ProvenancePart,
)
from auricle.synth.activity import RegionRule
from auricle.timeline import samples_to_seconds, seconds_to_samples
from auricle.training.card import model_card
from auricle.training.init_weights import initial_hash
from auricle.training.preparation import Material, evenly_spread, makes_scenes
from auricle.training.spoof_model import describe_spoof

IntArray = npt.NDArray[np.int64]

#: From frame scores to events, where dev says nothing else: smooth over a fifth of a second, close short gaps.
#: No shortest event: the filter of each class says what is too short for it, and a bark has two frames.
POSTPROCESS = PostprocessPart(median_s=0.2, off_ratio=0.5, max_gap_s=0.2)
NOTHING: IntArray = np.zeros(0, np.int64)
#: Soft labels count as present from here on, where a decision is needed.
PRESENT = 0.5
#: Scenes of dev clips, on which events are fitted where labels do not say when: how long, how many, and which of all.
#: Their sounds are one event up to so long a silence, as people count; so is what is found, up to one of the gaps.
SCENE_S, LEAST_SCENES, MOST_SCENES, DEV_EPOCH = 10.0, 40, 100, 2**31
ONE_EVENT_S, GAPS_S = 0.5, (0.2, 0.4, 0.6, 1.0)
#: Scenes hold few of the world's other sounds: they would let lower thresholds pass than a night outdoors does.
LEAST_THRESHOLD = 0.5
#: Recordings that others are compared with, and windows of each of them.
MOST_COMPARED, MOST_WINDOWS = 256, 12
#: How many windows are scored at once.
WINDOWS_AT_ONCE = 32


@dataclass(frozen=True)
class Trained:
    """What a loop left: weights and where they come from."""

    weights: dict[str, Tensor]
    material: Material
    seed: int

    def network(self) -> Network:
        """Return the network with these weights, in evaluation mode."""
        network = build_network(self.material.recipe, len(self.material.manifest.labels))
        network.load_state_dict(self.weights)
        return network.eval()


def score_clips(network: Network, material: Material, clips: Sequence[Clip]) -> list[tuple[FloatArray, FloatArray]]:
    """Score clips as the runtime will: by windows, padded by the model's rule.

    Returns:
        For each clip, scores of its windows ``(window, label)``, and of their frames ``(window, frame, label)``
        (no frames for heads without them).
    """
    network.eval()
    return [_score(network, material, material.reader.read(clip)) for clip in clips]


def _score(network: Network, material: Material, values: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the scores of the windows of one recording, and of their frames."""
    from auricle.nn.losses import clip_scores  # noqa: PLC0415 (beside its only use)

    target, is_logmel = material.target, material.reader.is_logmel
    device = next(network.parameters()).device
    windows = torch.from_numpy(scoring_windows(values, material.recipe, material.reader))
    clip_parts, frame_parts = [], []
    for part in torch.split(windows, WINDOWS_AT_ONCE):
        with torch.inference_mode():
            part = part.to(device)  # noqa: PLW2901
            output = network.classify(part) if is_logmel else network(part)
            clip_parts.append(clip_scores(output.clip_logits, target.task, negatives=target.negatives).cpu())
            if output.frame_logits is not None:
                frame_parts.append(torch.sigmoid(output.frame_logits).cpu())
    frames = torch.cat(frame_parts).numpy() if frame_parts else np.zeros((len(windows), 0, 0), np.float32)
    return torch.cat(clip_parts).numpy(), frames


def aggregation_rule(recipe: Recipe) -> AggregateRule:
    """Return how the scores of windows become that of a recording."""
    if recipe.data.aggregate != "auto":
        return recipe.data.aggregate
    return "mean" if recipe.task == "single" else "max"


def aggregate(windows: FloatArray, rule: str, task: str, *, negatives: bool = False) -> FloatArray:
    """Return the clip scores of a recording from those of its windows, as the runtime does."""
    scores = ClipAggregate(rule, task, windows.shape[1], negatives=negatives)
    for window in windows:
        scores.add(window)
    return scores.result(windows.shape[1])


def clip_rows(network: Network, material: Material, clips: Sequence[Clip]) -> list[FloatArray]:
    """Return the clip scores of some clips by a network, each of shape ``(label,)``."""
    rule, task, negatives = aggregation_rule(material.recipe), material.recipe.task, material.target.negatives
    scored = score_clips(network, material, clips)
    return [aggregate(windows, rule, task, negatives=negatives) for windows, _ in scored]


def score_held_out(folder: Path, trained: Trained, indices: IntArray) -> FloatArray:
    """Return the clip scores of held-out clips, ``(clip, label)``.

    They come from the finished model as users run it, except for stored log-mels: a model takes waveforms, so
    these are scored by its network.
    """
    material = trained.material
    if not material.reader.is_logmel:
        return score_manifest(load(folder), material.manifest.select(indices))
    return np.stack(clip_rows(trained.network(), material, [material.manifest.clips[i] for i in indices]))


def tune_events(network: Network, material: Material, dev: IntArray) -> tuple[PostprocessPart, dict[str, float]]:
    """Fit how scores become events, on dev clips and negatives; returns the usual filter and 0.5 without any.

    A dev clip says that a class is somewhere in it, or nowhere: so what counts is the highest smoothed
    frame score of each class in each clip (the window score where the head has no frames). Where labels say when,
    what counts is the events found in those clips, and the others do not; where the recipe makes scenes, the events
    found in scenes of the dev clips.
    """
    labels = material.manifest.labels
    if len(dev) == 0:
        return POSTPROCESS, dict.fromkeys(labels, 0.5)
    clips = [material.manifest.clips[i] for i in dev]
    scored = score_clips(network, material, clips)
    targets = material.targets[dev] >= PRESENT
    if not network.has_frames:
        fitted = fit_thresholds(np.stack([windows.max(0) for windows, _ in scored]), targets)
        return POSTPROCESS, dict(zip(labels, fitted, strict=True))
    step_s = network.grid.step_s(material.recipe.frontend.sample_rate)
    frames = [joined_frames(windows, material) for _, windows in scored]
    strong = [i for i, clip in enumerate(clips) if clip.strong]
    if strong:
        events = [clips[i].events or () for i in strong]
        return _tune_strong([frames[i] for i in strong], events, network, material, (POSTPROCESS.max_gap_s,))
    if scenes := _score_scenes(network, material, clips):
        made, events = [frames for frames, _ in scenes], [events for _, events in scenes]
        rule, thresholds = _tune_strong(made, events, network, material, GAPS_S)
        return rule, {label: max(LEAST_THRESHOLD, threshold) for label, threshold in thresholds.items()}
    shape = {"min_event_s": POSTPROCESS.min_event_s, "off_ratio": POSTPROCESS.off_ratio}
    found = fit_smoothing(frames, targets, labels, step_s, **shape)
    return POSTPROCESS.model_copy(update={"medians_s": found.medians_s}), found.thresholds


def _score_scenes(
    network: Network, material: Material, clips: Sequence[Clip]
) -> list[tuple[FloatArray, tuple[Event, ...]]]:
    """Return the frame scores and the events of scenes of dev clips; none where the recipe makes no scenes."""
    if not makes_scenes(material, clips):
        return []
    maker = make_scene_maker(
        clips, material.reader.read, material.recipe, scene_s=SCENE_S, rule=RegionRule(bridge_s=ONE_EVENT_S)
    )
    if maker is None:
        return []
    scored = []
    for number in range(min(MOST_SCENES, max(LEAST_SCENES, 2 * len(clips)))):
        plan = maker.plan(DEV_EPOCH, number)
        _, frames = _score(network, material, maker.render(plan, material.reader.read))
        scored.append((joined_frames(frames, material), maker.events(plan)))
    return scored


def _tune_strong(
    scored: Sequence[FloatArray],
    events: Sequence[Sequence[Event]],
    network: Network,
    material: Material,
    gaps_s: Sequence[float],
) -> tuple[PostprocessPart, dict[str, float]]:
    """Fit filter, hysteresis and threshold of each class, and what gaps are bridged, by the events found.

    Args:
        scored: frame scores of each recording.
        events: that are in it.
        network: that scored it.
        material: of the run.
        gaps_s: longest gaps that are tried, from short to long; of equally good ones the longest is taken.
    """
    grid, rate, labels = network.grid, material.recipe.frontend.sample_rate, material.manifest.labels
    step_s, names = grid.step_s(rate), [str(number) for number in range(len(scored))]
    scores = {
        name: Scores(grid.times(len(frames), rate), frames, labels, step_s)
        for name, frames in zip(names, scored, strict=True)
    }
    truth = dict(zip(names, events, strict=True))
    durations = {name: grid.span_s(0, len(scores[name].values), rate)[1] for name in names}
    gap_s = gaps_s[0]
    if len(gaps_s) > 1:
        gap_s = fit_gap(scores, truth, durations, gaps_s)
    shape = {"min_event_s": POSTPROCESS.min_event_s, "max_gap_s": gap_s}
    found = fit_events(scores, truth, durations, **shape)
    fitted = {"medians_s": found.medians_s, "off_ratios": found.off_ratios, "max_gap_s": gap_s}
    return POSTPROCESS.model_copy(update=fitted), found.thresholds


def joined_frames(frames: FloatArray, material: Material) -> FloatArray:
    """Return the frame scores of a whole clip from those of its windows, averaged where they overlap."""
    hop = scoring_hop_samples(material.recipe) / frame_samples(material.recipe)
    overlap = FrameOverlap(frames.shape[2])
    for number, window in enumerate(frames):
        overlap.add(round(number * hop), window)
    return overlap.take(round((len(frames) - 1) * hop) + frames.shape[1])


def make_spec(
    name: str, trained: Trained, network: Network, postprocess: PostprocessPart, thresholds: dict[str, float]
) -> BundleSpec:
    """Return everything that ``auricle.json`` says."""
    recipe, manifest = trained.material.recipe, trained.material.manifest
    grid = network.grid
    frames = FramesPart(
        hop_samples=grid.hop_samples,
        first_centre_samples=grid.first_centre_samples,
        receptive_samples=grid.receptive_samples,
    )
    return BundleSpec(
        name=name,
        task=recipe.task if recipe.task != "auto" else manifest.task,
        labels=manifest.labels,
        negatives=trained.material.target.negatives,
        model=_model_part(recipe),
        frontend=FrontendPart(**recipe.frontend.model_dump()),
        sample_rate=recipe.frontend.sample_rate,
        window_s=recipe.data.clip_s,
        hop_s=samples_to_seconds(scoring_hop_samples(recipe), recipe.frontend.sample_rate),
        pad=recipe.data.pad,
        aggregate=aggregation_rule(recipe),
        min_samples=network.min_samples,
        fixed_length=network.fixed_length is not None,
        frames=frames if network.has_frames else None,
        postprocess=postprocess,
        thresholds=thresholds,
        provenance=ProvenancePart(
            data_hash=manifest.data_hash,
            data_form=manifest.format,
            data_name=manifest.name,
            recipe=shown_recipe(recipe),
            seeds=(trained.seed,),
            versions=library_versions(),
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            parameters=sum(p.numel() for p in network.parameters()),
            teacher=trained.material.teacher_summary,
            initial_weights=initial_hash(recipe.init),
        ),
    )


def shown_recipe(recipe: Recipe) -> dict[str, Any]:
    """Return what a model folder says of its recipe: folders by their names, not where they lie on this machine."""
    values: dict[str, Any] = recipe.model_dump(mode="json")
    for section, key in (("teacher", "labels"), ("teacher", "pool"), ("init", "model")):
        where = values[section][key]
        if where is not None and not where.startswith("hf:"):
            values[section][key] = Path(where).name
    return values


def _model_part(recipe: Recipe) -> ModelPart:
    """Return what the recipe says of the network, of all that a model folder has a place for."""
    values = recipe.model.model_dump(mode="json")
    return ModelPart(**{key: value for key, value in values.items() if key in ModelPart.model_fields})


def library_versions() -> dict[str, str]:
    """Return the versions of what made a model."""
    return {
        "auricle": __version__,
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "onnxruntime": str(onnxruntime.__version__),
        "numpy": str(np.__version__),
    }


def finish(
    folder: Path,
    trained: Trained,
    train: IntArray,
    dev: IntArray,
    dev_figures: dict[str, float],
    calibration: LlrPart | None = None,
    test: IntArray | None = None,
    dev_scores: Sequence[FloatArray] | None = None,
) -> Bundle:
    """Write the model folder around a run.

    Args:
        folder: of the model; its ``run/`` is left alone.
        trained: weights and material.
        train: clips that the weights learnt from.
        dev: clips that thresholds and calibration are fitted on.
        dev_figures: best figures on dev, for the model card.
        calibration: of a model of synthetic voices that has no dev; see ``training.spoof_calibration``.
        test: clips that take no part.
        dev_scores: clip scores of the dev clips, where the caller has them already.
    """
    material = trained.material
    network = trained.network()
    scores = clip_rows(network, material, clips_of(material, dev)) if dev_scores is None else dev_scores
    postprocess, thresholds = tune_events(network, material, dev)
    spec = make_spec(folder.resolve().name, trained, network, postprocess, thresholds)
    if spec.is_spoof:
        spec = describe_spoof(spec, material, clips_of(material, train), scores, clips_of(material, dev))
        if calibration is not None:
            spec = spec.model_copy(update={"calibration": calibration})
    else:
        spec = spec.model_copy(update={"calibration": calibrate_on_dev(scores, material, dev)})
    content = export_checked(network, spec)
    compared = None if spec.is_spoof else compare_with(content, trained, train, dev)
    if compared is not None:
        spec = spec.model_copy(update={"neighbours": compared[0]})
    weights = save_tensors({k: v.contiguous() for k, v in network.state_dict().items()})
    parts = {TRAIN: train, DEV: dev, TEST: NOTHING if test is None else test}
    files: dict[str, bytes | Path | Callable[[], bytes]] = {ONNX_FILES["float32"]: content}
    streaming = material.recipe.model.streaming(network)
    if streaming is not None:
        files[STREAM_FILES["float32"]] = export_running(network, streaming, spec.task, negatives=spec.negatives)
    files |= {
        "model.safetensors": weights,
        "golden.npz": golden(content, spec),
        CLIPS_FILE: dump_clips({name: clips_of(material, part) for name, part in parts.items()}),
        "README.md": model_card(spec, material.manifest, dev_figures).encode(),
    }
    if compared is not None:
        files[NEIGHBOURS_FILE] = compared[1]
    return write_bundle(folder, spec, files)


def compare_with(
    content: bytes, trained: Trained, train: IntArray, dev: IntArray
) -> tuple[NeighboursPart, bytes] | None:
    """Return what tells recordings unlike the training data; None of stored log-mels, or too few recordings.

    Args:
        content: the exported graph.
        trained: its weights and material.
        train: clips that the weights learnt from.
        dev: clips that the limit is set on.
    """
    material = trained.material
    if material.reader.is_logmel:
        return None
    session = open_session(content, 1, ONNX_FILES["float32"])
    if EMBEDDING not in {output.name for output in session.get_outputs()}:
        return None

    def vector(clip: Clip) -> FloatArray:
        windows = scoring_windows(material.reader.read(clip), material.recipe, material.reader)[:MOST_WINDOWS]
        found = [session.run([EMBEDDING], {INPUT: window[None]})[0][0] for window in windows]
        return np.asarray(np.mean(found, axis=0), np.float32)

    known = clips_of(material, train[evenly_spread(len(train), MOST_COMPARED)])
    held_out = clips_of(material, dev[evenly_spread(len(dev), MOST_COMPARED)]) if len(dev) else []
    groups = [clip.key if clip.group is None else clip.group for clip in known]
    vectors = [np.stack([vector(clip) for clip in clips]) if clips else None for clips in (known, held_out)]
    return None if vectors[0] is None else fit_neighbours(vectors[0], vectors[1], groups)


def clips_of(material: Material, indices: IntArray) -> list[Clip]:
    """Return clips by their places in the manifest."""
    return [material.manifest.clips[i] for i in indices]


def calibrate_on_dev(scores: Sequence[FloatArray], material: Material, dev: IntArray) -> CalibrationPart | None:
    """Return the map from clip scores to probabilities that dev supports; None without dev or labels of people."""
    if len(dev) == 0 or not material.has_labels:
        return None
    groups = material.manifest.groups()
    return fit_calibration(
        np.stack(scores),
        (material.targets[dev] >= PRESENT).astype(np.float64),
        material.recipe.task,
        none=material.target.negatives,
        groups=[groups[i] for i in dev],
    )


def export_checked(network: Network, spec: BundleSpec) -> bytes:
    """Export a network and compare it with torch at several lengths and batch sizes.

    The network's front end is swapped for its exported form and put back.
    """
    reference = ScoringGraph(network, spec.task, negatives=spec.negatives).eval()
    original = network.frontend
    samples = seconds_to_samples(spec.window_s, spec.sample_rate)
    try:
        content = export_onnx(ScoringGraph(network.for_export(), spec.task, negatives=spec.negatives), samples)
    finally:
        network.frontend = original
    lengths = [samples] if spec.fixed_length else [samples, max(spec.min_samples, samples // 3 + 1), samples * 2]
    check_parity(reference, content, lengths, (1, 3))
    return content


def golden(content: bytes, spec: BundleSpec, seconds: float | None = None) -> bytes:
    """Return an ``.npz`` with one synthetic input and its scores, by which ``auricle doctor`` checks a model.

    The input has the length of a window, or so many ``seconds``.
    """
    rng = np.random.default_rng(0)
    time = np.arange(seconds_to_samples(seconds or spec.window_s, spec.sample_rate)) / spec.sample_rate
    sweep = 0.3 * np.sin(2 * np.pi * (200 + 300 * time) * time)
    waveform = (sweep + 0.02 * rng.standard_normal(len(time))).astype(np.float16).astype(np.float32)[None]
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs() if not output.name.endswith("embedding")]
    scores = dict(zip(names, session.run(names, {"waveform": waveform}), strict=True))
    buffer = io.BytesIO()
    np.savez_compressed(buffer, waveform=waveform, **scores)
    return buffer.getvalue()
