# SPDX-License-Identifier: Apache-2.0
"""A recording that was enrolled: vectors of what is in it and when, kept in the model so that classes can be added.

What a recording holds is looked for where it is loud: a clip of an hour with one bark in it is the bark. Beside the
recording itself the network scores a scene made of it: its sounding parts laid over noise, with faded edges. There the
truth about *when* is known, which labels of whole clips do not say.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from auricle.data.clip_audio import read_clip
from auricle.data.manifest import ArraySpec, Clip
from auricle.data.trained_clips import clip_id
from auricle.enrolment.backbone import Backbone
from auricle.errors import BundleError, InputError
from auricle.results import FloatArray
from auricle.runtime.npz import NpzError, read_npz
from auricle.synth.activity import RegionRule, active_regions, frame_power, loudest
from auricle.synth.scenes import faded
from auricle.synth.signals import coloured_noise, rms
from auricle.timeline import seconds_to_samples

#: File of a model folder that holds them.
ENROLLED_FILE = "enrolled.npz"
#: Longer recordings are judged by their loudest part of this length; half of it is the second view of each.
LOUD_S, VIEW_S = 10.0, 2.0
#: Sounds of a recording this near each other are one event: a cry with its breaths, a bark with its echo.
BRIDGE_S = 0.5
#: Most vectors of frames that a recording gives, those of its loudest frames.
MOST_FRAMES = 32
SCENE_S, LONGEST_S, FADE_S = 8.0, 5.0, 0.05
SNR_DB = (6.0, 25.0)
_NOISE_DB = (-60.0, -40.0)
_WITHIN_DB = 26.0
_MOST_BYTES = 512_000_000
_SMALLEST = 1e-9


@dataclass(frozen=True, eq=False)
class EnrolledClip:
    """One recording.

    Attributes:
        id: what it is known by: its content, see ``data.trained_clips``.
        name: path as the data set lists it.
        label: its classes; empty for one that holds none of them.
        group: what must not be torn apart by a split.
        views: vectors of the whole and of its loudest part, ``(view, feature)``.
        frames: vectors of its loudest frames, ``(frame, feature)``.
        scene: vectors of the frames of a scene made of it, ``(frame, feature)``.
        truth: where it sounds in the scene: onset and offset in seconds, ``(event, 2)``.
    """

    id: str
    name: str
    label: tuple[str, ...]
    group: str
    views: FloatArray
    frames: FloatArray
    scene: FloatArray
    truth: FloatArray


def enrol_clip(clip: Clip, arrays: ArraySpec | None, backbone: Backbone) -> EnrolledClip:
    """Decode a clip and run the network on it.

    Raises:
        InputError: it cannot be read, or holds no sound.
    """
    audio = read_clip(clip, arrays, sample_rate=backbone.spec.sample_rate)
    label = () if clip.negative else clip.label
    group = clip.group if clip.group is not None else clip.key
    return enrol_samples(np.asarray(audio.samples, np.float32), clip_id(clip), clip.key, label, group, backbone)


def enrol_samples(
    samples: FloatArray, identity: str, name: str, label: tuple[str, ...], group: str, backbone: Backbone
) -> EnrolledClip:
    """Run the network on a recording; the other arguments are those of ``EnrolledClip``.

    Args:
        samples: shape ``(time,)`` at the model's sample rate.
        identity: what it is known by.
        name: for people.
        label: its classes; empty for none of them.
        group: what must not be torn apart.
        backbone: the network.

    Raises:
        InputError: it holds no sound.
    """
    if not samples.any():
        raise InputError("no_audio", f"{name} is digital silence: it shows nothing of a class")
    rate = backbone.spec.sample_rate
    whole = loudest(samples, seconds_to_samples(LOUD_S, rate))
    views, frames = backbone.vectors(whole)
    part = loudest(whole, seconds_to_samples(VIEW_S, rate))
    active = active_frames(whole, backbone, len(frames))
    scene, truth = make_scene(whole, rate, seed=int(identity[:8] or "0", 16))
    return EnrolledClip(
        identity,
        name,
        label,
        group,
        np.stack([views[0], backbone.clip_vector(part)]).astype(np.float16),
        frames[active].astype(np.float16),
        backbone.vectors(scene)[1].astype(np.float16),
        truth,
    )


def active_frames(samples: FloatArray, backbone: Backbone, frames: int) -> npt.NDArray[np.int64]:
    """Return which frames of a recording are loud, at most ``MOST_FRAMES``, in their order."""
    power = frame_power(samples, backbone.spec.grid.hop_samples, frames)
    order = np.argsort(-power, kind="stable")
    loud = order[power[order] >= power.max() * 10 ** (-_WITHIN_DB / 10)]
    step = max(1, -(-len(loud) // MOST_FRAMES))
    return np.sort(loud[::step])


def make_scene(samples: FloatArray, rate: int, *, seed: int) -> tuple[FloatArray, FloatArray]:
    """Return a scene in which the sounding parts of a recording stand over noise, and where, ``(event, 2)`` in seconds.

    A function of the samples and the seed. Edges are faded over 50 ms.
    """
    rng = np.random.default_rng([seed, 20_261_130])
    regions = active_regions(samples, rate, RegionRule(bridge_s=BRIDGE_S)) or [(0, len(samples))]  # a click is short
    longest, total = seconds_to_samples(LONGEST_S, rate), seconds_to_samples(SCENE_S, rate)
    first, last = regions[0][0], min(regions[-1][1], regions[0][0] + longest)
    onset = int(rng.integers(seconds_to_samples(0.5, rate), total - (last - first) - seconds_to_samples(0.5, rate) + 1))
    level = 10 ** (float(rng.uniform(*_NOISE_DB)) / 20)
    noise = coloured_noise(rng, total, float(rng.uniform(0, 2)))
    scene = noise * np.float32(level / max(rms(noise), _SMALLEST))
    kept = [(a, min(b, last)) for a, b in regions if a < last]
    power = np.concatenate([samples[a:b] for a, b in kept])
    gain = level * 10 ** (float(rng.uniform(*SNR_DB)) / 20) / max(rms(power), _SMALLEST)
    truth, fade = [], seconds_to_samples(FADE_S, rate)
    for begin, end in kept:
        place = onset + begin - first
        scene[place : place + end - begin] += faded(samples[begin:end], fade) * np.float32(gain)
        truth.append((place / rate, (place + end - begin) / rate))
    return scene, np.array(truth, np.float32)


def dump_enrolled(clips: Sequence[EnrolledClip], backbone: str) -> bytes:
    """Return the content of ``enrolled.npz``."""
    facts = [{"id": c.id, "name": c.name, "label": list(c.label), "group": c.group} for c in clips]
    text = json.dumps({"backbone": backbone, "clips": facts}, ensure_ascii=False)
    arrays: dict[str, Any] = {"facts": np.frombuffer(text.encode("utf-8", "surrogateescape"), np.uint8)}
    for name in ("views", "frames", "scene", "truth"):
        parts = [getattr(clip, name) for clip in clips]
        arrays[name] = np.concatenate(parts)
        arrays[f"{name}_count"] = np.array([len(part) for part in parts], np.int64)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def parse_enrolled(content: bytes, backbone: str, where: str) -> list[EnrolledClip]:
    """Return the recordings of ``enrolled.npz``.

    Raises:
        BundleError: damaged, or enrolled with another network.
    """
    try:
        found = read_npz(content, _MOST_BYTES)
        facts = json.loads(found["facts"].tobytes().decode("utf-8", "surrogateescape"))
        parts = {name: _split(found, name) for name in ("views", "frames", "scene", "truth")}
        clips = [
            EnrolledClip(
                str(fact["id"]),
                str(fact["name"]),
                tuple(map(str, fact["label"])),
                str(fact["group"]),
                *(parts[name][i] for name in ("views", "frames", "scene", "truth")),
            )
            for i, fact in enumerate(facts["clips"])
        ]
        made_with = str(facts["backbone"])
    except (NpzError, KeyError, ValueError, TypeError, IndexError) as error:
        raise BundleError(f"{where}: {ENROLLED_FILE} is damaged; get the model folder again") from error
    if made_with != backbone:
        raise BundleError(
            f"{where} was enrolled with another built-in model ({made_with[:12]}…, here {backbone[:12]}…): its vectors "
            "cannot be compared; enrol its clips again into a new folder"
        )
    return clips


def _split(found: Mapping[str, npt.NDArray[Any]], name: str) -> list[npt.NDArray[Any]]:
    counts = found[f"{name}_count"]
    if counts.sum() != len(found[name]):
        raise ValueError(name)
    return np.split(found[name], np.cumsum(counts)[:-1])
