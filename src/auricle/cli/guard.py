# SPDX-License-Identifier: Apache-2.0
"""How a command ends: errors become one line and an exit code, never a traceback (``--debug`` shows it).

0    all inputs done, with flags or without
1    some or all inputs failed, the rest is done; or an error inside auricle
2    wrong use or wrong configuration
130  interrupted (Ctrl-C)
143  terminated (SIGTERM)
"""

from __future__ import annotations

import contextlib
import errno
import functools
import inspect
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Annotated, NoReturn, ParamSpec, TypeVar

import typer

from auricle.errors import AuricleError, InputError, UsageError
from auricle.files import printable
from auricle.logs import show_logs

_ACCESS = "it cannot be read or written by this user; choose another place, or change its permissions"
_PLACE = "there is no such place; check the path, or choose another"
#: Errors that say something of a path the user gave, and nothing of auricle.
_OF_THE_PATH = {
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), _ACCESS),
    **dict.fromkeys((errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENOTEMPTY), _PLACE),
    **dict.fromkeys((errno.ENAMETOOLONG, errno.ELOOP, errno.EINVAL, errno.ENXIO, errno.ENODEV), _PLACE),
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EFBIG), "free some space, or choose another place"),
}
#: A command that has not ended so long after Ctrl-C or SIGTERM is in a computation that does not return.
GRACE_S = 5.0

P = ParamSpec("P")
R = TypeVar("R")


def say(text: str) -> None:
    """Write for people to stderr, as stdout belongs to results; what steers a terminal is escaped, but line ends."""
    print("\n".join(printable(line) for line in text.split("\n")), file=sys.stderr, flush=True)


def confirm(question: str, *, absent: str, refused: str) -> None:
    """Ask whether to continue; only a person at a terminal can say yes.

    Args:
        question: without its end, which is added.
        absent: what to do where nobody can be asked.
        refused: what became of it after a no.

    Raises:
        UsageError: no answer can be had, or it is no.
    """
    if not sys.stdin.isatty():
        raise UsageError(absent)
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise UsageError(refused)


def confirm_download() -> None:
    """Ask whether the licence that was shown is accepted; raises ``UsageError`` as ``confirm`` does."""
    confirm(
        "Download?",
        absent="nobody is there to accept the licence: read it above, then say --yes",
        refused="nothing was downloaded",
    )


def speaks() -> bool:
    """Tell whether this process prints what all of a training find: it is alone, or the first that torchrun started.

    >>> speaks()
    True
    """
    return os.environ.get("RANK", "0") == "0"


#: An option of every command.
Verbose = Annotated[
    int,
    typer.Option(
        "--verbose",
        "-v",
        count=True,
        show_default=False,
        help="Say on stderr what is done; twice: every recording, faults too.",
    ),
]


def guarded(command: Callable[P, R]) -> Callable[P, R]:
    """Wrap a command so that whatever ends it becomes a line on stderr and an exit code, and give it ``--verbose``."""

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        verbose = kwargs.pop("verbose", None)
        try:
            if isinstance(verbose, int):
                show_logs(verbose)
            return command(*args, **kwargs)
        except typer.Exit:
            raise
        except Exception as error:
            if kwargs.get("debug"):
                raise
            leave(error)
        except KeyboardInterrupt:
            say("auricle: interrupted")
            raise typer.Exit(130) from None

    if run.__doc__ is not None:
        # A line with \b keeps the example's lines apart; all other paragraphs are filled to the terminal's width.
        run.__doc__ = inspect.cleandoc(run.__doc__).replace("\nExample:\n", "\n\b\nExample:\n")
    signature = inspect.signature(command, eval_str=True)
    if "context" in signature.parameters:  # a group of commands, each of which has the option
        return run
    option = inspect.Parameter("verbose", inspect.Parameter.KEYWORD_ONLY, default=0, annotation=Verbose)
    parameters = sorted([*signature.parameters.values(), option], key=lambda parameter: parameter.kind)
    run.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {**command.__annotations__, "verbose": Verbose}
    return run


def leave(error: Exception) -> NoReturn:
    """Report ``error`` in one line (more only where several problems are listed) and exit with its code."""
    if isinstance(error, BrokenPipeError):
        forget_stdout()
        raise typer.Exit(1) from None
    if isinstance(error, AuricleError):
        if speaks() or isinstance(error, InputError):  # one process's loader may fail on its own
            say(f"auricle: {error.message}")
        raise typer.Exit(error.exit_code) from None
    if isinstance(error, ModuleNotFoundError) and (extra := _extra_of(error.name)) is not None:
        say(f'auricle: this needs {error.name}, which is not installed; do: pip install "auricle[{extra}]"')
        raise typer.Exit(2) from None
    if isinstance(error, OSError) and error.filename is not None and error.errno in _OF_THE_PATH:
        path = os.fsdecode(error.filename) if isinstance(error.filename, (str, bytes)) else str(error.filename)
        say(f"auricle: {path}: {error.strerror}; {_OF_THE_PATH[error.errno]}")
        raise typer.Exit(2) from None
    text = " ".join(str(error).split())
    say(f"auricle: unexpected {type(error).__name__}: {text} (run again with --debug to see where)")
    raise typer.Exit(1) from None


def _extra_of(module: str | None) -> str | None:
    """Return the extra that installs ``module``, or None if no extra does."""
    from auricle.cli.extras import EXTRAS

    root = "" if module is None else module.partition(".")[0]
    return next((extra for extra, modules in EXTRAS.items() if root in modules), None)


def forget_stdout() -> None:
    """Point stdout at nothing, so that the interpreter's last flush into a closed pipe stays quiet."""
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, sys.stdout.fileno())
    os.close(devnull)


def terminate_cleanly() -> None:
    """Let SIGTERM unwind the stack, so that open result files are finished, and exit 143.

    A computation in C may never return to Python, whose handlers wait for it: then a thread ends the process.
    """
    signal.signal(signal.SIGTERM, _stop)
    reader, writer = os.pipe()
    if hasattr(os, "set_blocking"):  # Windows has it from Python 3.12 on, and does not ask for it
        os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)  # is told of a signal at once, whatever Python is at
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_forget_signals)  # those of a child are not ours
    threading.Thread(target=_end_what_does_not_unwind, args=(reader,), name="auricle-signals", daemon=True).start()


def _stop(_signal: int, _frame: FrameType | None) -> None:
    """Raise ``SystemExit`` and no error of ours: no handler of one recording's errors may swallow it."""
    raise SystemExit(143)


def _forget_signals() -> None:
    with contextlib.suppress(ValueError):
        signal.set_wakeup_fd(-1)


def _end_what_does_not_unwind(reader: int) -> None:
    """End the process where a signal ought to have ended it; training and serving have handlers of their own."""
    while told := os.read(reader, 1):
        if signal.getsignal(told[0]) in (_stop, signal.default_int_handler):
            time.sleep(GRACE_S)
            os.write(2, b"auricle: ended by a signal in the middle of a computation that does not return\n")
            os._exit(128 + told[0])
