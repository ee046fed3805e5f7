# SPDX-License-Identifier: Apache-2.0
"""Scores sooner: windows that come more often and see less of what follows.

A model whose windows stand side by side (``margin_s``) gives its scores for a stretch at once, and needs some sound
behind it: with 10.24 s and 2.56 s, a stream is 13 s late. Nothing in the network asks for stretches that long; shorter
ones cost more work, and a shorter look-ahead costs agreement (``docs/results/general.md``). A specification says how
windows are cut, for streams and for files alike, so both give the same events for the same latency.

First the stretch becomes shorter, down to a sixteenth; what is then left of the time is look-ahead, of which a quarter
may be missing before the stretch is shortened once more. Stretches are the model's own, halved, so that steps of the
network lie where they lie in long windows.
"""

from __future__ import annotations

from auricle.errors import UsageError
from auricle.runtime.spec import BundleSpec
from auricle.runtime.stream import RESAMPLER_DELAY_SAMPLES
from auricle.runtime.tracker import EventTracker
from auricle.timeline import samples_to_seconds

#: How often the stretch of a window may be halved.
_HALVINGS = 4
#: Share of the margin that a window looks ahead at least, unless its stretch cannot be shorter.
_LOOKAHEAD = 0.75


def with_latency(spec: BundleSpec, latency_s: float, *, causal: bool = False) -> BundleSpec:
    """Return the specification whose events are announced at most ``latency_s`` after a sound.

    Args:
        spec: of the model.
        latency_s: as ``Stream.latency_s``, which counts smoothing, the shortest event, and resampling from the model's
            sample rate or a higher one. What the model needs at most is enough for every longer time.
        causal: whether the model runs on a stream without windows.

    Raises:
        UsageError: the model cannot be that quick, or has no such windows.
    """
    after_s, least_s = _after_s(spec), least_latency_s(spec, causal=causal)
    # Float arithmetic may miss the bound that was just told by a hair.
    if latency_s < least_s - 1e-6:
        if causal or not spec.margin_s:
            raise UsageError(
                f"{spec.name} has one latency, {least_s:.2f} s, and {latency_s:g} s was asked for: its windows cannot "
                "be cut shorter; the model general takes less"
            )
        raise UsageError(
            f"{spec.name} is at least {least_s:.2f} s late, of which {after_s:.2f} s are smoothing and resampling; "
            f"{latency_s:g} s was asked for"
        )
    if causal or not spec.margin_s:
        return spec
    rate, hop, fitting = spec.sample_rate, spec.hop_samples, _stretches(spec)
    left = int((latency_s - after_s) * rate + 0.5)
    least = {n: spec.margin_samples * (1.0 if n == hop else _LOOKAHEAD) for n in fitting}
    stretch = next((n for n in fitting if left >= n + least[n]), fitting[-1])
    lookahead = min(spec.margin_samples, (left - stretch) // spec.grid.hop_samples * spec.grid.hop_samples)
    if (stretch, lookahead) == (hop, spec.margin_samples):
        return spec
    values = {
        "window_s": samples_to_seconds(stretch + spec.margin_samples + lookahead, rate),
        "hop_s": samples_to_seconds(stretch, rate),
        "lookahead_s": samples_to_seconds(lookahead, rate),
    }
    return spec.model_copy(update=values)


def least_latency_s(spec: BundleSpec, *, causal: bool = False) -> float:
    """Return the shortest latency that ``with_latency`` takes."""
    if causal or not spec.margin_s:
        return _after_s(spec) + (spec.grid.step_s(spec.sample_rate) if causal else spec.wait_s)
    return _after_s(spec) + samples_to_seconds(_stretches(spec)[-1], spec.sample_rate)


def _after_s(spec: BundleSpec) -> float:
    """Return the seconds of smoothing, the shortest event and resampling."""
    wait_s = EventTracker(spec).lookahead_s + spec.postprocess.min_event_s
    return wait_s + samples_to_seconds(RESAMPLER_DELAY_SAMPLES, spec.sample_rate)


def _stretches(spec: BundleSpec) -> list[int]:
    """Return the stretches that windows may have, from long to short, in samples: whole numbers of frames."""
    hop = spec.hop_samples
    halved = [hop >> n for n in range(_HALVINGS + 1) if hop % (1 << n) == 0]
    return [samples for samples in halved if samples % spec.grid.hop_samples == 0]
