# SPDX-License-Identifier: Apache-2.0
"""One thread, a cache of its own, and training runs of less than a second."""

from __future__ import annotations

import pytest
from helpers.torch_fixtures import one_thread, own_cache  # noqa: F401
from helpers.toydata import tiny, write_folders

from auricle.progress import Progress
from auricle.training.preparation import prepare, read_training_data


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """A folder of 16 clips of two classes."""
    return write_folders(tmp_path_factory.mktemp("toy") / "clips")


@pytest.fixture(scope="module")
def material_of(clips):
    """Make material of these clips: four steps an epoch, eight in all; ``material_of("optim.epochs=3", ...)``."""

    def make(*overrides):
        recipe = tiny(*overrides)
        return prepare(read_training_data(clips, recipe), recipe, Progress())

    return make
