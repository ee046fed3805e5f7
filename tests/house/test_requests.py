# SPDX-License-Identifier: Apache-2.0
"""An option is one field of one class: command line, Python function and documentation have it from there."""

from __future__ import annotations

import inspect
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer.main

from auricle import api
from auricle.cli.main import app
from auricle.recipe import model_requests, requests, scan_requests
from auricle.recipe.options import Option, request_fields

ROOT = Path(__file__).parents[2]
FUNCTIONS = {
    "train": requests.TrainRequest,
    "crossval": requests.CrossvalRequest,
    "sweep": requests.SweepRequest,
    "teach": requests.TeachRequest,
    "enrol": requests.EnrolRequest,
    "bench_train": requests.BenchRequest,
    "evaluate": model_requests.EvaluateRequest,
    "false_alarms": model_requests.FalseAlarmsRequest,
    "tune": model_requests.TuneRequest,
    "export_int8": model_requests.Int8Request,
    "export_site": model_requests.SiteRequest,
    "report": model_requests.ReportRequest,
    "scan": scan_requests.ScanRequest,
    "import_model": model_requests.ImportRequest,
    "deployment": scan_requests.DeploymentRequest,
}
COMMANDS = {
    "train": requests.TrainRequest,
    "crossval": requests.CrossvalRequest,
    "sweep": requests.SweepRequest,
    "teach": requests.TeachRequest,
    "enrol": requests.EnrolRequest,
    "bench train": requests.BenchRequest,
    "evaluate": model_requests.EvaluateRequest,
    "export": model_requests.ExportRequest,
    "report": model_requests.ReportRequest,
    "models import": model_requests.ImportRequest,
    "tag": scan_requests.ScanOptions,
    "detect": scan_requests.ScanOptions,
    "embed": scan_requests.ScanOptions,
    "data deployment": scan_requests.DeploymentOptions,
    "data check": requests.DataOptions,
    "data import": requests.DataOptions,
}
#: Options of several commands, which no command writes by itself.
SHARED = {
    "--encoding",
    "--label-column",
    "--test-fold",
    "--sample-rate",
    "--data-format",
    "--split",
    "--fold",
    "--soft",
    "--init",
    "--set",
}
#: Adds one field to the class, before anything is made of it, then shows where it went.
ONE_FIELD = """
import inspect, json, sys
from dataclasses import KW_ONLY, dataclass
from types import ModuleType
from typing import Annotated

from auricle.recipe import model_requests, requests
from auricle.recipe.options import Option


@dataclass(frozen=True)
class TrainRequest(requests.TrainRequest):
    _: KW_ONLY
    loudness: Annotated[float, Option("How loud it is.", metavar="DB", key="augment.gain_db")] = 0.5


requests.TrainRequest = TrainRequest
sys.path.insert(0, sys.argv[1])
import make_docs

import auricle
from auricle.cli.main import app, help_of
from auricle.training.request_recipe import recipe_of

stand_in = sys.modules["auricle.training.run"] = ModuleType("run")  # the real one would load torch, to train nothing
stand_in.open_run = lambda request: (request, recipe_of(request))
stand_in.run_training = lambda run, progress: print(json.dumps([run[0].loudness, run[1].augment.gain_db]))
auricle.train("clips", out="m", loudness=7.0)
try:
    app(["train", "clips", "--out", "m", "--loudness", "8"], prog_name="auricle", standalone_mode=False)
except AttributeError:
    pass  # there is no result to print
print(json.dumps({
    "help": help_of(["train"]),
    "signature": list(inspect.signature(auricle.train).parameters),
    "doc": auricle.train.__doc__,
    "cli.md": make_docs.cli_page(),
    "python.md": make_docs.python_page(),
}))
"""


def test_a_new_option_of_train_is_one_field():
    words = [sys.executable, "-c", ONE_FIELD, str(ROOT / "scripts")]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=True)
    called, typed, shown = map(json.loads, done.stdout.splitlines())
    assert (called, typed) == ([7.0, 7.0], [8.0, 8.0])
    assert re.search(r"--loudness DB +How loud it is\.", shown["help"])
    assert "loudness" in shown["signature"]
    assert "    loudness: How loud it is." in shown["doc"].splitlines()
    assert shown["cli.md"].count("| `--loudness DB` | How loud it is.") == 1
    assert shown["python.md"].count("| `loudness` | `0.5` | How loud it is. |") == 1


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_has_the_fields_of_its_request(name):
    function, kind = getattr(api, name), FUNCTIONS[name]
    found = inspect.signature(function).parameters
    assert list(found) == list(inspect.signature(kind).parameters)
    for field in request_fields(kind):
        assert f"    {field.name}: {field.option.help}" in function.__doc__.splitlines()
        assert found[field.name].annotation == field.type


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_has_the_fields_of_its_request(name):
    command = typer.main.get_command(app)
    for word in name.split():
        command = command.commands[word]
    known = {parameter.name for parameter in command.params}
    for field in request_fields(COMMANDS[name]):
        assert (field.name in known) is not (isinstance(field.option, Option) and field.option.python_only)


def test_a_shared_option_is_written_once():
    text = (ROOT / "src/auricle/recipe/requests.py").read_text(encoding="utf-8")
    for name in ("test_fold", "sample_rate", "data_format", "soft", "init", "new_head", "epochs"):
        assert len(re.findall(rf"^    {name}: Annotated", text, re.M)) == 1
    for path in (ROOT / "src/auricle/cli").rglob("*.py"):
        code = re.sub(r'""".*?"""', "", path.read_text(encoding="utf-8"), flags=re.S)
        assert not SHARED & set(re.findall(r'"(--[a-z-]+)"', code)), path


def test_keys_of_options_are_keys_of_recipes():
    from auricle.recipe.schema import Recipe

    for kind in FUNCTIONS.values():
        for field in request_fields(kind):
            if isinstance(field.option, Option) and field.option.key is not None:
                section = Recipe()
                for part in field.option.key.split("."):
                    section = getattr(section, part)
