# SPDX-License-Identifier: Apache-2.0
"""``auricle compress``: a student is cut out of a teacher, distilled on unlabelled audio, and becomes a model folder.

Everything on the way lies in ``OUT/run``: decoded recordings, labelled crops, the checkpoint. Each step of it is a
function of the request, so a run that was stopped continues to the same bits. Runs with several seeds may share the
recordings and crops of one of them.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save as save_tensors
from torch import nn

from auricle.data.manifest import Clip
from auricle.distill.crop_store import PARTS, SHARD_CROPS, CropMaker, CropStore, make_store
from auricle.distill.crops import CropRules
from auricle.distill.loop import LoopPlan, distil
from auricle.distill.networks import StagedTeacher, open_staged_teacher, student_of
from auricle.distill.recordings import RecordingPack, pack_recordings
from auricle.distill.sources import read_pool
from auricle.errors import RunError, UsageError
from auricle.evaluation.tuning.thresholds import fit_thresholds
from auricle.exporting.half import store_as_half
from auricle.files import FolderLock, allow_open_files, read_json, sha256_bytes, write_json
from auricle.nn.modules.mobilenet import MobileNet
from auricle.progress import Progress
from auricle.recipe.requests import CompressRequest
from auricle.recipe.schema import Recipe, load_recipe
from auricle.runtime.bundle import ONNX_FILES, Bundle, write_bundle
from auricle.runtime.spec import BundleSpec, FramesPart, FrontendPart, ModelPart, PostprocessPart, ProvenancePart
from auricle.training.bundling import export_checked, golden, library_versions

PLAN, RUN, CHECKPOINT = "plan.json", "run", "checkpoint.safetensors"
#: In a plan: the folder whose crops a run took. A run may continue after that was moved.
CROPS_OF = "crops_of"
#: One in so many recordings is kept from training; thresholds are fitted on crops of these.
DEV_ONE_IN = 16
#: Crops of those, for each shard of training crops.
DEV_SHARE = 0.06
#: A class is there for the fit of thresholds where the teacher gives it so much.
PRESENT = 0.3
#: Crops with a class before its own threshold counts as much as that of all classes together.
SHRINKAGE = 10
#: Windows stand side by side; margins are whole steps of the deep map, 2.56 s: half of what squeeze-and-excitation
#: averages over (``nn.modules.mobilenet``).
STRETCH_STEPS, MARGIN_STEPS, DEEP_STRIDE = 16, 4, 32
#: Steps between two checkpoints.
CHECKPOINT_STEPS = 100
#: From frame scores to events.
POSTPROCESS = PostprocessPart(median_s=0.24, off_ratio=0.5, max_gap_s=0.24)
#: Length of the stored input: hundreds of classes a frame make a long one large.
GOLDEN_S = 1.28
#: Sections of a recipe that are looked at here.
SECTIONS = ("model", "frontend")


@dataclass(frozen=True)
class CompressResult:
    """What became of a teacher.

    Attributes:
        path: the model folder.
        labels: number of classes.
        parameters: of the student.
        recordings: that were labelled.
        failures: name and reason of each recording that could not be read.
    """

    path: str
    labels: int
    parameters: int
    recordings: int
    failures: dict[str, str]

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object of ``auricle compress``."""
        failures = [{"path": key, "error": reason} for key, reason in self.failures.items()]
        return {
            "path": self.path,
            "labels": self.labels,
            "parameters": self.parameters,
            "recordings": self.recordings,
            "failures": failures,
        }


def run_compression(request: CompressRequest, progress: Progress) -> CompressResult:
    """Make a student, or resume it.

    Raises:
        UsageError: and its kinds: no such teacher, wrong options, no audio, a folder of something else.
    """
    teacher = open_staged_teacher(request.teacher)
    source = _source(request, teacher)
    recipe = student_recipe(source, tuple(request.overrides))
    torch.manual_seed(request.seed)
    student = student_of(source, recipe)
    others = _averaged(request, student)
    absent: dict[str, str] = {}
    clips = _clips(request, absent)
    folder = Path(request.out)
    plan = _plan(request, recipe, (teacher, source, *others), clips)
    maker = folder if request.crops_of is None else Path(request.crops_of)
    if request.crops_of is not None:
        plan |= {"crops_seed": _seed_of_crops(maker, plan), CROPS_OF: str(maker.resolve())}
    folder.mkdir(parents=True, exist_ok=True)
    with FolderLock(folder):
        _acquire_output(request, plan)
        run = maker / RUN
        if absent:
            progress.notice(f"{len(absent)} of {len(clips) + len(absent)} listed recordings are not there")
        shards = max(1, round(request.crops / SHARD_CROPS))
        dev_shards = max(1, round(shards * DEV_SHARE))
        rules = CropRules(seed=plan.get("crops_seed", request.seed))
        with FolderLock(run):  # a lock of its own: once the crops are made, other runs may take them
            progress.preparing(len(clips))
            pack = pack_recordings(run / "recordings", clips, teacher.sample_rate, progress.file_prepared)
            train, dev = split_recordings(pack)
            _make(run / "crops", CropMaker(teacher, student, rules, pack, train), shards, progress)
            _make(run / "dev", CropMaker(teacher, student, rules, pack, dev), dev_shards, progress)
            allow_open_files((shards + dev_shards) * len(PARTS) + 512)  # a map holds its file open
            store, dev_store = CropStore(run / "crops", shards), CropStore(run / "dev", dev_shards)
        student = _distil(request, student, teacher, source, store, progress)
        average(student, [other.network for other in others])
        student.eval()
        thresholds = tune_thresholds(student, dev_store, teacher.labels)
        used = [pack.recordings[number] for number in (*train, *dev)]
        provenance = ProvenancePart(
            data_hash=sha256_bytes("\n".join(sorted(r.sha256 for r in used)).encode()),
            data_form="unlabelled",
            data_name=", ".join(Path(path).name for path in (request.audio, *request.pools)),
            recipe=recipe.model_dump(mode="json"),
            seeds=(request.seed,),
            versions=library_versions(),
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            parameters=sum(p.numel() for p in student.parameters()),
            teacher=teacher.name,
            initial_weights=None if request.start is None else source.identity,
        )
        write_student(folder, student, recipe, teacher, thresholds, provenance, half=request.half)
    return CompressResult(str(folder), len(teacher.labels), provenance.parameters, len(pack), absent | pack.failures)


def _source(request: CompressRequest, teacher: StagedTeacher) -> StagedTeacher:
    """Return whose weights the student begins with: a student of before, or its teacher."""
    if request.start is None:
        return teacher
    source = open_staged_teacher(str(request.start))
    if source.labels != teacher.labels:
        raise UsageError(f"--start {request.start} has other classes than its teacher {request.teacher}")
    return source


def _averaged(request: CompressRequest, student: MobileNet) -> list[StagedTeacher]:
    """Return the models whose weights the student's are averaged with."""
    shapes = {name: value.shape for name, value in student.state_dict().items()}
    found = [open_staged_teacher(name) for name in request.average]
    for name, other in zip(request.average, found, strict=True):
        if {key: value.shape for key, value in other.network.state_dict().items()} != shapes:
            raise UsageError(f"--average {name} has other layers than this student, so there is no mean of both")
    return found


def average(student: MobileNet, others: Sequence[nn.Module]) -> None:
    """Give a student the mean of its weights, and of what its norms keep, with those of others from the same start.

    Runs from one start end in one basin, and their mean is better than each ("Model soups", Wortsman et al. 2022).
    """
    own, more = student.state_dict(), [other.state_dict() for other in others]
    for name, value in own.items():
        if value.is_floating_point():
            own[name] = torch.stack([value, *(weights[name] for weights in more)]).mean(0)
    student.load_state_dict(own)


def student_recipe(teacher: StagedTeacher, overrides: Sequence[str]) -> Recipe:
    """Return the recipe of a student; raises ``UsageError`` for keys that are not looked at here."""
    like: dict[str, Any] = {"name": "mobilenet", "width": teacher.network.width, "hidden": teacher.head[0].out_features}
    if isinstance(teacher.network, MobileNet):
        like["residuals"] = list(teacher.network.residuals)
    recipe = load_recipe(None, overrides, {"model": like})
    other = [text for text in overrides if text.split(".")[0] not in SECTIONS]
    if other:
        raise UsageError(
            f"--set {other[0]}: compress looks at {' and '.join(f'{s}.*' for s in SECTIONS)}; steps, crops and seed "
            "have options of their own"
        )
    return recipe


def split_recordings(pack: RecordingPack) -> tuple[list[int], list[int]]:
    """Return the recordings that are learnt from and those that thresholds are fitted on, chosen by their content."""
    dev = [n for n, r in enumerate(pack.recordings) if int(r.sha256[:8], 16) % DEV_ONE_IN == 0]
    train = [n for n in range(len(pack)) if n not in set(dev)]
    return (train, dev) if train and dev else (list(range(len(pack))), list(range(len(pack))))


def tune_thresholds(student: MobileNet, store: CropStore, labels: Sequence[str]) -> dict[str, float]:
    """Return a threshold of frame scores for each class, by the teacher's scores of crops that nothing learnt from.

    Few crops hold a rare class, so its threshold is drawn towards the one that is best for all together.
    """
    peaks, wanted = [], []
    for batch in store.batches(32):
        with torch.inference_mode():
            frames = student.classify(batch.features).frame_logits
        if frames is None:
            raise ValueError("a student without frame scores has no thresholds")
        peaks.append(torch.sigmoid(frames.amax(1)).numpy())
        wanted.append(torch.sigmoid(batch.logits).numpy() >= PRESENT)
    scores, targets = np.concatenate(peaks), np.concatenate(wanted)
    together = fit_thresholds(scores.reshape(-1, 1), targets.reshape(-1, 1))[0]
    own, counts = np.array(fit_thresholds(scores, targets)), targets.sum(0)
    own = np.where(counts > 0, own, together)
    values = (counts * own + SHRINKAGE * together) / (counts + SHRINKAGE)
    return {label: round(float(value), 4) for label, value in zip(labels, values, strict=True)}


def write_student(
    folder: Path,
    student: MobileNet,
    recipe: Recipe,
    teacher: StagedTeacher,
    thresholds: dict[str, float],
    provenance: ProvenancePart,
    *,
    half: bool,
) -> Bundle:
    """Write the model folder of a student."""
    spec = student_spec(folder.resolve().name, student, recipe, teacher, thresholds, provenance)
    content = export_checked(student, spec)
    weights = {k: v.contiguous() for k, v in student.state_dict().items()}
    if half:
        content = store_as_half(content)
        weights = {k: v.half() if v.is_floating_point() else v for k, v in weights.items()}
    files: dict[str, Any] = {
        ONNX_FILES["float32"]: content,
        "model.safetensors": save_tensors(weights),
        "golden.npz": golden(content, spec, seconds=GOLDEN_S),
        "README.md": student_card(spec).encode(),
    }
    return write_bundle(folder, spec, files)


def student_spec(
    name: str,
    student: MobileNet,
    recipe: Recipe,
    teacher: StagedTeacher,
    thresholds: dict[str, float],
    provenance: ProvenancePart,
) -> BundleSpec:
    """Return everything that ``auricle.json`` says."""
    grid, rate = student.grid, student.spec.sample_rate
    step_s = DEEP_STRIDE * student.spec.hop_samples / rate
    known = recipe.model.model_dump(mode="json")
    return BundleSpec(
        name=name,
        task="multi",
        labels=teacher.labels,
        label_ids=teacher.label_ids,
        model=ModelPart(**{key: value for key, value in known.items() if key in ModelPart.model_fields}),
        frontend=FrontendPart(**recipe.frontend.model_dump()),
        sample_rate=rate,
        window_s=(STRETCH_STEPS + 2 * MARGIN_STEPS) * step_s,
        hop_s=STRETCH_STEPS * step_s,
        margin_s=MARGIN_STEPS * step_s,
        aggregate="max",
        min_samples=student.min_samples,
        frames=FramesPart(
            hop_samples=grid.hop_samples,
            first_centre_samples=grid.first_centre_samples,
            receptive_samples=grid.receptive_samples,
        ),
        postprocess=POSTPROCESS,
        thresholds=thresholds,
        provenance=provenance,
    )


def student_card(spec: BundleSpec) -> str:
    """Return the model card in Markdown."""
    provenance = spec.provenance
    shown = ", ".join(spec.labels[:20]) + (f" and {len(spec.labels) - 20} more" if len(spec.labels) > 20 else "")
    return (
        f"# {spec.name}\n\n"
        f"A student of `{provenance.teacher}`, made by `auricle compress` {provenance.versions.get('auricle', '')}: "
        f"network `{spec.model.name}`, {provenance.parameters:,} parameters, {spec.sample_rate} Hz, scores every "
        f"{0 if spec.frames is None else 1000 * spec.frames.hop_samples / spec.sample_rate:g} ms.\n\n"
        f"Classes ({spec.task}): {shown}.\n\n"
        "## Data\n\n"
        f"It was distilled on `{provenance.data_name}` without labels (hash `{provenance.data_hash[:16]}`), seed "
        f"{', '.join(map(str, provenance.seeds))}, and learnt what its teacher says of mixtures of it.\n\n"
        f"Licence of the data: {provenance.license or 'not stated'}. {provenance.attribution}".rstrip()
        + "\n\n## Limits\n\nIt knows what its teacher knows of sounds like those of its data, and less elsewhere. "
        "Thresholds were fitted on the teacher's scores, not on labels of people.\n"
    )


def _loop_plan(request: CompressRequest) -> LoopPlan:
    return LoopPlan(steps=request.steps, seed=request.seed, checkpoint=CHECKPOINT_STEPS)


def _distil(
    request: CompressRequest,
    student: MobileNet,
    teacher: StagedTeacher,
    source: StagedTeacher,
    store: CropStore,
    progress: Progress,
) -> MobileNet:
    plan = _loop_plan(request)
    same = request.start is not None and source.network.state_dict().keys() == student.state_dict().keys()
    head = teacher.head.eval().requires_grad_(False)
    progress.training_starts(plan.steps, 0, 0.0)
    return distil(
        student,
        head,
        store,
        plan,
        Path(request.out) / RUN / CHECKPOINT,
        lambda step, parts: progress.step_done(step, parts["loss"]),
        new_frames=not isinstance(source.network, MobileNet),
        new_norms=not same,  # those of the same network are of more batches
    )


def _make(folder: Path, maker: CropMaker, shards: int, progress: Progress) -> None:
    progress.notice(f"{folder.name}: {shards * SHARD_CROPS} crops")
    progress.preparing(shards)
    make_store(folder, maker, shards, lambda number: progress.file_prepared())


def _clips(request: CompressRequest, absent: dict[str, str]) -> list[Clip]:
    found = list(read_pool(Path(request.audio), tuple(request.leave_out), absent))
    for path in request.pools:
        found += read_pool(Path(path), (), absent)
    return found


def _plan(
    request: CompressRequest, recipe: Recipe, models: Sequence[StagedTeacher], clips: Sequence[Clip]
) -> dict[str, Any]:
    """Return what must be the same when a run continues; ``models`` are the teacher, the start and those averaged."""
    listed = "\n".join(f"{clip.key} {clip.size_bytes}" for clip in clips)
    return {
        "teacher": models[0].identity,
        "start": models[1].identity,
        "average": [other.identity for other in models[2:]],
        "recipe": {name: getattr(recipe, name).model_dump(mode="json") for name in SECTIONS},
        "crops": request.crops,
        "seed": request.seed,
        "audio": sha256_bytes(listed.encode("utf-8", "surrogateescape")),
    }


def _seed_of_crops(folder: Path, plan: dict[str, Any]) -> int:
    """Return the seed of another run's crops, which are crops for ``plan`` too, or say why they are not."""
    path = folder / RUN / PLAN
    if not path.is_file():
        raise UsageError(f"--crops-of {folder} holds no run of compress; name the folder of --out of one")
    stored = read_json(path)
    if "crops_seed" in stored:
        raise UsageError(
            f"--crops-of {folder} has no crops of its own, it took those of {stored.get(CROPS_OF, 'another run')}; "
            "name that folder"
        )
    changed = [key for key in ("teacher", "crops", "audio") if stored[key] != plan[key]]
    if stored["recipe"]["frontend"] != plan["recipe"]["frontend"]:
        changed.append("frontend")
    if changed:
        raise UsageError(
            f"--crops-of {folder} was run with another {', '.join(changed)}; its crops are not for this run"
        )
    return int(stored["seed"])


def _acquire_output(request: CompressRequest, plan: dict[str, Any]) -> None:
    """Take the output folder, or say why not."""
    folder = Path(request.out)
    path = folder / RUN / PLAN
    others = [p for p in folder.iterdir() if p.name != "lock"]
    if request.resume and request.overwrite:
        raise RunError("--resume resumes a run and --overwrite throws it away: give one of them")
    if others and not path.is_file():
        raise RunError(f"{folder} is not empty and holds no run of compress; choose another folder")
    if others and request.overwrite:
        with FolderLock(folder / RUN):  # not while another run makes its crops there
            for found in others:
                shutil.rmtree(found) if found.is_dir() and not found.is_symlink() else found.unlink()
    elif others and not request.resume:
        raise RunError(f"{folder} is not empty; --resume resumes it, --overwrite replaces it")
    if path.is_file():
        stored = read_json(path)
        changed = sorted(key for key in {*plan, *stored} - {CROPS_OF} if plan.get(key) != stored.get(key))
        if changed:
            raise RunError(
                f"{folder} cannot continue: it was started with another {', '.join(changed)}; give the same command, "
                "or start anew with --overwrite or in another folder"
            )
    else:
        (folder / RUN).mkdir(exist_ok=True)
        write_json(path, plan)
