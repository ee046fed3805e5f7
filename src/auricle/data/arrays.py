# SPDX-License-Identifier: Apache-2.0
"""NumPy files as input: what a folder says about them (``features.json``), and opening one safely.

An array never says itself at which rate it was sampled, how it is scaled or which front end made it.
So that is written beside the arrays or said by the caller, and never guessed. Nothing is unpickled.
"""

from __future__ import annotations

import json
import os
import stat
import tokenize
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from auricle.data.manifest import ArraySpec
from auricle.data.problems import Problems
from auricle.errors import InputError
from auricle.results import Flag, FloatArray

FEATURES_FILE = "features.json"
MAX_FEATURES_BYTES = 1_000_000
#: Largest array read: 24 h of waveform at 48 kHz.
MAX_VALUES = 24 * 3600 * 48_000
#: Waveforms peak near 1; far beyond, the scale is another one (integers saved as floats, say).
MAX_PEAK = 100.0
#: Share of NaN and infinite samples that is replaced by zero; more refuses the file.
MAX_NONFINITE = 0.01
#: What NumPy lets through from Python's own parser, by which it reads a header as a literal.
_BAD_HEADER: tuple[type[Exception], ...] = (
    *(ValueError, TypeError, EOFError, SyntaxError, LookupError, ArithmeticError, AttributeError),
    *(tokenize.TokenError, RecursionError, MemoryError, AssertionError),
)
CONVERT_PT = (
    'python -c "import sys, numpy, torch; '
    'numpy.save(sys.argv[2], torch.load(sys.argv[1], weights_only=True).numpy())" IN.pt OUT.npy'
)


class FeaturesFile(BaseModel):
    """The content of ``features.json``."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    kind: Literal["waveform", "logmel"] = Field(description="What each array holds: `(time,)` or `(mel, frame)`.")
    sample_rate: int = Field(ge=1_000, le=768_000, description="Of the audio, in Hz.")
    frontend: dict[str, Any] | None = Field(None, description="Settings of the log-mel front end.")
    labels: list[str] | None = Field(None, description="Classes, for a check against the table.")
    scale: float | None = Field(None, gt=0, description="Factor that brings integer samples to [-1, 1].")
    task: Literal["single", "multi"] | None = Field(None, description="How the labels are meant.")


def read_features_file(folder: Path, problems: Problems) -> FeaturesFile | None:
    """Return what ``features.json`` in ``folder`` says, or None if there is none or it is broken (then noted)."""
    path = folder / FEATURES_FILE
    if not path.is_file():
        return None
    try:
        if path.stat().st_size > MAX_FEATURES_BYTES:
            raise ValueError(f"it has {path.stat().st_size} bytes; at most {MAX_FEATURES_BYTES} are read")
        return FeaturesFile.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except ValidationError as error:
        for item in error.errors():
            where = ".".join(map(str, item["loc"])) or "the content"
            problems.add("features", f"{FEATURES_FILE}: {where}: {item['msg']}")
    except (OSError, ValueError, RecursionError) as error:
        problems.add("features", f"{FEATURES_FILE} cannot be read: {error}")
    return None


def frontend_differences(stored: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    """Return in which settings two log-mel front ends differ, as ``name: stored != wanted``."""
    names = sorted(set(stored) | set(wanted))
    return [
        f"{n}: {stored.get(n)!r} in the data, {wanted.get(n)!r} in the model"
        for n in names
        if stored.get(n) != wanted.get(n)
    ]


def array_spec(
    folder: Path, problems: Problems, *, sample_rate: int | None = None, frontend: Mapping[str, Any] | None = None
) -> ArraySpec | None:
    """Return what the arrays of ``folder`` hold; notes what is missing to know it."""
    before = len(problems)
    features = read_features_file(folder, problems)
    if features is None:
        if len(problems) > before:
            return None
        if sample_rate is None:
            text = f"no {FEATURES_FILE} says what the arrays hold; for waveforms say their --sample-rate"
            problems.add("features", f"{text}, log-mels need the file")
            return None
        return ArraySpec("waveform", sample_rate)
    if sample_rate not in (None, features.sample_rate):
        text = f"{FEATURES_FILE} says {features.sample_rate} Hz, and {sample_rate} Hz was asked for; drop one"
        problems.add("features", text)
    if features.kind == "logmel":
        _check_frontend(features, frontend, problems)
    return ArraySpec(features.kind, features.sample_rate, features.frontend, features.scale)


def _check_frontend(features: FeaturesFile, frontend: Mapping[str, Any] | None, problems: Problems) -> None:
    if features.frontend is None:
        problems.add("features", f"{FEATURES_FILE}: log-mels need their 'frontend' settings; import the audio instead")
    elif frontend is not None:
        for text in frontend_differences(features.frontend, frontend):
            problems.add("frontend", f"the log-mels were made by another front end: {text}")


@dataclass(frozen=True, eq=False)
class LoadedArray:
    """An array that was opened and checked.

    Attributes:
        values: float32, ``(time,)`` or ``(mel, frame)``.
        flags: what was changed on the way.
    """

    values: FloatArray
    flags: tuple[Flag, ...] = ()


def _refuse_foreign(path: str, head: bytes) -> None:
    """Refuse what is no plain ``.npy`` file, naming what it is."""
    name = os.path.basename(path)  # noqa: PTH119
    if not head:
        raise InputError("empty_file", f"{name} has 0 bytes")
    if head.startswith(b"\x93NUMPY"):
        return
    if path.lower().endswith((".pt", ".pth")) or head[:1] == b"\x80":
        raise InputError("unsafe_pickle", f"{name} is a pickle, which could run code; convert it: {CONVERT_PT}")
    if head.startswith(b"PK"):
        raise InputError("bad_array", f"{name} is a zip (.npz) archive; save the one array with numpy.save")
    raise InputError("bad_array", f"{name} is no NumPy file; save the array with numpy.save")


def _read_header(path: str) -> tuple[tuple[int, ...], np.dtype[Any], int, int]:
    """Return shape, type, bytes of the header and bytes of the file of a ``.npy`` file; raises ``InputError``."""
    name = os.path.basename(path)  # noqa: PTH119
    try:
        info = os.stat(path)  # noqa: PTH116
        if not stat.S_ISREG(info.st_mode):
            raise InputError("not_regular", f"{name} is not a regular file")
        with open(path, "rb") as handle:  # noqa: PTH123
            _refuse_foreign(path, handle.read(16))
            handle.seek(0)
            version = np.lib.format.read_magic(handle)
            if version not in ((1, 0), (2, 0)):
                raise InputError("bad_array", f"{name}: format version {version} holds records, not one plain array")
            read_header = (
                np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            )
            shape, _, dtype = read_header(handle)
            if any(n < 0 for n in shape):
                raise ValueError(f"shape {shape}")
            return shape, dtype, handle.tell(), info.st_size
    except OSError as error:
        raise _file_failure(name, error) from error
    except _BAD_HEADER as error:
        raise InputError("bad_array", f"{name}: damaged NumPy header ({' '.join(str(error).split())[:120]})") from error


def _file_failure(name: str, error: OSError) -> InputError:
    if isinstance(error, FileNotFoundError):
        return InputError("not_found", f"{name}: no such file")
    if isinstance(error, PermissionError):
        return InputError("permission", f"{name} is not readable for this user")
    return InputError("io_error", f"{name}: {error.strerror}")


def _open_mapped(path: str) -> npt.NDArray[Any]:
    """Map a ``.npy`` file into memory after comparing what it declares with its size."""
    name = os.path.basename(path)  # noqa: PTH119
    shape, dtype, header_bytes, file_bytes = _read_header(path)
    if dtype.hasobject:
        raise InputError("unsafe_pickle", f"{name} holds Python objects, which could run code; save numbers only")
    declared = header_bytes + dtype.itemsize * int(np.prod([int(n) for n in shape], dtype=object))
    if declared != file_bytes:
        kind = "truncated" if declared > file_bytes else "longer than declared"
        raise InputError("bad_array", f"{name} is {kind}: {file_bytes} of {declared} bytes")
    if declared == header_bytes:
        raise InputError("no_audio", f"{name}: shape {shape} holds no values")
    try:
        return np.lib.format.open_memmap(path, mode="r")
    except OSError as error:
        raise _file_failure(name, error) from error
    except _BAD_HEADER as error:
        raise InputError("bad_array", f"{name} cannot be mapped ({' '.join(str(error).split())[:120]})") from error


def array_shape(
    path: str | Path, kind: str = "waveform", *, n_mels: int | None = None, scale: float | None = None
) -> tuple[int, ...]:
    """Return the shape of a ``.npy`` file without reading its values; the arguments are those of ``load_array``.

    Raises:
        InputError: ``load_array`` would refuse it, whatever its values are.
    """
    return _checked(os.fspath(path), kind, n_mels, scale).shape


def _checked(path: str, kind: str, n_mels: int | None, scale: float | None) -> npt.NDArray[Any]:
    """Map a ``.npy`` file into memory whose shape, type and size can be used."""
    name, mapped = os.path.basename(path), _open_mapped(path)  # noqa: PTH119
    _check_shape(name, mapped.shape, kind, n_mels)
    _check_type(name, mapped.dtype, scale)
    if mapped.size > MAX_VALUES:
        raise InputError("too_long", f"{name} holds {mapped.size} values; at most {MAX_VALUES} are read")
    return mapped


def _check_shape(name: str, shape: tuple[int, ...], kind: str, n_mels: int | None) -> None:
    if kind == "waveform" and len(shape) != 1:
        readings = (
            f"{shape[0]} channels of {shape[1]} samples, or {shape[1]} of {shape[0]}" if len(shape) == 2 else "unclear"
        )
        raise InputError("bad_array", f"{name}: shape {shape} ({readings}); a waveform is mono, shape (time,)")
    if kind == "logmel" and len(shape) != 2:
        raise InputError("bad_array", f"{name}: shape {shape}; a log-mel has shape (mel, frame)")
    if kind == "logmel" and n_mels is not None and shape[0] != n_mels:
        turned = "; it reads as (frame, mel): save array.T" if shape[1] == n_mels else ""
        raise InputError("bad_array", f"{name}: shape {shape}, but the front end has {n_mels} mels first{turned}")


def _check_type(name: str, dtype: np.dtype[Any], scale: float | None) -> None:
    if dtype.kind == "f" or (dtype.kind in "iu" and scale is not None):
        return
    if dtype.kind in "iu":
        full = 2.0 ** (8 * dtype.itemsize - 1)
        raise InputError(
            "bad_array",
            f"{name}: {dtype.name} is either PCM (scale {1 / full:.6g}) or values as they stand (scale 1); "
            f"say which with 'scale' in {FEATURES_FILE}",
        )
    raise InputError("bad_array", f"{name}: type {dtype.name}; expected float32")


def load_array(
    path: str | Path, kind: str = "waveform", *, n_mels: int | None = None, scale: float | None = None
) -> LoadedArray:
    """Open one ``.npy`` file safely and return it as native, contiguous float32.

    Args:
        path: the file; any byte order and memory order.
        kind: ``waveform``, shape ``(time,)``, or ``logmel``, shape ``(mel, frame)``.
        n_mels: mels that a log-mel must have.
        scale: factor for integer samples.

    Raises:
        InputError: ``unsafe_pickle``, ``bad_array``, ``nonfinite``, ``out_of_range``, ``too_long``, ``no_audio``,
            and the codes of the file system.
    """
    path = os.fspath(path)
    name = os.path.basename(path)  # noqa: PTH119
    mapped = _checked(path, kind, n_mels, scale)
    factor = scale if scale is not None and mapped.dtype.kind in "iu" else 1.0
    with np.errstate(over="ignore", invalid="ignore"):
        values = np.array(mapped if factor == 1 else mapped.astype(np.float64) * factor, np.float32, order="C")
    return _finite(name, values, kind)


def _finite(name: str, values: FloatArray, kind: str) -> LoadedArray:
    """Replace a few non-finite samples of a waveform by zero; refuse more, and any in a log-mel."""
    bad = ~np.isfinite(values)
    count = int(bad.sum())
    if count > (MAX_NONFINITE * values.size if kind == "waveform" else 0):
        most = f"at most {MAX_NONFINITE:.0%} of a waveform may be" if kind == "waveform" else "none of a log-mel may be"
        raise InputError("nonfinite", f"{name}: {count} of {values.size} values are NaN or infinite; {most}")
    if count:
        values[bad] = 0
    peak = float(np.abs(values).max())
    if kind == "waveform" and peak > MAX_PEAK:
        raise InputError("out_of_range", f"{name}: peak {peak:g}; a waveform peaks near 1, so divide by its full scale")
    return LoadedArray(values, (Flag("nonfinite", {"count": count}),) if count else ())
