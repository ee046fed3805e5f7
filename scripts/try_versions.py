# SPDX-License-Identifier: Apache-2.0
"""Install the wheel with the lowest and the newest versions of what it needs, and let the half without torch work.

    python scripts/try_versions.py dist/auricle-*.whl                       # every extra alone and all together
    python scripts/try_versions.py dist/auricle-*.whl --extras serve codecs --resolutions lowest-direct

Needs uv (``pip install uv``), which makes one empty environment after the other. Extras of the half with torch are left
out. Prints a table in Markdown.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
#: Extras of the half with torch.
HEAVY = {"train", "teachers", "scale", "voices", "wandb", "mlflow", "trackio"}
RESOLUTIONS = ("lowest-direct", "highest")
#: What an environment has to do; each line beyond the first two needs an extra, and is silent without it.
WORK = """
import subprocess, sys
import numpy, soundfile, auricle
from pathlib import Path

extras = set(sys.argv[1:])
rate = 16_000
time = numpy.arange(2 * rate) / rate
for name, hertz in (("high", 2_000), ("low", 300)):
    Path("clips", name).mkdir(parents=True)
    for i in range(3):
        soundfile.write(f"clips/{name}/{i}.wav", 0.3 * numpy.sin(2 * numpy.pi * (hertz + 20 * i) * time), rate)
auricle.enrol("clips/", out="models/mine")
detector = auricle.load("models/mine")
result = detector.detect("clips/low/0.wav")
assert result["low"] and detector.tag("clips/high/1.wav").scores[0].label == "high"
stream = detector.stream(48_000)
stream.push(numpy.zeros(48_000, "float32")), stream.flush()
assert len(list(auricle.scan("clips/", model="general"))) == 6
command = [sys.executable, "-m", "auricle", "tag", "clips/high/0.wav", "--model", "models/mine", "--format", "json"]
assert '"label": "high"' in subprocess.run(command, capture_output=True, text=True, check=True).stdout
wrong = subprocess.run([*command, "--tip", "3"], capture_output=True, text=True)
assert (wrong.returncode, "No such option: --tip" in wrong.stderr) == (2, True), wrong.stderr
if "pandas" in extras:
    assert len(result.to_pandas()) == len(result.events)
if "arrow" in extras:
    assert result.to_arrow().num_rows == len(result.events)
if "plot" in extras:
    import matplotlib
    matplotlib.use("agg")
    result.plot()
if "codecs" in extras:
    import av
    with av.open("low.m4a", "w") as out:
        sound = out.add_stream("aac", rate=rate)
        sound.layout = "mono"
        frame = av.AudioFrame.from_ndarray(
            (0.3 * numpy.sin(2 * numpy.pi * 300 * time)).astype("float32")[None, :], format="fltp", layout="mono"
        )
        frame.sample_rate = rate
        for packet in [*sound.encode(frame), *sound.encode(None)]:
            out.mux(packet)
    assert detector.tag("low.m4a").duration > 1.9
if "reports" in extras:
    auricle.report("models/mine", data="clips/", out="page.html")
    assert "<html" in Path("page.html").read_text("utf-8")
"""
SERVE = """
import json, subprocess, sys, time, urllib.request
server = subprocess.Popen([sys.executable, "-m", "auricle", "serve", "--model", "models/mine", "--port", sys.argv[1]])
try:
    for _ in range(300):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{sys.argv[1]}/health")
            break
        except OSError:
            time.sleep(0.2)
    sound = open("clips/low/0.wav", "rb").read()
    ask = urllib.request.Request(f"http://127.0.0.1:{sys.argv[1]}/v1/tag", sound, {"Content-Type": "audio/wav"})
    assert json.load(urllib.request.urlopen(ask))["scores"][0]["label"] == "low"
    head = b"--x\\r\\nContent-Disposition: form-data; name=file; filename=a.wav\\r\\n\\r\\n"
    body = head + sound + b"\\r\\n--x--\\r\\n"
    form = {"Content-Type": "multipart/form-data; boundary=x"}
    ask = urllib.request.Request(f"http://127.0.0.1:{sys.argv[1]}/v1/detect", body, form)
    assert json.load(urllib.request.urlopen(ask))["events"]
    from websockets.sync.client import connect
    with connect(f"ws://127.0.0.1:{sys.argv[1]}/v1/stream") as socket:
        socket.send(json.dumps({"sample_rate": 16000}))
        assert "ready" in json.loads(socket.recv())
finally:
    server.terminate()
    code = server.wait(60)
assert code == 143 or sys.platform == "win32"  # which ends a process without asking it
"""


def work_here(extras: tuple[str, ...]) -> None:
    """Do the work with the auricle of this environment, in the current folder; ends the process if it fails."""
    for code, arguments in ((WORK, extras), *([(SERVE, ("8799",))] if "serve" in extras else [])):
        subprocess.run([sys.executable, "-c", code, *arguments], check=True, timeout=600)  # noqa: S603


def try_versions(wheel: Path, extras: tuple[str, ...], resolution: str) -> tuple[str, str]:
    """Return the versions that were installed, and ``works`` or what went wrong."""
    uv = shutil.which("uv") or "uv"
    with tempfile.TemporaryDirectory(prefix="versions-") as name:
        folder = Path(name)
        python = folder / "environment" / "bin" / "python"
        pip = [uv, "pip", "install", "--quiet", "--python", str(python)]
        chosen = [word for extra in extras for word in ("--extra", extra)]
        steps = [
            [uv, "venv", "--quiet", "--python", sys.executable, str(folder / "environment")],
            [*pip, "--resolution", resolution, "--requirement", str(ROOT / "pyproject.toml"), *chosen],
            [*pip, "--no-deps", str(wheel.resolve())],
            [str(python), "-c", WORK, *extras],
            *([[str(python), "-c", SERVE, "8799"]] if "serve" in extras else []),
        ]
        for step in steps:
            done = subprocess.run(step, cwd=folder, capture_output=True, text=True, check=False, timeout=900)  # noqa: S603
            if done.returncode != 0:
                return "", (done.stderr.strip() or "failed").splitlines()[-1]
        freeze = [uv, "pip", "freeze", "--python", str(python)]
        found = subprocess.run(freeze, capture_output=True, text=True, check=True).stdout.splitlines()  # noqa: S603
        return ", ".join(line for line in found if not line.startswith("auricle")), "works"


def main() -> int:
    """Try all of it; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("wheel", type=Path)
    parser.add_argument("--extras", nargs="*")
    parser.add_argument("--resolutions", nargs="*", default=RESOLUTIONS)
    arguments = parser.parse_args()
    if shutil.which("uv") is None:
        parser.error("uv is not installed; do: pip install uv")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    light = [name for name in project["optional-dependencies"] if name not in HEAVY]
    sets = [(), *((name,) for name in light), tuple(light)]
    if arguments.extras is not None:
        sets = [tuple(arguments.extras)]
    print("| extras | versions | result | installed |\n|---|---|---|---|", flush=True)  # noqa: T201
    wrong = False
    for extras in sets:
        for resolution in arguments.resolutions:
            versions, said = try_versions(arguments.wheel, extras, resolution)
            wrong = wrong or said != "works"
            print(f"| {', '.join(extras) or 'none'} | {resolution} | {said} | {versions} |", flush=True)  # noqa: T201
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
