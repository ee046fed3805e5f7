# SPDX-License-Identifier: Apache-2.0
"""Classes by the group that they belong to: ``Animal`` is all animals, by the AudioSet ontology.

``audioset.json`` has the parent of each of AudioSet's 527 classes and of the groups above them that are no classes
themselves (``Human sounds``). It is made of the ontology (Gemmeke et al., "Audio Set: An ontology and human-labeled
dataset for audio events", ICASSP 2017; Google, CC BY-SA 4.0); of a class with several parents it has the first. Models
know their classes' identifiers (``label_ids``); to others, a name is a label.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from auricle.errors import UsageError
from auricle.registry import nearest
from auricle.runtime.spec import BundleSpec

_FILE = Path(__file__).with_name("audioset.json")


@lru_cache(maxsize=1)
def read_parents() -> dict[str, str | None]:
    """Return the parent of each class, by identifiers, and of each group that is no class, by names."""
    found = json.loads(_FILE.read_text(encoding="utf-8"))
    return {**found["groups"], **found["classes"]}


def ancestors(identifier: str) -> list[str]:
    """Return a class or group and all that it belongs to, the nearest first.

    >>> ancestors("/m/05tny_")  # a bark: of a dog, a domestic animal, an animal
    ['/m/05tny_', '/m/0bt9lr', '/m/068hy', '/m/0jbk']
    """
    parents, found = read_parents(), [identifier]
    while (above := parents.get(found[-1])) is not None:
        found.append(above)
    return found


def classes_of(names: Sequence[str], spec: BundleSpec) -> tuple[str, ...]:
    """Return the labels of a model that some names mean, in the model's order.

    Args:
        names: labels, or groups of the ontology; several in one text with commas. Upper or lower case is the same.
        spec: of the model.

    Raises:
        UsageError: a name is neither.
    """
    ids = spec.label_ids
    lines = {label: ancestors(ids[label]) if label in ids else [] for label in spec.labels}
    above = {name for line in lines.values() for name in line}
    known = {label.casefold(): label for label in spec.labels}
    known |= {name.casefold(): name for name in above if not name.startswith("/")}
    parts: list[str] = []
    for text in names:
        parts += [text] if text.casefold() in known else [part.strip() for part in text.split(",")]
    wanted: set[str] = set()
    for part in parts:
        name = known.get(part.casefold())
        if name is None:
            raise UsageError(f"--classes: {spec.name} has no class or group {part!r}{nearest(part, known.values())}")
        wanted |= {name, ids.get(name, name)}
    return tuple(label for label in spec.labels if label in wanted or wanted.intersection(lines[label]))
