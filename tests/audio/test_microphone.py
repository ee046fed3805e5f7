# SPDX-License-Identifier: Apache-2.0
"""A microphone that is unplugged, comes back at another rate, or is too fast for us."""

from __future__ import annotations

import importlib
from itertools import islice

import numpy as np
import pytest
from helpers.fakecard import Card, PortAudioError

from auricle.audio.microphone import BLOCK_S, QUEUE_S, Gap, Microphone, find_backend, list_microphones
from auricle.errors import UsageError

BLOCK = np.full(50, 0.5)


class Time:
    """A clock that sleeping moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def microphone(card, **options) -> Microphone:
    time = Time()
    return Microphone(card, clock=time.clock, sleep=time.sleep, silence_s=0.01, **options)


def test_blocks_come_in_their_order():
    ears = microphone(Card([BLOCK, BLOCK * 0.5]))
    assert (ears.sample_rate, ears.name) == (1_000, "USB ear")
    first, second = islice(ears, 2)
    assert (first.shape, first[0, 0], second[0, 0]) == ((50, 1), 0.5, 0.25)
    assert microphone(Card(), sample_rate=16_000).sample_rate == 16_000


def test_s28_a_microphone_that_is_unplugged_is_waited_for():
    """Two tries fail, a second apart; it comes back at another rate."""
    card = Card([BLOCK], PortAudioError("gone"), ValueError("gone"), [BLOCK], rates=(1_000, 2_000))
    block, gap, after = islice(microphone(card), 3)
    assert len(block) == len(after) == 50
    assert gap == Gap("lost", pytest.approx(2.01), 2_000)
    assert (card.opened, card.looked) == (2, 3)
    assert card.closed >= 1


def test_s28_a_card_that_dropped_samples_says_so():
    block, gap, after = islice(microphone(Card([BLOCK, "overflow", BLOCK])), 3)
    assert gap == Gap("overrun", 0, 1_000)
    assert len(block) == len(after) == 50


def test_s15_blocks_that_nobody_takes_are_counted():
    """The queue holds 10 s; 3 blocks of 50 ms more are lost, which the first block behind them says."""
    whole = round(QUEUE_S / BLOCK_S)
    card = Card([])
    ears = microphone(card)
    heard = []
    original = card.InputStream
    card.InputStream = lambda **options: heard.append(options["callback"]) or original(**options)
    ears._open()
    ok = type("Status", (), {"input_overflow": False})()
    for _ in range(whole + 3):
        heard[0](BLOCK[:, None], 50, None, ok)
    found = iter(ears)
    assert all(isinstance(item, np.ndarray) for item in islice(found, whole))
    heard[0](BLOCK[:, None], 50, None, ok)
    gap, block = islice(found, 2)
    assert gap == Gap("overrun", pytest.approx(0.15), 1_000)
    assert len(block) == 50


def test_closing_lets_the_device_go():
    card = Card([BLOCK])
    ears = microphone(card)
    found = iter(ears)
    next(found)
    found.close()
    ears.close()
    assert card.closed == 1


@pytest.mark.parametrize("error", [PortAudioError("Error querying\n device -1"), ValueError("no input device")])
def test_no_microphone_is_said_with_what_to_do(error):
    expected = (
        r"no microphone can be opened \([Ee n].*device.*\); plug one in, choose one with --microphone \(--microphones "
        r"lists them\), or pipe samples in: auricle listen -$"
    )
    with pytest.raises(UsageError, match=expected):
        microphone(Card(error))


def test_microphones_are_those_that_hear():
    assert list_microphones(Card()) == [(1, "USB ear", 2, 1_000)]


def test_a_system_without_portaudio_is_said_with_what_to_do(monkeypatch):
    def fail(name):
        raise OSError("PortAudio library not found")

    monkeypatch.setattr(importlib, "import_module", fail)
    expected = (
        r"the system has no usable PortAudio \(PortAudio library not found\); install it \(Debian: apt install "
        r"libportaudio2\), or pipe samples in: arecord -q -f S16_LE -r 16000 -t raw \| auricle listen - --rate 16000"
    )
    with pytest.raises(UsageError, match=expected):
        find_backend()
