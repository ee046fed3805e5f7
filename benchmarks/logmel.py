# SPDX-License-Identifier: Apache-2.0
"""Log-mel of 10 s of 16 kHz audio on one thread: both forms of auricle beside librosa and kaldi-native-fbank.

All have the same settings: 64 bands, 25 ms windows, 10 ms hop, 30 to 8000 Hz. Kaldi has a bank and a scale of its own,
so that only its number of frames is compared.

    python -m benchmarks.logmel [--quick]
"""

from __future__ import annotations

import io
import json
import warnings

import kaldi_native_fbank
import librosa
import numpy as np
import onnxruntime
import torch

from auricle.nn.frontends.logmel import LOG_FLOOR, GraphLogMel, LogMel, LogMelSpec
from benchmarks.machine import describe, one_thread
from benchmarks.models import arguments
from benchmarks.timing import Candidate, take_turns

SECONDS = 10
SPEC = LogMelSpec()


def graph_session() -> onnxruntime.InferenceSession:
    """Return the graph form alone, as it is inside every exported model."""
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            GraphLogMel(SPEC).eval(),
            (torch.zeros(1, SPEC.sample_rate),),
            buffer,
            input_names=["waveform"],
            output_names=["logmel"],
            dynamic_axes={"waveform": {0: "batch", 1: "sample"}},
            opset_version=17,
            do_constant_folding=False,
            dynamo=False,
        )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(buffer.getvalue(), options, providers=["CPUExecutionProvider"])


def librosa_logmel(samples: np.ndarray) -> np.ndarray:
    """Return the same features by librosa, shape ``(mel, frame)``."""
    mel = librosa.feature.melspectrogram(
        y=np.pad(samples, SPEC.padding()),
        sr=SPEC.sample_rate,
        n_fft=SPEC.n_fft,
        hop_length=SPEC.hop_samples,
        center=False,
        power=2.0,
        n_mels=SPEC.n_mels,
        fmin=SPEC.f_min,
        fmax=SPEC.sample_rate / 2,
    )
    return np.log(mel + LOG_FLOOR)


def kaldi_logmel(samples: np.ndarray) -> np.ndarray:
    """Return Kaldi's filter banks, shape ``(frame, mel)``."""
    options = kaldi_native_fbank.FbankOptions()
    options.frame_opts.samp_freq = SPEC.sample_rate
    options.frame_opts.window_type = "hanning"
    options.frame_opts.dither = 0
    options.frame_opts.snip_edges = False
    options.mel_opts.num_bins = SPEC.n_mels
    options.mel_opts.low_freq = SPEC.f_min
    fbank = kaldi_native_fbank.OnlineFbank(options)
    fbank.accept_waveform(SPEC.sample_rate, samples)
    fbank.input_finished()
    return np.stack([fbank.get_frame(i) for i in range(fbank.num_frames_ready)])


def main() -> None:
    one_thread("benchmarks.logmel")
    options = arguments(__doc__)
    torch.set_num_threads(1)
    samples = np.random.default_rng(0).normal(0, 0.1, SECONDS * SPEC.sample_rate).astype(np.float32)
    tensor, module, session = torch.from_numpy(samples)[None], LogMel(SPEC), graph_session()

    def by_torch() -> np.ndarray:
        with torch.inference_mode():
            return module(tensor)[0].numpy()

    def by_graph() -> np.ndarray:
        return session.run(None, {"waveform": samples[None]})[0][0]

    timings = take_turns(
        {
            "training form (torch)": Candidate(by_torch, 5),
            "graph form (ONNX Runtime)": Candidate(by_graph, 5),
            "librosa": Candidate(lambda: librosa_logmel(samples), 2),
            "kaldi-native-fbank": Candidate(lambda: kaldi_logmel(samples), 2),
        },
        rounds=3 if options.quick else 60,
        warm_up=2,
    )
    reference = librosa_logmel(samples)
    differences = {"training form (torch)": by_torch(), "graph form (ONNX Runtime)": by_graph()}
    result = {
        "seconds_of_audio": SECONDS,
        "timings": {name: timing.to_dict() for name, timing in timings.items()},
        "largest_difference_from_librosa": {
            name: float(f"{np.abs(found - reference).max():.3g}") for name, found in differences.items()
        },
        "frames": {"auricle": reference.shape[1], "kaldi-native-fbank": len(kaldi_logmel(samples))},
        "machine": describe(),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
