# SPDX-License-Identifier: Apache-2.0
"""Which arithmetic is chosen."""

from __future__ import annotations

import pytest
import torch

from auricle.errors import ConfigError
from auricle.recipe.schema import RunSection
from auricle.training.devices import fabric_precision, has_bf16_units, require_device


@pytest.mark.parametrize("amx", [False, True])
def test_on_a_cpu_auto_is_bf16_where_there_are_matrix_units(monkeypatch, amx):
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    assert has_bf16_units("cpu") == amx
    assert fabric_precision("auto", "cpu") == ("bf16-mixed" if amx else "32-true")
    assert fabric_precision("float32", "cpu") == "32-true"
    assert fabric_precision("bf16", "cpu") == "bf16-mixed"


@pytest.mark.parametrize("supported", [False, True])
def test_a_cuda_device_is_asked(monkeypatch, supported):
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: not supported)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: supported)
    for device in ("auto", "cuda"):
        assert fabric_precision("auto", device) == ("bf16-mixed" if supported else "32-true")


def test_auto_without_cuda_is_the_cpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: True)
    assert fabric_precision("auto", "auto") == "bf16-mixed"


def test_r14_a_device_that_is_not_there_is_told(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError) as caught:
        require_device(RunSection(device="cuda"))
    assert str(caught.value).splitlines() == [
        "the recipe cannot be carried out on this machine",
        "  - run.device = 'cuda': torch sees no CUDA device here; check the driver, or choose auto or cpu",
    ]
