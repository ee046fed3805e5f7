# SPDX-License-Identifier: Apache-2.0
"""``Detector.tag`` on a clip of 10 s on one thread, front end included, beside the AST teacher with its own.

The default CRNN is untrained, and AST has the published base configuration (86.6 M weights) with random weights: speed
does not depend on them.

    python -m benchmarks.tag [--model MODEL] [--quick]
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from auricle import api
from benchmarks.machine import describe, one_thread, version
from benchmarks.models import arguments, chosen_model, untrained
from benchmarks.timing import Candidate, take_turns

SECONDS, RATE = 10, 16_000
AURICLE, CRNN, AST = "auricle tag", "auricle tag, default CRNN", "AST (transformers)"


def ast_tagger() -> tuple[Callable[[np.ndarray], np.ndarray], int]:
    """Return a function from samples to scores, feature extractor included, and the number of weights."""
    import torch
    from transformers import ASTConfig, ASTFeatureExtractor, ASTForAudioClassification

    torch.set_num_threads(1)
    extractor, model = ASTFeatureExtractor(), ASTForAudioClassification(ASTConfig(num_labels=527)).eval()

    def tag(samples: np.ndarray) -> np.ndarray:
        inputs = extractor(samples, sampling_rate=RATE, return_tensors="pt")
        with torch.inference_mode():
            return torch.sigmoid(model(**inputs).logits).numpy()

    return tag, sum(p.numel() for p in model.parameters())


def main() -> None:
    one_thread("benchmarks.tag")
    options = arguments(__doc__)
    samples = np.random.default_rng(0).normal(0, 0.1, SECONDS * RATE).astype(np.float32)
    with chosen_model(options.model) as name, TemporaryDirectory() as folder:
        detector, crnn = api.load(name), api.load(untrained(Path(folder)))
        candidates = {
            AURICLE: Candidate(lambda: detector.tag(samples, RATE), 20),
            CRNN: Candidate(lambda: crnn.tag(samples, RATE), 20),
        }
        weights = {AURICLE: detector.spec.provenance.parameters, CRNN: crnn.spec.provenance.parameters}
        if version("transformers") is not None:
            tag, weights[AST] = ast_tagger()
            candidates[AST] = Candidate(lambda: tag(samples))
        timings = take_turns(candidates, rounds=1 if options.quick else 12)
    result = {
        "model": detector.spec.name,
        "window_s": detector.spec.window_s,
        "hop_s": detector.spec.hop_s,
        "seconds_of_audio": SECONDS,
        "weights": weights,
        "timings": {name: timing.to_dict() for name, timing in timings.items()},
        "machine": describe(),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
