"""Certificates: each speaks of one bundle, one machine, one set of libraries, and no other."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pcedge.bundles.bundle import Bundle
from pcedge.bundles.manifest import MANIFEST_FILE
from pcedge.core.machine import describe_machine, library_versions
from pcedge.errors import BundleError
from pcedge.inspection.verification import certificate as module
from pcedge.inspection.verification.certificate import (
    SCHEME,
    Certificate,
    certificate_path,
    certify,
    valid_certificate,
    write_certificate,
)
from pcedge.inspection.verification.parity import STAGES, Parity, StageError


@pytest.fixture
def bundle(tmp_path: Path, make_bundle: Callable[..., Bundle], monkeypatch: pytest.MonkeyPatch) -> Bundle:
    monkeypatch.setenv("PCEDGE_STATE", str(tmp_path / "state"))
    return make_bundle(tmp_path / "part")


def _parity() -> Parity:
    stages = tuple(StageError(stage=stage, largest=0.0, mean=0.0, scale=1.0) for stage in STAGES)
    return Parity(runtime="onnxruntime (CPU)", stages=stages, rows_changed=0, flips=0, frames=4)


def _certified(bundle: Bundle, device: str = "cpu") -> Certificate:
    return certify(bundle, "onnx", device, _parity(), 12.5)


def _with_threshold(bundle: Bundle, score: float) -> Bundle:
    threshold = msgspec.structs.replace(bundle.manifest.threshold, score=score)
    return Bundle(bundle.directory, msgspec.structs.replace(bundle.manifest, threshold=threshold))


def test_a_certificate_is_valid_here_for_the_bundle_as_it_is_read_again(bundle: Bundle) -> None:
    certificate = _certified(bundle)
    write_certificate(bundle, certificate)

    assert valid_certificate(Bundle.open(bundle.directory), "onnx", "cpu") == certificate
    assert valid_certificate(bundle, "onnx", "cuda") is None
    assert valid_certificate(bundle, "torch", "cpu") is None


def test_runtimes_have_certificates_of_their_own_and_the_newest_counts(bundle: Bundle) -> None:
    newest = msgspec.structs.replace(_certified(bundle), frame_ms=1.0)
    for certificate in (_certified(bundle), _certified(bundle, "cuda"), newest):
        write_certificate(bundle, certificate)

    assert valid_certificate(bundle, "onnx", "cpu") == newest
    assert valid_certificate(bundle, "onnx", "cuda") is not None


def test_a_manifest_replaced_after_opening_is_not_vouched_for(bundle: Bundle) -> None:
    """What was measured is the manifest in memory; the file says something else by now."""
    (bundle.directory / MANIFEST_FILE).write_bytes(_with_threshold(bundle, 99.0).manifest.to_json())
    write_certificate(bundle, _certified(bundle))

    assert valid_certificate(Bundle.open(bundle.directory), "onnx", "cpu") is None
    assert valid_certificate(bundle, "onnx", "cpu") is not None


def test_another_manifest_in_memory_is_not_vouched_for_by_the_file(bundle: Bundle) -> None:
    write_certificate(bundle, _certified(bundle))

    assert valid_certificate(_with_threshold(bundle, 99.0), "onnx", "cpu") is None


@pytest.mark.parametrize(
    "changes",
    [
        {"scheme": SCHEME + 1},
        {"scheme": SCHEME - 1},
        {"versions": {}},
        {"versions": library_versions() | {"numpy": "0.9"}},
        {"versions": library_versions() | {"tensorrt": "1.0"}},
        {"machine": msgspec.structs.replace(describe_machine(), processor="another")},
        {"machine": msgspec.structs.replace(describe_machine(), cores=1000)},
        {"power_mode": "another"},
        {"manifest_sha256": "0" * 64},
    ],
)
def test_what_has_changed_since_makes_a_certificate_stale(bundle: Bundle, changes: dict[str, Any]) -> None:
    write_certificate(bundle, msgspec.structs.replace(_certified(bundle), **changes))

    assert valid_certificate(bundle, "onnx", "cpu") is None


def test_an_updated_library_or_another_power_mode_makes_a_certificate_stale(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_certificate(bundle, _certified(bundle))

    with monkeypatch.context() as patched:
        patched.setattr(module, "library_versions", lambda _: {"python": "4.0"})
        assert valid_certificate(bundle, "onnx", "cpu") is None
    with monkeypatch.context() as patched:
        patched.setattr(module, "power_mode", lambda: "MAXN")
        assert valid_certificate(bundle, "onnx", "cpu") is None
    assert valid_certificate(bundle, "onnx", "cpu") is not None


def test_a_certificate_is_not_part_of_the_bundle_and_none_in_it_counts(bundle: Bundle) -> None:
    before = {path.name for path in bundle.directory.rglob("*")}
    path = write_certificate(bundle, _certified(bundle))
    assert {path.name for path in bundle.directory.rglob("*")} == before
    assert path == certificate_path(bundle)

    (bundle.directory / "certificate.json").write_bytes(path.read_bytes())
    path.unlink()

    assert valid_certificate(bundle, "onnx", "cpu") is None


def test_a_certificate_that_was_changed_or_sealed_by_another_machine_proves_nothing(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = write_certificate(bundle, _certified(bundle)).read_bytes()
    path = certificate_path(bundle)

    path.write_bytes(honest.replace(b"12.5", b"12.4"))
    assert valid_certificate(bundle, "onnx", "cpu") is None
    path.write_bytes(honest)
    assert valid_certificate(bundle, "onnx", "cpu") is not None

    monkeypatch.setenv("PCEDGE_STATE", str(tmp_path / "other machine"))
    write_certificate(bundle, _certified(bundle))
    certificate_path(bundle).write_bytes(honest)
    assert valid_certificate(bundle, "onnx", "cpu") is None


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b'{"certificates": 3}', b'{"code": "", "certificates": []}', b"\xff\xfe", b"[" * 10**5],
)
def test_what_is_no_certificate_proves_nothing_and_is_replaced(bundle: Bundle, content: bytes) -> None:
    path = write_certificate(bundle, _certified(bundle))
    path.write_bytes(content)
    assert valid_certificate(bundle, "onnx", "cpu") is None

    write_certificate(bundle, _certified(bundle))

    assert valid_certificate(bundle, "onnx", "cpu") is not None


def test_only_this_user_can_read_the_key(bundle: Bundle, tmp_path: Path) -> None:
    write_certificate(bundle, _certified(bundle))

    assert (tmp_path / "state" / "machine.key").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o700


def test_certificates_do_not_pile_up(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_FILES", 3)
    for score in range(6):
        last = _with_threshold(bundle, float(score))
        write_certificate(last, _certified(last))

    assert len(list(certificate_path(bundle).parent.iterdir())) == 3
    assert valid_certificate(last, "onnx", "cpu") is not None


def test_what_was_not_timed_can_be_read_again(bundle: Bundle) -> None:
    certificate = msgspec.structs.replace(_certified(bundle), frame_ms=None)
    write_certificate(bundle, certificate)

    assert valid_certificate(bundle, "onnx", "cpu") == certificate


def test_a_certificate_that_cannot_be_written_is_an_error_with_the_path(bundle: Bundle) -> None:
    certificate_path(bundle).mkdir(parents=True)

    with pytest.raises(BundleError, match=r"cannot be written") as caught:
        write_certificate(bundle, _certified(bundle))
    assert str(certificate_path(bundle)) in caught.value.what
    assert "PCEDGE_STATE" in caught.value.hint


def test_a_proof_for_another_precision_says_nothing_of_this_network(bundle: Bundle) -> None:
    stages = tuple(msgspec.structs.replace(stage, precision="int8") for stage in _parity().stages)
    parity = msgspec.structs.replace(_parity(), stages=stages, precision="int8")
    assert parity.holds

    write_certificate(bundle, certify(bundle, "onnx", "cpu", parity, 12.5))

    assert valid_certificate(bundle, "onnx", "cpu") is None
