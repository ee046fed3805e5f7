# SPDX-License-Identifier: Apache-2.0
"""One thread, and the smallest teachers, made once."""

from __future__ import annotations

import pytest
from helpers.tinyteachers import write_ast, write_efficientat, write_graph
from helpers.torch_fixtures import one_thread  # noqa: F401


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
