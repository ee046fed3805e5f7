# SPDX-License-Identifier: Apache-2.0
"""What is said of the usual slips, in one line: an address, a list, a tensor, a device that is not there."""

from __future__ import annotations

import socket

import numpy as np
import pytest

import auricle
from auricle.errors import AuricleError, InputError, UsageError

URL = "https://example.org/set/a.wav"
NOTE = "is an address, and auricle reads files of this machine: download it first"


@pytest.fixture
def nowhere(monkeypatch):
    """No name of a host is known."""

    def look_up(*words, **options):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", look_up)


def said(call) -> str:
    with pytest.raises(AuricleError) as caught:
        call()
    return str(caught.value)


@pytest.mark.parametrize("url", [URL, "http://host:8080/a.wav", "s3://bucket/a.wav", "https:/example.org/a.wav"])
@pytest.mark.usefixtures("nowhere")
def test_an_address_is_told_from_a_file_everywhere(url):
    model = auricle.load("esc10")
    for call in (
        lambda: auricle.load(url),
        lambda: auricle.evaluate(url, model="esc10"),
        lambda: auricle.report("esc10", data=url),
        lambda: auricle.train(url, out="out"),
        lambda: auricle.train("clips", out="out", soft=url),
        lambda: auricle.tune(url, model="esc10"),
    ):
        text = said(call)
        assert f"{url} {NOTE}" in text
        assert "\n" not in text
    text = said(lambda: model.tag(url))  # what is at addresses of the web is fetched
    assert f"{url} {NOTE}" in text or "the host" in text


def test_what_is_called_back_is_no_path():
    text = said(lambda: auricle.evaluate("gone", model="esc10", on_failure=lambda key, failure: None))
    assert "no such file or folder" in text


@pytest.mark.usefixtures("nowhere")
def test_a_scan_says_what_became_of_an_address_and_goes_on():
    web, other = list(auricle.scan([URL, "s3://bucket/a.wav"], model="esc10"))
    assert (web.path, web.error.code) == (URL, "download_failed")
    assert other.error.code == "not_found"
    assert NOTE in other.error.message


class Tensor:
    """What of torch's tensors is looked at."""

    def detach(self):
        return self

    def numpy(self):
        return np.zeros(3, np.float32)


def test_what_is_no_recording_is_named_with_what_to_do():
    model = auricle.load("esc10")
    expected = "expected a path, a binary file object, bytes or an array"
    assert said(lambda: model.tag(["a.wav"])) == f"got list; {expected}; several recordings are for auricle.scan"
    assert said(lambda: model.tag(Tensor())) == f"got Tensor; {expected}"  # whole ones are taken, as tensors of torch
    assert said(lambda: model.detect(5)) == f"got int; {expected}"


@pytest.mark.parametrize("value", [["a", "b"], Tensor(), 5])
def test_what_is_no_path_is_named(value):
    kind = type(value).__name__
    for name, call in (
        ("data", lambda: auricle.train(value, out="out")),
        ("out", lambda: auricle.train("clips", out=value)),
        ("data", lambda: auricle.evaluate(value, model="esc10")),
        ("data", lambda: auricle.tune(value, model="esc10")),
        ("recipe", lambda: auricle.crossval("clips", recipe=value)),
    ):
        assert said(call) == f"{name}: got {kind}; expected one path, such as 'clips/'"
    assert said(lambda: auricle.load(value)) == f"a model is named by a folder or a name; got {kind}"


def test_several_paths_are_taken_where_several_can_be():
    with pytest.raises(InputError):
        auricle.false_alarms(["gone.wav"], model="esc10")
    with pytest.raises(UsageError, match="quiet: got list; expected paths"):
        auricle.false_alarms([5], model="esc10")


@pytest.mark.parametrize("call", ["train", "crossval"])
def test_a_device_that_is_not_here_is_told_before_data_is_decoded(call, tmp_path, monkeypatch):
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for label in ("dog", "cat"):
        (tmp_path / "clips" / label).mkdir(parents=True)
        for i in range(3):
            (tmp_path / "clips" / label / f"{i}.wav").write_bytes(b"x")  # reading it would be another error
    text = said(lambda: getattr(auricle, call)(tmp_path / "clips", out=tmp_path / "out", device="cuda"))
    assert "torch sees no CUDA device here; check the driver, or choose auto or cpu" in text
