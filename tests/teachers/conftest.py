# SPDX-License-Identifier: Apache-2.0
"""One thread, and the smallest teachers, made once."""

from __future__ import annotations

import pytest
import torch
from tinyteachers import write_ast, write_efficientat, write_graph


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """Torch on one thread while these tests run."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def efficientat(tmp_path_factory):
    """A checkpoint of EfficientAT."""
    return write_efficientat(tmp_path_factory.mktemp("efficientat"))


@pytest.fixture(scope="session")
def ast(tmp_path_factory):
    """A folder of transformers with a small AST."""
    pytest.importorskip("transformers")
    return write_ast(tmp_path_factory.mktemp("ast"))


@pytest.fixture(scope="session")
def graph(tmp_path_factory):
    """A foreign ONNX tagger."""
    return write_graph(tmp_path_factory.mktemp("graph"))
