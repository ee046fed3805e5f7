# SPDX-License-Identifier: Apache-2.0
"""Which modules each extra of ``pip install "auricle[...]"`` brings: for hints and for ``doctor``."""

EXTRAS: dict[str, tuple[str, ...]] = {
    "train": ("torch", "lightning_fabric", "safetensors", "onnx", "sklearn", "tensorboard", "optuna"),
    "hub": ("huggingface_hub",),
    "teachers": ("transformers", "huggingface_hub"),
    "reports": ("jinja2",),
    "codecs": ("av",),
    "scale": ("ray",),
    "serve": ("fastapi", "starlette", "uvicorn", "h11", "websockets", "python_multipart", "prometheus_client"),
    "mic": ("sounddevice",),
    "pandas": ("pandas",),
    "arrow": ("pyarrow",),
    "plot": ("matplotlib",),
    "wandb": ("wandb",),
    "mlflow": ("mlflow",),
    "trackio": ("trackio",),
}
