# SPDX-License-Identifier: Apache-2.0
"""The one error tree, and the closed set of codes that flags and failures carry.

    AuricleError                 anything auricle says "no" with; the message is for the user
    ├── UsageError               wrong use: unknown model, bad option, nothing to do      (exit 2)
    │   ├── ConfigError          recipe or override: every problem at once               (exit 2)
    │   ├── DataError            a data set that cannot be trained on: every problem     (exit 2)
    │   ├── BundleError          a model folder that is damaged, foreign or too new      (exit 2)
    │   └── RunError             output folder in use, not empty, not resumable          (exit 2)
    ├── InputError               one recording cannot be used; carries a code; the others continue (exit 1)
    ├── TrainingError            training had to stop (non-finite loss, no data left)    (exit 1)
    └── Interrupted              Ctrl-C or SIGTERM after saving                          (exit 130 / 143)

A message has three parts: what was received, what is allowed, what to do.
"""

from __future__ import annotations

from collections.abc import Sequence

#: Codes of flags: the input was used, and this stands beside its result.
FLAG_CODES: dict[str, str] = {
    "truncated": "fewer samples decoded than the file declares; whole samples kept",
    "stream_header": "the header leaves the length open (streamed by ffmpeg or sox); length from the file",
    "length_conflict": "the declared length contradicts the file size; the file size was used",
    "header_conflict": "byte rate, block align, channels and bit depth contradict each other",
    "trailing_data": "data after the end of the audio was ignored",
    "decode_gap": "the decoder skipped damaged parts",
    "nonfinite": "NaN or infinite samples were replaced by zero",
    "silent": "digital silence",
    "dc_only": "constant signal without sound",
    "clipped": "samples stand at full scale in runs (share given)",
    "band_limited": "the sample rate is below the model's: the upper band is empty",
    "channel_cancel": "mixing the channels down cancels most of the signal",
    "extension_mismatch": "the content is another format than the extension says",
    "too_short": "shorter than the model's shortest input or training recording; padded by the model's rule",
    "out_of_distribution": "most of it is unlike the model's training data (no speech, say): the scores mean little",
    "none_of_these": "the highest score is too low for the rate of mistakes that was asked for: nothing is named",
    "changed": "the file changed while it was read",
    "window_resolution": "the model has no frame scores: events have the resolution of its windows",
    "duplicate_audio": "the same audio stands in the data twice",
    "duplicate_row": "the same row stands in the table twice",
    "missing_file": "a file is listed but absent",
    "unlisted_file": "a file is present but not listed",
    "class_missing": "a class has no clip in a split; metrics for it are undefined",
    "clipped_event": "an event reaches past the end of its file and was cut there",
    "overlapping_event": "events of one class overlap or touch in a file: they are learnt as one",
    "name_collision": "two names differ only in case or Unicode form",
    "clock_change": "the recording began in an hour that comes twice or not at all where clocks change (docs/clock.md)",
    "start_conflict": "name and header say starts more than a minute apart; the one in front of the list is taken",
    "clock_unset": "the start lies before 1990: the recorder's clock was not set, so it is left out",
}

#: Codes of failures: the input was not used (SKIP), or a stated limit refused it (LIMIT).
FAILURE_CODES: dict[str, str] = {
    "not_found": "no such file",
    "no_start": "neither name nor header says when it began, and times of day were asked for",
    "empty_file": "0 bytes",
    "no_audio": "a valid header without a single sample",
    "bad_header": "the header is damaged or impossible",
    "not_audio": "the content is something else (text, HTML, a pointer file, ...)",
    "unsupported_codec": "a codec or container that no installed decoder reads",
    "nonfinite": "too many NaN or infinite samples",
    "out_of_range": "sample values beyond any plausible scale",
    "rate_out_of_range": "sample rate outside 1 to 768 kHz",
    "rate_change": "the sample rate changes inside the file",
    "too_many_channels": "more channels than the limit",
    "no_channel": "a channel was asked for that the recording does not have",
    "too_long": "longer than the stated limit",
    "too_large": "more bytes at an address than the limit",
    "address_refused": "the address is not one of the open web, or leads to one that is not",
    "download_failed": "the server at the address did not send the recording",
    "not_regular": "a folder, named pipe, socket or device",
    "broken_link": "a symbolic link to nothing or to itself",
    "permission": "not readable for this user",
    "vanished": "the file disappeared between listing and reading",
    "io_error": "the file system reported an error; retries did not help",
    "timeout": "not done within the time that one file is given",
    "corrupt": "the decoder gave up on damaged content",
    "unsafe_pickle": "an object array or pickle: loading it could run code",
    "bad_array": "a NumPy file of the wrong type, rank, size or scale",
    "wrong_length": "the model takes one fixed length",
    "internal": "an error inside auricle; please report it",
}


#: Codes of refusals over HTTP: the request was not carried out, whatever it was about. Beside them, a recording that
#: cannot be used gives its code of ``FAILURE_CODES``; wrong use is ``bad_request``.
REQUEST_CODES: dict[str, str] = {
    "bad_request": "the request is malformed",
    "unauthorized": "the token is missing or wrong",
    "forbidden": "the request comes from a page or for a host that this server does not serve",
    "unknown_path": "nothing is served under this path",
    "unknown_model": "no model of this name is served",
    "unknown_item": "there is no recording or label of this number",
    "too_few": "there are too few examples or verdicts for what is wanted",
    "wrong_method": "the path does not know this method",
    "timeout": "the request came too slowly, or its work took too long",
    "too_large": "the body is larger than the limit",
    "wrong_type": "the body is of a type that is not accepted",
    "encoded": "the body is compressed",
    "wrong_range": "more than one range was asked for",
    "busy": "as many requests or streams as allowed are at work; try again",
    "starting": "the models are being loaded; try again",
    "stopping": "the server is shutting down",
    "storage_full": "there is no room left to keep the upload",
}


class AuricleError(Exception):
    """Base of all errors that auricle raises on purpose."""

    exit_code = 1
    code = "error"

    @property
    def message(self) -> str:
        """The text for the user, one line unless several problems are listed."""
        return str(self.args[0]) if self.args else self.__class__.__name__


class UsageError(AuricleError):
    """Wrong use: what was asked for cannot be done as asked."""

    exit_code = 2
    code = "usage"


class _Problems(UsageError):
    """Several problems reported at once, each one line."""

    def __init__(self, summary: str, problems: Sequence[str] = ()) -> None:
        self.summary = summary
        self.problems = tuple(problems)
        super().__init__("\n".join([summary, *(f"  - {p}" for p in self.problems)]))


class ConfigError(_Problems):
    """A recipe or an override is impossible; lists every problem."""

    code = "config"


class DataError(_Problems):
    """A data set cannot be used; lists every problem with its place."""

    code = "data"


class BundleError(UsageError):
    """A model folder is missing parts, damaged, foreign or too new."""

    code = "bundle"


class RunError(UsageError):
    """An output folder is in use, not empty, or cannot be resumed."""

    code = "run"


class InputError(AuricleError):
    """One recording cannot be used; ``code`` is a key of ``FAILURE_CODES``."""

    def __init__(self, code: str, message: str) -> None:
        if code not in FAILURE_CODES:
            raise ValueError(f"unknown failure code {code!r}")
        self.code = code
        super().__init__(message)

    def __reduce__(self) -> tuple[type[InputError], tuple[str, str]]:
        """Let it be sent between processes."""
        return type(self), (self.code, self.message)


class TrainingError(AuricleError):
    """Training had to stop; the last good state is kept."""

    code = "training"


class Interrupted(AuricleError):
    """The user or the system asked to stop, and the state was saved."""

    code = "interrupted"

    def __init__(self, message: str, exit_code: int = 130) -> None:
        self.exit_code = exit_code
        super().__init__(message)
