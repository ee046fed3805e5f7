# SPDX-License-Identifier: Apache-2.0
"""How reports of training and evaluation are printed: for people, or as one JSON object."""

from __future__ import annotations

import csv
import shlex
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, TextIO

import typer

from auricle.cells import as_text
from auricle.cli.guard import say
from auricle.cli.tables import print_table
from auricle.files import json_line, printable
from auricle.results import rounded

if TYPE_CHECKING:
    from auricle.results import EnrolResult, Failure, Int8Result, Interval, Report, RunResult, SearchResult
    from auricle.training.crossval import CrossvalResult


class Unreadable:
    """Names recordings that cannot be read as they come, and counts them at the end."""

    def __init__(self, failures: Mapping[str, Failure] | None = None) -> None:
        self.count = 0
        for key, failure in (failures or {}).items():
            self(key, failure)

    def __call__(self, key: str, failure: Failure) -> None:
        """Name one."""
        self.count += 1
        say(f"auricle: {printable(key)}: {failure.message} [{failure.code}]")

    def leave(self) -> None:
        """Say how many there were, and end with 1 if there were any."""
        if self.count:
            what = "1 recording" if self.count == 1 else f"{self.count} recordings"
            say(f"auricle: {what} could not be read; the figures are over the others")
            raise typer.Exit(1)


def print_object(value: Mapping[str, Any], stream: TextIO) -> None:
    """Print one JSON object on one line."""
    stream.write(json_line(value))
    stream.flush()


def flat_rows(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield a row for each value of a nested object, named by its path, such as ``model.head``.

    >>> list(flat_rows({"task": "single", "model": {"head": "attention"}, "labels": ["dog", "rain"]}))
    [('task', 'single'), ('model.head', 'attention'), ('labels', 'dog, rain')]
    """
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from flat_rows(value, f"{prefix}{name}.")
        elif isinstance(value, list):
            yield f"{prefix}{name}", ", ".join(as_text(item) for item in value)
        elif value is not None:
            yield f"{prefix}{name}", as_text(value)


def print_metrics(metrics: Mapping[str, Interval], stream: TextIO) -> None:
    """Print figures with their 95 % intervals."""
    rows = [(name, m.value, m.low, m.high, m.n) for name, m in metrics.items()]
    print_table(("metric", "value", "low (95 %)", "high (95 %)", "n"), rows, stream)


def print_report(report: Report, format: str, stream: TextIO) -> None:
    """Print what ``evaluate`` measured."""
    if format == "json":
        print_object(report.to_dict(), stream)
        return
    note = report.details.get("note")
    if note and report.details.get("trained_on"):
        stream.write(f"{note}\n\n")
    if "per_system" in report.details:
        print_spoof(report, stream)
        return
    print_metrics(report.metrics, stream)
    if note and not report.details.get("trained_on"):
        stream.write(f"\n{note}\n")
    if report.per_class:
        names = list(dict.fromkeys(name for row in report.per_class.values() for name in row))
        rows = [(label, *(row.get(name) for name in names)) for label, row in report.per_class.items()]
        stream.write("\n")
        print_table(("class", *names), rows, stream)


SPOOF_COLUMNS = ("eer", "min_dcf", "act_dcf", "cllr")


def print_spoof(report: Report, stream: TextIO) -> None:
    """Print the figures of a detector of synthetic voices: a row for all, for seen and unseen systems, and for each."""
    details, spoof, human = report.details, report.per_class["spoof"], report.per_class["bonafide"]
    everything = {name: m.to_dict() for name, m in report.metrics.items()}
    rows = [_spoof_row("all", {**spoof, "metrics": everything})]
    rows += [_spoof_row(f"{name} systems", details[name]) for name in ("seen", "unseen") if name in details]
    known = {True: " (seen)", False: " (unseen)", None: ""}
    rows += [_spoof_row(name + known[part["seen"]], part) for name, part in details["per_system"].items()]
    print_table(("spoofed by", "n", "speakers", "EER % [95 %]", "minDCF", "actDCF", "Cllr"), rows, stream)
    stream.write(
        f"\nagainst {human['n']} bona fide recordings of {human['speakers']} speakers; intervals over speakers; "
        f"min Cllr {details['min_cllr']:.3f}\n"
    )
    if "min_tdcf" in details:
        stream.write(f"min t-DCF (2019) {details['min_tdcf']:.4f}\n")
    for part, metrics in details.get("difference", {}).items():
        text = ", ".join(f"{name} {_figure(name, metrics)}" for name in metrics)
        stream.write(f"difference to the other scores, {part}: {text}\n")
    for code, count in details["flags"].items():
        stream.write(f"flag {code}: {count} of {report.n} recordings\n")
    for flag in details["data_flags"]:
        stream.write(f"flag {flag['code']}: {flag['count']} (first: {printable(str(flag['first']))})\n")
    stream.flush()


def _spoof_row(name: str, part: Mapping[str, Any]) -> tuple[object, ...]:
    return name, part["n"], part["speakers"], *(_figure(column, part["metrics"]) for column in SPOOF_COLUMNS)


def _figure(name: str, metrics: Mapping[str, Any]) -> str:
    """Return a figure with its interval as text, the EER in percent; empty where it is undefined."""
    if name not in metrics:
        return ""
    m, factor, digits = metrics[name], 100 if name == "eer" else 1, 1 if name == "eer" else 3
    value, low, high = (f"{factor * m[key]:.{digits}f}" for key in ("value", "low", "high"))
    return f"{value} [{low}, {high}]"


def print_run(result: RunResult, format: str, stream: TextIO) -> None:
    """Print what a training run left behind."""
    if format == "json":
        print_object(result.to_dict(), stream)
        return
    stream.write(f"model    {result.path}\nepochs   {result.epochs} ({result.steps} steps)\n")
    if result.dev:
        stream.write("dev      " + ", ".join(f"{name} {value:.4g}" for name, value in result.dev.items()) + "\n")
    if result.classes:
        names = ("label", "clips", "dev_clips", "recall", "precision", "threshold")
        rows = [tuple("-" if row[name] is None else row[name] for name in names) for row in result.classes]
        stream.write("\n")
        print_table(("class", "clips", "dev clips", "recall", "precision", "threshold"), rows, stream)
    for warning in result.warnings:
        stream.write(f"\nwarning: {warning}\n")
    if result.test is not None:
        stream.write("\ntest, scored once:\n")
        print_report(result.test, format, stream)
    stream.write(f"\nnext: auricle tag RECORDING --model {shlex.quote(as_model(result.path))}\n")
    stream.flush()


def print_enrolled(result: EnrolResult, format: str, stream: TextIO) -> None:
    """Print what a few clips gave: a row for each class, by clips left out of the fit, and what to do next."""
    if format == "json":
        print_object(result.to_dict(), stream)
        return
    stream.write(
        f"model    {result.path}\nclips    {result.clips} ({result.negatives} of none of the classes), "
        f"{result.seconds:.1f} s\n\n"
    )
    names = ("recall", "precision", "bank_alarms")
    rows = [
        (row["label"], row["clips"], *(_interval(row[name]) for name in names), row["threshold"])
        for row in result.classes
    ]
    columns = ("class", "clips", "recall [95 %]", "precision [95 %]", "false alarms [95 %]", "threshold")
    print_table(columns, rows, stream)
    stream.write("\nby clips left out of the fit; false alarms are of the bank's sounds\n")
    for warning in result.warnings:
        stream.write(f"\nwarning: {warning}\n")
    stream.write(f"\nnext: auricle detect RECORDING --model {shlex.quote(as_model(result.path))}\n")
    stream.flush()


def _interval(figure: Interval | None) -> str:
    return "-" if figure is None else f"{figure.value:.2f} [{figure.low:.2f}, {figure.high:.2f}]"


def print_matches(result: SearchResult, format: str, stream: TextIO) -> None:
    """Print the windows that are most like an example."""
    if format == "json":
        print_object(result.to_dict(), stream)
        return
    columns = ("path", "onset", "offset", "score")
    rows = [(m.path, m.onset, m.offset, m.score) for m in result.matches]
    if format == "csv":
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows((path, *map(rounded, numbers)) for path, *numbers in rows)
    else:
        print_table(columns, rows, stream)
    stream.flush()


def as_model(path: str) -> str:
    """Return a folder as ``--model`` takes it: with a slash, so that it cannot be a built-in model's name."""
    return path if "/" in path else f"./{path}"


def print_crossval(result: CrossvalResult, format: str, stream: TextIO) -> None:
    """Print what a cross-validation measured: pooled figures, then each fold and each seed."""
    if format == "json":
        print_object(result.to_dict(), stream)
        return
    print_metrics(result.metrics, stream)
    seeds = list(result.by_seed)
    stream.write("\n")
    columns = ("fold", *(f"seed {seed}" for seed in seeds))
    print_table(columns, [(name, *values) for name, values in result.by_fold.items()], stream)
    if len(seeds) > 1:
        names = list(result.by_seed[seeds[0]])
        stream.write("\n")
        rows = [(name, *(result.by_seed[seed][name] for seed in seeds)) for name in names]
        print_table(("all folds", *columns[1:]), rows, stream)


def print_int8(result: Int8Result, format: str, stream: TextIO) -> None:
    """Print what a model lost and won in 8 bits."""
    if format == "json":
        print_object(result.to_dict(), stream)
        return
    share = f"{100 * result.int8_bytes / result.float32_bytes:.1f} %"
    rows: list[tuple[object, ...]] = [
        ("bytes", result.float32_bytes, result.int8_bytes, share),
        ("ms a window, one thread", result.float32_ms, result.int8_ms, ""),
        ("arithmetic", "float", result.arithmetic, ""),
        ("largest change of a score of the test input", "", result.shift, ""),
    ]
    if result.metric:
        rows.append((result.metric, result.float32, result.int8, f"{result.clips} clips"))
    print_table((result.path, "float32", "int8", ""), rows, stream)
    if result.note:
        stream.write(f"{result.note}\n")
