# SPDX-License-Identifier: Apache-2.0
"""What a client reads when it is refused: ``{"error": {"code", "message"}}`` with the right status, and nothing else.

No path, no traceback and no name from inside the server ever stands in a reply.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from auricle.errors import FAILURE_CODES, REQUEST_CODES, AuricleError, InputError, UsageError
from auricle.results import SIGNIFICANT_DIGITS, FloatArray, rounded

#: The status of each refusal.
STATUS = {
    "bad_request": 400,
    "unauthorized": 401,
    "forbidden": 403,
    "unknown_path": 404,
    "unknown_model": 404,
    "wrong_method": 405,
    "unknown_item": 404,
    "timeout": 408,
    "too_few": 409,
    "too_large": 413,
    "wrong_type": 415,
    "encoded": 415,
    "wrong_range": 416,
    "busy": 503,
    "starting": 503,
    "stopping": 503,
    "storage_full": 507,
}
#: The status of recordings that cannot be used, where it is not 400.
INPUT_STATUS = {"too_long": 413, "not_audio": 415, "unsupported_codec": 415, "internal": 500}
#: What to read from a status that a library gives.
CODE_OF_STATUS = {404: "unknown_path", 405: "wrong_method", 413: "too_large"}
RETRY_AFTER_S = 1
#: Powers of ten that are floats without rounding: a whole number over one of them is the float nearest to that decimal.
_POWERS = np.array([float(f"1e{n}") for n in range(23)])
#: Where a score of so many leading zeros begins, from one to many.
_STEPS = np.array([float(f"1e-{n}") for n in range(23 - SIGNIFICANT_DIGITS, 0, -1)])


class Refusal(Exception):
    """A request is not carried out; ``code`` is a key of ``errors.REQUEST_CODES`` or of ``errors.FAILURE_CODES``."""

    def __init__(self, code: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        if code not in REQUEST_CODES and code not in FAILURE_CODES:
            raise ValueError(f"unknown code {code!r}")
        self.code = code
        self.message = message
        self._headers = {} if headers is None else headers
        super().__init__(message)

    @property
    def status(self) -> int:
        """The HTTP status."""
        return STATUS.get(self.code, INPUT_STATUS.get(self.code, 400))

    @property
    def body(self) -> bytes:
        """The JSON that is sent."""
        return json.dumps({"error": {"code": self.code, "message": self.message}}, ensure_ascii=False).encode()

    @property
    def headers(self) -> dict[str, str]:
        """What the status asks for beside the body."""
        found = {"content-type": "application/json", "cache-control": "no-store", **self._headers}
        if self.status == 503:
            found["retry-after"] = str(RETRY_AFTER_S)
        if self.status == 401:
            found["www-authenticate"] = "Bearer"
        return found


def refusal_of(error: Exception) -> Refusal:
    """Turn any error into what its client may read."""
    if isinstance(error, Refusal):
        return error
    if isinstance(error, InputError) and error.code != "internal":
        return Refusal(error.code, error.message)
    if isinstance(error, UsageError) and error.code in STATUS:
        return Refusal(error.code, error.message)
    if isinstance(error, UsageError) and type(error) is UsageError:
        return Refusal("bad_request", error.message)
    if isinstance(error, AuricleError):
        return Refusal("internal", "the model could not be used; the server's log says why")
    return Refusal("internal", "an error inside the server; its log says more")


def dump(value: Any) -> bytes:
    """Return the JSON of a reply, as the command line prints it."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False).encode()


def rounded_rows(scores: FloatArray) -> list[Any]:
    """Return scores in [0, 1] of any shape as lists, each as ``results.rounded`` gives it, many times faster."""
    values = scores.astype(np.float64)
    decimals = SIGNIFICANT_DIGITS + len(_STEPS) - np.searchsorted(_STEPS, values, side="right")
    scale = _POWERS[np.minimum(decimals, len(_POWERS) - 1)]
    found = np.rint(values * scale) / scale
    for place in np.argwhere((values != 0) & (values < _STEPS[0]) | (values > 1)):  # hardly ever
        found[tuple(place)] = rounded(values[tuple(place)])
    rows: list[Any] = found.tolist()
    return rows
