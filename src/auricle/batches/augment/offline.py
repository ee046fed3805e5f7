# SPDX-License-Identifier: Apache-2.0
"""Changed copies of recordings, made once before training: through a codec, in a room.

Such changes take milliseconds a second of sound, too long for each step, and gain little by being new in each epoch.
What happens to a copy is a function of (seed, clip, number of the copy), drawn apart from applied.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from auricle.audio.codecs import pass_codec
from auricle.batches.sampling import generator
from auricle.recipe.schema import AugmentSection
from auricle.results import FloatArray
from auricle.synth.reverb import DECAY_S, DIRECT_DB, put_into_room

COPY = 6  # a purpose, see ``batches``


@dataclass(frozen=True)
class CopyPlan:
    """What happens to one copy.

    Attributes:
        room: decay time in seconds, direct over reverberant energy in dB, and the seed of its echoes; None is no room.
        codec: its name and compression from 0 to 1; None is no codec.
    """

    room: tuple[float, float, int] | None
    codec: tuple[str, float] | None


def draw_copy(spec: AugmentSection, seed: int, clip: int, number: int) -> CopyPlan:
    """Draw what happens to copy ``number`` of a clip; always the same for the same arguments."""
    rng = generator(seed, COPY, clip, number)
    in_room, decay, direct, through, compression = rng.random(5)
    echoes, which = int(rng.integers(2**31)), int(rng.integers(2**31))
    room = codec = None
    if in_room < spec.room_share:
        decay_s = DECAY_S[0] + decay * (DECAY_S[1] - DECAY_S[0])
        room = (float(decay_s), float(DIRECT_DB[0] + direct * (DIRECT_DB[1] - DIRECT_DB[0])), echoes)
    if spec.codecs and through < spec.codec_share:
        codec = (spec.codecs[which % len(spec.codecs)], float(compression))
    return CopyPlan(room, codec)


def make_copy(samples: FloatArray, sample_rate: int, plan: CopyPlan) -> FloatArray:
    """Return the changed copy, as long as the recording: first the room, then the codec."""
    out = samples
    if plan.room is not None:
        out = put_into_room(out, sample_rate, *plan.room)
    if plan.codec is not None:
        out = pass_codec(out, sample_rate, *plan.codec)
    return np.asarray(out, np.float32)
