# SPDX-License-Identifier: Apache-2.0
"""Devices by the installed ONNX Runtime: which is taken, what is said; batches give what single windows give."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
from helpers.cli_fixtures import auricle, model, recordings  # noqa: F401
from helpers.tinybundle import RATE, make_bundle

from auricle.errors import UsageError
from auricle.runtime.detector import Detector, load
from auricle.runtime.devices import choose_device
from auricle.runtime.onnx_session import Network, open_network

CPU, CUDA, COREML = "CPUExecutionProvider", "CUDAExecutionProvider", "CoreMLExecutionProvider"


@pytest.fixture
def installed(monkeypatch):
    """Let ONNX Runtime have other providers; sessions compute on the processor and say what they were asked for."""

    class Session(onnxruntime.InferenceSession):
        works = True
        asked = ()

        def __init__(self, content, options, providers):
            super().__init__(content, options, providers=[CPU])
            type(self).asked = tuple(providers)

        def get_providers(self):
            return list(self.asked) if self.works else [CPU]

    def make(*providers, works=True):
        Session.works = works
        monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: list(providers))
        monkeypatch.setattr(onnxruntime, "InferenceSession", Session)
        return Session

    return make


def test_what_auto_takes(installed):
    installed(CPU)
    assert choose_device("auto") == "cpu"
    installed(COREML, CPU)
    assert choose_device("auto") == "cpu"  # not every graph is equal there: it is taken if it is asked for
    assert choose_device("coreml") == "coreml"
    installed(CUDA, CPU)
    assert choose_device("auto") == "cuda"


def test_a_device_that_is_not_installed_says_what_to_install(installed):
    installed(CPU)
    with pytest.raises(UsageError) as caught:
        choose_device("cuda")
    assert str(caught.value) == (
        "device cuda: the installed ONNX Runtime computes on cpu only; install onnxruntime-gpu in place of it, "
        "or take --device cpu"
    )
    with pytest.raises(UsageError, match="device 'gpu' is unknown; known: auto, cpu, cuda, rocm, coreml"):
        choose_device("gpu")


def test_a_device_that_does_not_start_is_no_silent_fallback(installed, tmp_path):
    installed(CUDA, CPU, works=False)
    path = make_bundle(tmp_path / "tiny").path
    with pytest.raises(UsageError) as caught:
        load(path, device="cuda")
    assert str(caught.value) == (
        "device cuda: ONNX Runtime has it, and it does not start (a driver or library is missing); "
        "run with --debug to see its message, or take --device cpu"
    )


def test_the_provider_is_asked_for_with_the_processor_behind_it(installed, tmp_path):
    session = installed(CUDA, CPU)
    detector = load(make_bundle(tmp_path / "tiny").path, device="auto")
    assert (session.asked, detector.network.device, detector.network.batch) == ((CUDA, CPU), "cuda", 32)
    plain = load(make_bundle(tmp_path / "other").path)
    assert (session.asked, plain.network.device, plain.network.batch) == ((CPU,), "cpu", 1)


@pytest.mark.parametrize("name", ["tiny", "esc10", "general"])
@pytest.mark.parametrize("seconds", [0.3, 7.0, 33.3])
def test_batches_of_windows_give_what_single_windows_give(name, seconds, tmp_path):
    bundle = make_bundle(tmp_path / "tiny") if name == "tiny" else load(name).bundle
    rate = RATE if name == "tiny" else 16_000
    sound = 0.3 * np.random.default_rng(0).standard_normal(round(seconds * rate)).astype(np.float32)
    single = Detector(bundle, open_network(bundle))
    counted = Counted(open_network(bundle))
    batched = Detector(bundle, counted)
    expected, found = single.frames(sound, rate), batched.frames(sound, rate)
    assert np.array_equal(expected.times, found.times)
    assert np.allclose(expected.values, found.values, atol=1e-3)
    scores = {s.label: s.score for s in single.tag(sound, rate).scores}
    assert all(abs(s.score - scores[s.label]) < 1e-3 for s in batched.tag(sound, rate).scores)
    windows = max(1.0, seconds / bundle.spec.hop_s - 1)
    assert (max(counted.sizes) > 1) is (windows > 2)


class Counted:
    """A network that is best given five windows at once, and notes how many it was given."""

    batch = 5

    def __init__(self, network: Network) -> None:
        self._network, self.sizes = network, [0]
        self.running, self.outputs = network.running, network.outputs

    def run(self, windows, wanted=frozenset()):
        assert len(windows) <= self.batch
        self.sizes.append(len(windows))
        return self._network.run(windows, wanted)


def test_the_command_names_the_device(installed, auricle, recordings, model):  # noqa: F811
    installed(CUDA, CPU)
    assert "auricle: computing on cuda\n" in auricle("tag", recordings / "a.wav", "--model", model).err
    assert "computing" not in auricle("tag", recordings / "a.wav", "--model", model, "--device", "cpu").err
    installed(CPU)
    done = auricle("tag", recordings / "a.wav", "--model", model, "--device", "openvino")
    assert (done.code, "install onnxruntime-openvino in place of it" in done.err) == (2, True)
