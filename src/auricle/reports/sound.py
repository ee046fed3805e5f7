# SPDX-License-Identifier: Apache-2.0
"""A recording inside a page: as WAV, which every browser seeks in exactly, or smaller if that grows too large."""

from __future__ import annotations

import base64
import io

import numpy as np
import soundfile

from auricle.results import FloatArray

#: Sound of more bytes than this is compressed.
LARGEST_WAV = 4_000_000
#: Compressed sound of more bytes than this is left out: browsers give up on pages of some hundred megabytes.
LARGEST_OGG = 24_000_000

_BLOCK = 65_536


def audio_uri(
    samples: FloatArray, sample_rate: int, *, largest_wav: int = LARGEST_WAV, largest_ogg: int = LARGEST_OGG
) -> str | None:
    """Return a recording as ``data:`` address, or None if it is too long for a page.

    Args:
        samples: shape ``(time,)``, full scale 1; beyond it, it is clipped.
        sample_rate: in Hz.
        largest_wav: most bytes of 16-bit WAV; longer recordings become Ogg Vorbis.
        largest_ogg: most bytes of Ogg Vorbis.
    """
    if 2 * len(samples) <= largest_wav:
        return _uri("audio/wav", _encode(samples, sample_rate, "WAV", "PCM_16"))
    if len(samples) > 8 * largest_ogg:  # Vorbis never reaches an eighth of a byte a sample: not worth the try
        return None
    data = _encode(samples, sample_rate, "OGG", "VORBIS")
    return _uri("audio/ogg", data) if len(data) <= largest_ogg else None


def png_uri(data: bytes) -> str:
    """Return a picture as ``data:`` address."""
    return _uri("image/png", data)


def _uri(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"


def _encode(samples: FloatArray, sample_rate: int, container: str, codec: str) -> bytes:
    buffer = io.BytesIO()
    with soundfile.SoundFile(buffer, "w", sample_rate, 1, codec, format=container) as file:
        for start in range(0, len(samples), _BLOCK):  # libsndfile's Vorbis overflows the stack on one large write
            file.write(np.clip(samples[start : start + _BLOCK], -1, 1))
    return buffer.getvalue()
