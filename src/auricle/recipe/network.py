# SPDX-License-Identifier: Apache-2.0
"""What a recipe says of a network, and what auricle must know of the network before it is built.

A network is one file: a subclass of ``NetworkOptions``, in ``auricle.nn.models`` or in an installed package that names
it in the entry point group ``auricle.networks``. Recipes are read without torch, so a file of auricle's own imports it
where a network is built.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from auricle.errors import BundleError
from auricle.recipe.section import Section
from auricle.registry import Registry

if TYPE_CHECKING:
    from auricle.recipe.schema import FrontendSection, Recipe

DEFAULT_NETWORK = "crnn"
#: Keys of ``augment`` that change waveforms, or what any network trains on.
OF_WAVEFORMS = frozenset(
    {
        *("mixup_alpha", "mixup_by", "shift", "speed", "gain_db", "noise_snr_db", "noise_share"),
        *("masks", "time_mask_ms"),
    }
)
#: Those that change log-mels.
OF_LOGMELS = frozenset({"freq_mask_mels", "equaliser_db"})
#: Those that stand for channels that a voice came through.
OF_CHANNELS = frozenset({"filter_share", "impulse_share", "copies", "room_share", "codec_share", "codecs"})
#: Front ends that look at other keys of ``frontend`` than all of them.
FRONTEND_KEYS: Mapping[str, frozenset[str]] = {"waveform": frozenset({"name", "sample_rate"})}

#: Keys that ``model`` had for every network up to version 0.1, at the values that every recipe file of then states.
_ONCE_SHARED: Mapping[str, Any] = {
    "causal": False,
    "time_stride": 2,
    "texture": True,
    "raw": {
        **{"first": "conv", "kernel": 128, "stride": 32, "rectify": "none", "level": False, "centre": False},
        **{"filter_mask": 0, "channels": [64, 64, 128], "block_kernel": 3, "pools": [1, 4, 4], "hidden": 64},
    },
}


class NetworkOptions(Section):
    """Base of the section ``model``: the options of one network, and what that network is.

    A subclass gives ``name`` its own name as the only value and adds the network's options as fields.

    Attributes:
        frontends: names of the front ends that it can have.
        augmentations: keys of ``augment`` that its training uses.
        defaults: recipe values in place of the general defaults, by section.
        fine_tuning: those that lie over them where training begins with the weights of another model.
        published: how files of published weights end that it can begin with, such as ``.pt``.
    """

    frontends: ClassVar[tuple[str, ...]] = ("logmel",)
    augmentations: ClassVar[frozenset[str]] = OF_WAVEFORMS | OF_LOGMELS
    defaults: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    fine_tuning: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    published: ClassVar[tuple[str, ...]] = ()

    name: str

    def problems(self, recipe: Recipe) -> list[str]:
        """Return what does not go together in a recipe with this network, beyond what single keys allow."""
        return []

    def hop_samples(self, frontend: FrontendSection) -> int:
        """Return the samples that one output frame stands for, or one step of its recurrent layer."""
        raise NotImplementedError

    def build(self, recipe: Recipe, labels: int) -> Any:
        """Return a new ``nn.network.Network`` for ``labels`` classes; weights from torch's random state."""
        raise NotImplementedError

    def streaming(self, network: Any) -> Any:
        """Return the ``nn.network.StreamingNetwork`` that shares the weights of ``network``; None if there is none."""
        return None

    def load_published(self, network: Any, path: str, labels: int, *, new_head: bool) -> None:
        """Let ``network`` begin with published weights; raises ``BundleError`` where they are not for it."""
        raise BundleError(f"{path}: network {self.name} begins with no published weights")


def _fault(name: str, item: object) -> str:
    """Return why an installed package's object is no network, or an empty string."""
    if not (isinstance(item, type) and issubclass(item, NetworkOptions)):
        return "it is not a subclass of auricle.recipe.network.NetworkOptions"
    own = item.model_fields["name"].default
    return "" if own == name else f"its name is {own!r}, and that of its entry point {name!r}"


NETWORKS: Registry[type[NetworkOptions]] = Registry(
    "network", package="auricle.nn.models", group="auricle.networks", accepts=_fault
)


def options_class(model: Any) -> type[NetworkOptions]:
    """Return the class for a section ``model``; raises ``UsageError`` for an unknown name."""
    name = model.get("name", DEFAULT_NETWORK) if isinstance(model, Mapping) else DEFAULT_NETWORK
    return NETWORKS.get(str(name))


def read_options(model: Mapping[str, Any]) -> NetworkOptions:
    """Return the checked options of a section ``model``; what files of version 0.1 state in vain is left out."""
    kind = options_class(model)
    return kind.model_validate({k: v for k, v in model.items() if k in kind.model_fields or not said_nothing(k, v)})


def said_nothing(key: str, value: Any) -> bool:
    """Return whether ``model`` had this key once for networks that do not use it, at this value."""
    if key == "raw" and isinstance(value, Mapping):
        value = {k: list(v) if isinstance(v, tuple) else v for k, v in value.items()}
    return key in _ONCE_SHARED and value == _ONCE_SHARED[key]


def unused_keys(recipe: Recipe) -> list[str]:
    """Return a line for each key of ``frontend`` and ``augment`` that was set and that the network does not use."""
    network, problems = recipe.model, []
    if recipe.frontend.name not in network.frontends:
        has = " · ".join(network.frontends)
        problems.append(f"frontend.name = {recipe.frontend.name!r}: network {network.name} has {has}")
    used = {
        "frontend": FRONTEND_KEYS.get(recipe.frontend.name, frozenset(type(recipe.frontend).model_fields)),
        "augment": network.augmentations,
    }
    for section, keys in used.items():
        values = getattr(recipe, section)
        for key, info in type(values).model_fields.items():
            value = getattr(values, key)
            if key not in keys and value not in (info.default, network.defaults.get(section, {}).get(key)):
                problems.append(
                    f"{section}.{key} = {value!r}: network {network.name} does not use this key; leave it out"
                )
    return problems
