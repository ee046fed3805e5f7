# SPDX-License-Identifier: Apache-2.0
"""What a codec does to a sound: through libsndfile's encoders and back, in memory."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
import soundfile

from auricle.audio.resample import resample
from auricle.errors import UsageError
from auricle.registry import nearest
from auricle.results import FloatArray


@dataclass(frozen=True)
class Codec:
    """How libsndfile writes it.

    Attributes:
        container: format name.
        subtype: of the container.
        rate: that the codec works at, in Hz; None takes the sound's own.
        has_quality: whether its compression can be chosen.
    """

    container: str
    subtype: str
    rate: int | None = None
    has_quality: bool = False


#: Those of the telephone work at 8 kHz, so they also take away all above 4 kHz.
CODECS = {
    "mulaw": Codec("WAV", "ULAW", rate=8_000),
    "alaw": Codec("WAV", "ALAW", rate=8_000),
    "gsm": Codec("WAV", "GSM610", rate=8_000),
    "vorbis": Codec("OGG", "VORBIS", has_quality=True),
    "opus": Codec("OGG", "OPUS", rate=16_000, has_quality=True),
    "mp3": Codec("MP3", "MPEG_LAYER_III", has_quality=True),
}
#: Encoders of whole numbers clip at full scale; a sample above it would wrap around in some of them.
LOUDEST = 0.999
#: libsndfile refuses some codecs a compression of just 1.
SMALLEST_FILE = 0.99


def pass_codec(samples: FloatArray, sample_rate: int, name: str, compression: float = 0.5) -> FloatArray:
    """Encode a sound and decode it again.

    Args:
        samples: shape ``(time,)``; what is louder than full scale is clipped, as an encoder would.
        sample_rate: in Hz.
        name: of ``CODECS``.
        compression: 0 is the best quality and 1 the smallest file, where the codec has the choice.

    Returns:
        As many samples at the same rate; a codec that begins late leaves its delay in.

    Raises:
        UsageError: no such codec.
    """
    if name not in CODECS:
        raise UsageError(f"unknown codec {name!r}{nearest(name, CODECS)}; known: {', '.join(CODECS)}")
    codec = CODECS[name]
    rate = sample_rate if codec.rate is None else codec.rate
    sound = np.clip(samples if rate == sample_rate else resample(samples, sample_rate, rate), -LOUDEST, LOUDEST)
    buffer = io.BytesIO()
    more = {"compression_level": float(np.clip(compression, 0, SMALLEST_FILE))} if codec.has_quality else {}
    soundfile.write(buffer, sound, rate, format=codec.container, subtype=codec.subtype, **more)
    buffer.seek(0)
    decoded, _ = soundfile.read(buffer, dtype="float32")
    back = decoded if rate == sample_rate else resample(decoded, rate, sample_rate)
    return np.asarray(np.pad(back[: len(samples)], (0, max(0, len(samples) - len(back)))), np.float32)
