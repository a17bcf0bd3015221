"""PyTorch: used only when requested, since an edge device does not have it."""

from pathlib import Path

from pcedge.bundles.bundle import BACKBONE_FILE, Bundle
from pcedge.core.extras import require_torch
from pcedge.export import TorchRuntime, torch_device

from .kind import BundleRuntime


def _open(bundle: Bundle, device: str) -> TorchRuntime:
    require_torch("The torch runtime")
    from pcedge.networks.embedder import restore_embedder

    return TorchRuntime(restore_embedder(bundle.manifest, bundle.file(BACKBONE_FILE)), device)


def _file(bundle: Bundle) -> Path:
    return bundle.file(BACKBONE_FILE)


def _devices(_bundle: Bundle, device: str, _others: bool) -> list[str]:
    return [torch_device() if device == "auto" else device]


KIND = BundleRuntime("torch", _open, _file, _devices, offered=lambda _bundle, _device: False)
