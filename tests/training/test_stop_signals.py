# SPDX-License-Identifier: Apache-2.0
"""Signals become a wish, with the right exit code, and the old handlers come back."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from auricle.signals import stop_on_signals


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_is_a_wish_to_stop(number, code):
    before = signal.getsignal(number)
    with stop_on_signals() as stop:
        assert not stop
        os.kill(os.getpid(), number)
        assert stop
        assert stop.exit_code == code
    assert signal.getsignal(number) is before


def test_a_second_ctrl_c_stops_at_once():
    with stop_on_signals() as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
        assert stop.exit_code == 143


def test_a_second_sigterm_changes_nothing():
    with stop_on_signals() as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.exit_code == 143


def test_handlers_come_back_after_an_error():
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(ValueError, match="boom"), stop_on_signals():
        raise ValueError("boom")
    assert signal.getsignal(signal.SIGTERM) is before


def test_outside_the_main_thread_nothing_is_touched():
    seen = []

    def work() -> None:
        with stop_on_signals() as stop:
            seen.append((bool(stop), signal.getsignal(signal.SIGTERM)))

    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [(False, before)]


def test_outside_the_main_thread_a_file_asks(tmp_path):
    """Ray Train runs a loop in a thread, to which no signal comes."""
    file, seen = tmp_path / "stop", []

    def work() -> None:
        with stop_on_signals(file) as stop:
            seen.append((bool(stop), stop.exit_code))
            file.write_text("130")
            seen.append((bool(stop), stop.exit_code))
            file.unlink()
            seen.append((bool(stop), stop.exit_code))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [(False, None), (True, 130), (True, 130)]


def test_in_the_main_thread_signals_do(tmp_path):
    (tmp_path / "stop").write_text("130")
    with stop_on_signals(tmp_path / "stop") as stop:
        assert not stop
