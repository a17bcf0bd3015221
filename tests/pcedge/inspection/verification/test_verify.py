"""Choosing a runtime: the fastest that is proved, past what differs and what cannot be used."""

import json
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner

from pcedge.bundles.bundle import Bundle
from pcedge.bundles.manifest import FileInfo
from pcedge.cli import app
from pcedge.errors import (
    BundleError,
    ExportError,
    MissingExtraError,
    OptionError,
    PcedgeError,
    RuntimeUnavailableError,
)
from pcedge.export import Runtime
from pcedge.inspection import runtimes
from pcedge.inspection.runtime_kinds import onnx_kind, tensorrt_kind
from pcedge.inspection.runtimes import Candidate, candidates, open_runtime
from pcedge.inspection.verification import verify as verifying
from pcedge.inspection.verification.certificate import (
    Certificate,
    certificate_path,
    certify,
    valid_certificate,
    write_certificate,
)
from pcedge.inspection.verification.parity import STAGES, Parity, StageError
from pcedge.inspection.verification.verify import choose_runtime, first_that_opens

ENGINE, GPU, CPU = Candidate("tensorrt", "cuda"), Candidate("onnx", "cuda"), Candidate("onnx", "cpu")
Outcome = float | None | PcedgeError
Measures = Callable[[dict[Candidate, Outcome]], list[Candidate]]


@pytest.fixture
def bundle(tmp_path: Path, make_bundle: Callable[..., Bundle], monkeypatch: pytest.MonkeyPatch) -> Bundle:
    monkeypatch.setenv("PCEDGE_STATE", str(tmp_path / "state"))
    return make_bundle(tmp_path / "part")


def _certificate(bundle: Bundle, candidate: Candidate, frame_ms: float | None) -> Certificate:
    """A proof with a time, or without one that the runtime differs."""
    error = 0.0 if frame_ms is not None else 0.5
    stages = tuple(StageError(stage=stage, largest=error, mean=error, scale=1.0) for stage in STAGES)
    name = f"{candidate.runtime} ({candidate.device})"
    parity = Parity(runtime=name, stages=stages, rows_changed=0, flips=0, frames=4)
    return certify(bundle, candidate.runtime, candidate.device, parity, frame_ms)


@pytest.fixture
def measures(monkeypatch: pytest.MonkeyPatch) -> Measures:
    """State what there is to choose from, and what measuring each gives; returns what was measured."""

    def state(outcomes: dict[Candidate, Outcome]) -> list[Candidate]:
        measured: list[Candidate] = []

        def verify(bundle: Bundle, candidate: Candidate) -> Certificate:
            measured.append(candidate)
            outcome = outcomes[candidate]
            if isinstance(outcome, PcedgeError):
                raise outcome
            return _certificate(bundle, candidate, outcome)

        monkeypatch.setattr(verifying, "candidates", lambda *_: list(outcomes))
        monkeypatch.setattr(verifying, "verify", verify)
        monkeypatch.setattr(verifying, "runtime_file", lambda *_: None)
        return measured

    return state


def test_the_fastest_wins_wherever_it_stands(bundle: Bundle, measures: Measures) -> None:
    measures({ENGINE: 30.0, GPU: 10.0, CPU: 20.0})

    choice = choose_runtime(bundle)

    assert choice.candidate == GPU
    assert choice.reason == (
        "verified, 10.0 ms a frame; tensorrt (cuda) takes 30.0 ms; onnx (cpu) takes 20.0 ms"
    )


def test_one_that_differs_is_left_out_however_fast(bundle: Bundle, measures: Measures) -> None:
    measures({GPU: None, CPU: 20.0})

    choice = choose_runtime(bundle)

    assert choice.candidate == CPU
    assert "onnx (cuda) differs from the reference" in choice.reason


@pytest.mark.parametrize(
    "error",
    [
        RuntimeUnavailableError("no GPU."),
        ExportError("the engine is damaged."),
        BundleError("the engine was changed."),
        MissingExtraError("polygraphy", "trt", "An engine"),
    ],
)
def test_one_that_cannot_be_used_is_skipped_with_its_reason(
    bundle: Bundle, measures: Measures, error: PcedgeError
) -> None:
    measures({ENGINE: error, CPU: 20.0})

    choice = choose_runtime(bundle)

    assert choice.candidate == CPU
    assert choice.reason == (
        f"verified, 20.0 ms a frame; tensorrt on cuda cannot be used: {error.what.rstrip('.')}"
    )


def test_if_none_can_be_used_the_first_error_says_why(bundle: Bundle, measures: Measures) -> None:
    measures({ENGINE: ExportError("the engine is damaged"), CPU: RuntimeUnavailableError("no CPU")})

    with pytest.raises(ExportError, match="the engine is damaged"):
        choose_runtime(bundle)


def test_if_all_that_can_be_used_differ_nothing_is_chosen(bundle: Bundle, measures: Measures) -> None:
    measures({ENGINE: RuntimeUnavailableError("no GPU."), CPU: None})

    with pytest.raises(ExportError, match=r"the preprocessing differs by .* cannot be used: no GPU"):
        choose_runtime(bundle)


def test_what_is_proved_is_kept_and_not_measured_again(bundle: Bundle, measures: Measures) -> None:
    measured = measures({GPU: 10.0, CPU: 20.0})

    first, second = choose_runtime(bundle), choose_runtime(bundle)

    assert measured == [GPU, CPU]
    assert first == second


def test_what_differed_is_measured_again(bundle: Bundle, measures: Measures) -> None:
    write_certificate(bundle, _certificate(bundle, CPU, None))
    measured = measures({CPU: 20.0})

    assert choose_runtime(bundle).candidate == CPU
    assert measured == [CPU]


def test_a_damaged_engine_does_not_stop_a_proved_onnx_file(
    bundle: Bundle, measures: Measures, monkeypatch: pytest.MonkeyPatch
) -> None:
    measures({ENGINE: 5.0, CPU: 20.0})
    assert choose_runtime(bundle).candidate == ENGINE

    def damaged(_: Bundle, runtime: str) -> None:
        if runtime == "tensorrt":
            raise BundleError("the engine was changed.")

    monkeypatch.setattr(verifying, "runtime_file", damaged)
    choice = choose_runtime(bundle)

    assert choice.candidate == CPU
    assert "tensorrt on cuda cannot be used: the engine was changed" in choice.reason


def test_a_proof_that_cannot_be_kept_still_counts(bundle: Bundle, measures: Measures) -> None:
    certificate_path(bundle).mkdir(parents=True)
    measures({CPU: 20.0})

    choice = choose_runtime(bundle)

    assert choice.candidate == CPU
    assert choice.unsaved is not None


def test_what_differs_is_not_timed(
    bundle: Bundle, make_runtime: Callable[..., Runtime], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtimes, "open_runtime", lambda *_: make_runtime(lambda values: values * 2))

    certificate = verifying.verify(bundle, CPU)
    write_certificate(bundle, certificate)

    assert not certificate.parity.holds
    assert certificate.frame_ms is None
    assert valid_certificate(bundle, "onnx", "cpu") == certificate


def test_without_proof_the_first_that_opens_is_taken(
    bundle: Bundle, make_runtime: Callable[..., Runtime], monkeypatch: pytest.MonkeyPatch
) -> None:
    def opens(_: Bundle, runtime: str, device: str) -> Runtime:
        if runtime == "tensorrt":
            raise ExportError("the engine is damaged.")
        return make_runtime()

    monkeypatch.setattr(verifying, "candidates", lambda *_: [ENGINE, GPU, CPU])
    monkeypatch.setattr(verifying, "open_runtime", opens)
    chosen, skipped = first_that_opens(bundle)

    assert chosen == GPU
    assert [str(one) for one in skipped] == ["tensorrt on cuda cannot be used: the engine is damaged"]

    monkeypatch.setattr(verifying, "candidates", lambda *_: [ENGINE])
    with pytest.raises(ExportError, match="damaged"):
        first_that_opens(bundle)


@pytest.fixture
def with_engine(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> Bundle:
    """A bundle that lists an ONNX file and an engine for this machine."""
    listed = {name: FileInfo(sha256="0" * 64, size=1) for name in ("embedder.onnx", "here.engine")}
    monkeypatch.setattr(tensorrt_kind, "engine_name", lambda *_: "here.engine")
    monkeypatch.setattr(Bundle, "file", lambda self, name: self.directory / name)
    return Bundle(bundle.directory, msgspec.structs.replace(bundle.manifest, files=listed))


@pytest.mark.parametrize(
    ("device", "expected"),
    [
        ("auto", [ENGINE, GPU, CPU]),
        ("cuda", [ENGINE, GPU]),
        ("cpu", [CPU]),
        ("cuda:1", [Candidate("onnx", "cuda:1")]),
    ],
)
def test_an_engine_is_a_candidate_only_for_the_gpu_it_was_built_for(
    with_engine: Bundle, monkeypatch: pytest.MonkeyPatch, device: str, expected: list[Candidate]
) -> None:
    monkeypatch.setattr(onnx_kind, "onnx_devices", lambda: ["cuda", "cpu"])

    assert candidates(with_engine, "auto", device) == expected


def test_an_engine_does_without_onnx_runtime(with_engine: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> list[str]:
        raise MissingExtraError("onnxruntime", "cpu", "Running an exported network")

    monkeypatch.setattr(onnx_kind, "onnx_devices", missing)

    assert candidates(with_engine) == [ENGINE, CPU]
    monkeypatch.setattr(tensorrt_kind, "engine_name", lambda *_: "elsewhere.engine")
    with pytest.raises(MissingExtraError):
        candidates(with_engine)


@pytest.mark.parametrize("device", ["cpu", "cuda:1", "tpu"])
def test_an_engine_cannot_be_asked_to_run_elsewhere(with_engine: Bundle, device: str) -> None:
    with pytest.raises(OptionError, match=device):
        candidates(with_engine, "tensorrt", device)
    with pytest.raises(OptionError, match=device):
        open_runtime(with_engine, "tensorrt", device)


@pytest.mark.parametrize(
    ("outcomes", "options", "code", "verified"),
    [
        ({ENGINE: ExportError("damaged."), GPU: 10.0, CPU: 20.0}, [], 0, ["cuda"]),
        ({ENGINE: ExportError("damaged."), GPU: 10.0, CPU: 20.0}, ["--all"], 0, ["cuda", "cpu"]),
        ({GPU: 10.0, CPU: None}, [], 0, ["cuda"]),
        ({GPU: 10.0, CPU: None}, ["--all"], 1, ["cuda", "cpu"]),
    ],
)
def test_verify_goes_on_past_what_cannot_be_used(
    bundle: Bundle,
    measures: Measures,
    monkeypatch: pytest.MonkeyPatch,
    outcomes: dict[Candidate, Outcome],
    options: list[str],
    code: int,
    verified: list[str],
) -> None:
    measures(outcomes)
    monkeypatch.setattr(runtimes, "candidates", lambda *_: list(outcomes))

    done = CliRunner().invoke(app, ["verify", "--model", str(bundle.directory), "--json", *options])

    assert done.exit_code == code, done.output
    result = json.loads(done.stdout)
    assert [one["device"] for one in result["certificates"]] == verified
    assert [one["runtime"] for one in result["skipped"]] == ["tensorrt"] * (ENGINE in outcomes)


def test_verify_fails_if_no_runtime_can_be_used(
    bundle: Bundle, measures: Measures, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcomes: dict[Candidate, Outcome] = {ENGINE: ExportError("damaged."), CPU: ExportError("empty.")}
    measures(outcomes)
    monkeypatch.setattr(runtimes, "candidates", lambda *_: list(outcomes))

    done = CliRunner().invoke(app, ["verify", "--model", str(bundle.directory)])

    assert done.exit_code == 1
