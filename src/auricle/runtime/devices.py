# SPDX-License-Identifier: Apache-2.0
"""Where a network is computed: by ONNX Runtime's execution providers, as far as the installed build has them."""

from __future__ import annotations

from typing import Any, Literal, get_args

from auricle.errors import UsageError

Device = Literal["auto", "cpu", "cuda", "rocm", "coreml", "openvino", "directml"]
DEVICES: tuple[str, ...] = get_args(Device)
PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "rocm": "ROCMExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
    "directml": "DmlExecutionProvider",
}
#: The package that has it; only one of ONNX Runtime's packages may be installed.
PACKAGES = {"cuda": "onnxruntime-gpu", "rocm": "onnxruntime-rocm", "openvino": "onnxruntime-openvino",
            "directml": "onnxruntime-directml", "coreml": "onnxruntime (on macOS)"}  # fmt: skip
#: Windows that a device other than the processor scores at once, and seconds that are read for them.
BATCH = 32
BLOCK_S = 120.0


def choose_device(wanted: str) -> str:
    """Return the device that is taken: ``auto`` is CUDA where the installed build has it, else the processor.

    Raises:
        UsageError: there is no such device, or the installed build of ONNX Runtime has no provider for it.
    """
    import onnxruntime  # noqa: PLC0415 (0.1 s that `--help` need not wait for)

    if wanted not in DEVICES:
        raise UsageError(f"device {wanted!r} is unknown; known: {', '.join(DEVICES)}")
    available = onnxruntime.get_available_providers()
    if wanted == "auto":
        return "cuda" if PROVIDERS["cuda"] in available else "cpu"
    if PROVIDERS[wanted] not in available:
        has = ", ".join(name for name, provider in PROVIDERS.items() if provider in available)
        raise UsageError(
            f"device {wanted}: the installed ONNX Runtime computes on {has} only; install {PACKAGES[wanted]} in place "
            "of it, or take --device cpu"
        )
    return wanted


def require_device(session: Any, device: str) -> None:
    """Refuse a session that has fallen back to the processor, as it does where a driver or a library is missing.

    Raises:
        UsageError: it computes elsewhere.
    """
    if PROVIDERS[device] not in session.get_providers():
        raise UsageError(
            f"device {device}: ONNX Runtime has it, and it does not start (a driver or library is missing); "
            "run with --debug to see its message, or take --device cpu"
        )
