# SPDX-License-Identifier: Apache-2.0
"""The tools that figures of a run go to: stand-ins, failures that are said once, and the tools themselves offline."""

from __future__ import annotations

import json
import logging
import sys
import types

import pytest

from auricle.errors import ConfigError
from auricle.recipe.schema import Recipe
from auricle.training.logs import RunLog
from auricle.training.trackers import TRACKERS, Trackers, flat

ROWS = [
    {"epoch": 1.0, "step": 10.0, "loss": 1.25},
    {"epoch": 2.0, "step": 20.0, "loss": 0.5, "dev_accuracy": 0.75},
]
RECIPE = {"model.name": "crnn", "optim.lr": 0.002}


class Run:
    """What ``wandb.init`` returns."""

    def __init__(self, calls, options):
        self.calls, self.id = calls, options.get("id", "r1")

    def log(self, figures, step):
        self.calls.append(("log", figures, step))

    def finish(self):
        self.calls.append(("finish",))


@pytest.fixture
def wandb(monkeypatch):
    """A stand-in of wandb, and of trackio, that writes down its calls."""
    calls = []

    def init(**options):
        calls.append(("init", options))
        return Run(calls, options)

    for name in ("wandb", "trackio"):
        monkeypatch.setitem(sys.modules, name, types.SimpleNamespace(init=init))
    return calls


@pytest.fixture
def mlflow(monkeypatch):
    """A stand-in of MLflow's client."""
    calls = []

    class Client:
        def get_experiment_by_name(self, name):
            calls.append(("experiment", name))

        def create_experiment(self, name):
            return "e1"

        def create_run(self, experiment, run_name):
            calls.append(("run", experiment, run_name))
            return types.SimpleNamespace(info=types.SimpleNamespace(run_id="m1"))

        def update_run(self, run, status):
            calls.append(("again", run, status))

        def log_param(self, run, name, value):
            calls.append(("param", name, value))

        def log_metric(self, run, name, value, step):
            calls.append(("metric", name, value, step))

        def set_terminated(self, run):
            calls.append(("end", run))

    monkeypatch.setitem(sys.modules, "mlflow", types.ModuleType("mlflow"))
    monkeypatch.setitem(sys.modules, "mlflow.tracking", types.SimpleNamespace(MlflowClient=Client))
    return calls


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "yard" / "run").mkdir(parents=True)
    return tmp_path / "yard" / "run"


def test_none_is_the_default_and_the_names_are_known():
    assert Recipe().run.track == []
    assert set(TRACKERS) == {"tensorboard", "wandb", "mlflow", "trackio"}
    with pytest.raises((ConfigError, ValueError), match="track"):
        Recipe.model_validate({"run": {"track": ["comet"]}})


def test_wandb_gets_recipe_and_rows_and_continues_by_its_number(wandb, folder):
    log = RunLog(folder, [], ["wandb"], RECIPE)
    log.write(ROWS[0])
    log.close()
    assert wandb == [
        ("init", {"project": "auricle", "name": "yard", "config": RECIPE, "dir": str(folder)}),
        ("log", {"loss": 1.25}, 10),
        ("finish",),
    ]
    assert json.loads((folder / "trackers.json").read_text()) == {"wandb": "r1"}
    wandb.clear()
    again = RunLog(folder, ROWS[:1], ["wandb"], RECIPE)
    again.write(ROWS[1])
    again.close()
    assert (wandb[0][1]["id"], wandb[0][1]["resume"]) == ("r1", "allow")
    assert wandb[1] == ("log", {"loss": 0.5, "dev_accuracy": 0.75}, 20), "rows that it has are not sent again"


def test_trackio_is_asked_as_wandb_is(wandb, folder):
    log = RunLog(folder, [], ["trackio"], RECIPE)
    log.write(ROWS[0])
    log.close()
    assert wandb[0] == ("init", {"project": "auricle", "name": "yard", "config": RECIPE})
    assert wandb[1:] == [("log", {"loss": 1.25}, 10), ("finish",)]


def test_mlflow_gets_parameters_and_metrics(mlflow, folder):
    log = RunLog(folder, [], ["mlflow"], RECIPE)
    log.write(ROWS[1])
    log.close()
    assert mlflow == [
        ("experiment", "auricle"),
        ("run", "e1", "yard"),
        ("param", "model.name", "crnn"),
        ("param", "optim.lr", "0.002"),
        ("metric", "loss", 0.5, 20),
        ("metric", "dev_accuracy", 0.75, 20),
        ("end", "m1"),
    ]
    mlflow.clear()
    RunLog(folder, ROWS, ["mlflow"], RECIPE).close()
    assert mlflow == [("again", "m1", "RUNNING"), ("end", "m1")]


@pytest.mark.parametrize("broken", ["init", "log", "finish"])
def test_a_tool_that_fails_is_said_once_and_left(wandb, folder, monkeypatch, caplog, broken):
    def fail(*words, **options):
        raise ConnectionError("no route\nto host")

    if broken == "init":
        monkeypatch.setattr(sys.modules["wandb"], "init", fail)
    else:
        monkeypatch.setattr(Run, broken, fail)
    with caplog.at_level(logging.WARNING, "auricle"):
        log = RunLog(folder, [], ["wandb", "mlflow"], RECIPE)
        for row in ROWS:
            log.write(row)
        log.close()
    said = [record.getMessage() for record in caplog.records if "wandb" in record.getMessage()]
    assert said == ["run.track: wandb is left, the run goes on: ConnectionError: no route to host"]
    assert len((folder / "log.csv").read_text().splitlines()) == 3
    assert list((folder / "tensorboard").glob("events*")), "TensorBoard's files are written always"


def test_a_tool_that_is_not_installed(folder, monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "wandb", None)
    monkeypatch.delitem(sys.modules, "wandb")
    monkeypatch.setattr("sys.path", [path for path in sys.path if "trackers" not in path])
    monkeypatch.setattr("sys.meta_path", [Hidden("wandb"), *sys.meta_path])
    Trackers(["wandb"], folder, RECIPE, []).close()
    text = "run.track: wandb is left, the run goes on: wandb is not installed; do: pip install 'auricle[wandb]'"
    assert [record.getMessage() for record in caplog.records] == [text]


class Hidden:
    """A finder by which a module is not there."""

    def __init__(self, name):
        self.name = name

    def find_spec(self, name, path=None, target=None):
        if name == self.name:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def test_the_recipe_by_dotted_names():
    values = flat(Recipe().model_dump(mode="json"))
    assert values["optim.lr"] == Recipe().optim.lr
    assert not any(isinstance(value, dict) and value for value in values.values())


# --- the tools themselves


@pytest.mark.slow
def test_wandb_itself_offline(folder, monkeypatch, caplog):
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    log = RunLog(folder, [], ["wandb"], RECIPE)
    for row in ROWS:
        log.write(row)
    log.close()
    assert [r.getMessage() for r in caplog.records if "is left" in r.getMessage()] == []
    (found,) = (folder / "wandb").glob("offline-run-*/run-*.wandb")
    content = found.read_bytes()
    assert b"dev_accuracy" in content
    assert b"model.name" in content


@pytest.mark.slow
def test_mlflow_itself_in_files(folder, monkeypatch, tmp_path, caplog):
    pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "mlruns").as_uri())
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    log = RunLog(folder, [], ["mlflow"], RECIPE)
    log.write(ROWS[0])
    log.close()
    log = RunLog(folder, ROWS[:1], ["mlflow"], RECIPE)
    log.write(ROWS[1])
    log.close()
    assert [r.getMessage() for r in caplog.records if "is left" in r.getMessage()] == []
    from mlflow.tracking import MlflowClient

    client = MlflowClient()
    (run,) = client.search_runs([client.get_experiment_by_name("auricle").experiment_id])
    assert (run.info.run_name, run.info.status) == ("yard", "FINISHED")
    assert run.data.params == {"model.name": "crnn", "optim.lr": "0.002"}
    assert [(m.step, m.value) for m in client.get_metric_history(run.info.run_id, "loss")] == [(10, 1.25), (20, 0.5)]


@pytest.mark.slow
def test_trackio_itself(folder, monkeypatch, tmp_path, caplog):
    pytest.importorskip("trackio")
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))
    log = RunLog(folder, [], ["trackio"], RECIPE)
    log.write(ROWS[0])
    log.close()
    assert [r.getMessage() for r in caplog.records if "is left" in r.getMessage()] == []
