# SPDX-License-Identifier: Apache-2.0
"""What the library says while it works, under the logger name ``auricle``; it prints nothing by itself.

    logging.basicConfig(level=logging.INFO)                   # a program of your own
    logging.getLogger("auricle").setLevel(logging.DEBUG)
    auricle tag yard.wav -vv                                  # the command line, on stderr

INFO: steps that a user chose (the model that is used, an address that is fetched, an epoch). DEBUG: every recording and
how it was decoded, with the traceback of faults inside auricle. WARNING: something that was asked for is not done.
"""

from __future__ import annotations

import logging
import os
import sys

from auricle.files import printable

LOGGER = "auricle"
#: Levels by how often ``--verbose`` stands on the command line.
LEVELS = (logging.WARNING, logging.INFO, logging.DEBUG)
#: By which processes that this one starts know its level.
_VARIABLE = "AURICLE_LOG_LEVEL"


class StderrHandler(logging.Handler):
    """Writes records as lines of the command line: on stderr, with what would steer a terminal escaped."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record, as a whole: several processes write there."""
        try:
            text = "\n".join(printable(line) for line in self.format(record).split("\n"))
            print(f"auricle: {text}", file=sys.stderr, flush=True)  # noqa: T201 (only where a command asked for it)
        except Exception:  # noqa: BLE001 (as the handlers of logging do: a log must not end the work)
            self.handleError(record)


def show_logs(verbose: int = 0) -> None:
    """Let records go to stderr, as the command line does; what this process starts does the same."""
    level = LEVELS[max(0, min(verbose, len(LEVELS) - 1))]
    os.environ[_VARIABLE] = str(level)
    _show(level)


def show_logs_of_parent() -> None:
    """Let records go to stderr in a process that was started by one that does so."""
    level = os.environ.get(_VARIABLE, "")
    if level.isdigit():
        _show(int(level))


def _show(level: int) -> None:
    logger = logging.getLogger(LOGGER)
    if not any(isinstance(handler, StderrHandler) for handler in logger.handlers):
        logger.addHandler(StderrHandler())
    logger.setLevel(level)
