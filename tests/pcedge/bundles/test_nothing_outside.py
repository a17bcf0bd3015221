"""A stranger's bundle names what lies outside of it: whatever is done with it, that stays as it was."""

import json
import shutil
import socket
import tarfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner

from pcedge import Bundle, Candidate, read_log, rollback, teach, verify
from pcedge.adaptation.teaching.examples import read_examples
from pcedge.adaptation.teaching.lesson_log import LOG_FILE, chained, write_log
from pcedge.adaptation.teaching.storing import store_examples
from pcedge.bundles.bundle import CURRENT_FILE, locate_bundle
from pcedge.bundles.files import describe_file
from pcedge.bundles.manifest import MANIFEST_FILE
from pcedge.cli import app
from pcedge.deployment.indexing.stored_indexes import keep_indexes
from pcedge.deployment.triton.repository import write_triton_repository
from pcedge.errors import BankServerError, BundleError, PcedgeError

PACKED = Path(__file__).parents[2] / "data" / "before" / "bundles" / "part.tar.xz"
WAYS = ("absolute", "above")


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A taught bundle with an index and an example, three folders below a directory that is watched."""
    with tarfile.open(PACKED) as archive:
        archive.extractall(tmp_path / "models", filter="data")
    shutil.copy(tmp_path / "models" / "part" / "golden" / "median.png", tmp_path / "new.png")
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "key.npz").write_bytes(b"the operator's own")
    (outside / "key.npz").chmod(0o600)
    return tmp_path / "models" / "part"


def _tree(directory: Path) -> dict[str, Any]:
    """Everything that can be seen of what is in a directory, but when it was looked at."""
    return {
        str(path.relative_to(directory)): (
            path.lstat().st_mode,
            path.lstat().st_ino,
            path.lstat().st_mtime_ns,
            path.read_bytes() if path.is_file() else b"",
        )
        for path in directory.rglob("*")
    }


def _name(bundle: Path, way: str, file: str) -> str:
    """A file outside, as seen from the bundle."""
    outside = bundle.parents[1] / "outside" / file
    return str(outside) if way == "absolute" else f"../../outside/{file}"


def _change(bundle: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change a manifest, with digests that fit what lies there, as a stranger would."""
    path = bundle / MANIFEST_FILE
    manifest = json.loads(path.read_bytes())
    change(manifest)
    for name in manifest["files"]:
        if (bundle / name).is_file():
            manifest["files"][name] = msgspec.to_builtins(describe_file(bundle / name))
    path.write_text(json.dumps(manifest), encoding="utf-8")


def _forge_evidence(bundle: Path, name: str) -> None:
    log: tuple[Any, ...] = ()
    for entry in read_log(Bundle.open(bundle)):
        states = {
            precision: msgspec.structs.replace(state, evidence=name)
            for precision, state in entry.states.items()
        }
        log = chained(log, msgspec.structs.replace(entry, states=states))
    write_log(bundle, log)
    _change(bundle, lambda manifest: None)


def _do_everything(bundle: Path) -> list[str]:
    """Use a bundle in every way; what each way had to say."""
    root = bundle.parents[1]

    def opened() -> Bundle:
        return Bundle.open(bundle)

    ways: dict[str, Callable[[], object]] = {
        "verify": lambda: verify(opened(), Candidate("onnx", "cpu")),
        "triton": lambda: write_triton_repository(opened(), root / "served", batch=1),
        "store": lambda: store_examples(opened(), good=[root / "new.png"]),
        "teach": lambda: teach(opened(), [root / "new.png"]),
        "rollback": lambda: rollback(opened(), 0),
        "drop": lambda: keep_indexes(opened(), [], drop=["HNSW16"]),
    }
    said = []
    for way, use in ways.items():
        with tarfile.open(root / "kept.tar", "w") as archive:
            archive.add(bundle, bundle.name)
        try:
            use()
        except PcedgeError as error:
            said.append(f"{way}: {error}")
        except OSError as error:
            said.append(f"{way}: {error!r}")
        # Each meets the bundle as the stranger sent it.
        with suppress(FileNotFoundError):
            shutil.rmtree(bundle)
        with tarfile.open(root / "kept.tar") as archive:
            archive.extractall(bundle.parent, filter="fully_trusted")
    CliRunner().invoke(app, ["doctor", "--model", str(bundle)])
    return said


def test_the_bundle_as_it_was_sent_can_be_used_in_every_way(bundle: Path) -> None:
    before = _tree(bundle.parents[1] / "outside")

    assert [one for one in _do_everything(bundle) if not one.startswith("teach")] == []
    assert _tree(bundle.parents[1] / "outside") == before


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("file", ["key.npz", "new.npz"])
def test_evidence_of_the_log(bundle: Path, way: str, file: str) -> None:
    before = _tree(bundle.parents[1] / "outside")
    _forge_evidence(bundle, _name(bundle, way, file))

    said = _do_everything(bundle)

    assert _tree(bundle.parents[1] / "outside") == before
    with pytest.raises(BundleError, match="line 1, evidence: names a file outside its bundle") as caught:
        read_log(Bundle.open(bundle))
    assert str(bundle / LOG_FILE) in caught.value.what
    assert {one.split(":")[0] for one in said} == {"store", "teach", "rollback"}


def test_evidence_under_the_name_of_another_file_of_the_bundle(bundle: Path) -> None:
    _forge_evidence(bundle, "detector.onnx")

    with pytest.raises(BundleError, match=r"line 1, evidence: 'detector\.onnx' is not the name"):
        read_log(Bundle.open(bundle))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("field", ["file", "golden"])
def test_the_files_of_an_index(bundle: Path, way: str, field: str) -> None:
    before = _tree(bundle.parents[1] / "outside")
    _change(bundle, lambda it: it["indexes"]["HNSW16"].update({field: _name(bundle, way, "key.npz")}))

    _do_everything(bundle)

    assert _tree(bundle.parents[1] / "outside") == before
    with pytest.raises(BundleError, match=rf"indexes\['HNSW16'\]\.{field}: names a file outside its bundle"):
        Bundle.open(bundle)


def test_an_index_in_a_file_that_is_not_listed(bundle: Path) -> None:
    (bundle / "other.faiss").write_bytes(b"")
    _change(bundle, lambda it: it["indexes"]["HNSW16"].update(file="other.faiss"))

    with pytest.raises(BundleError, match=r"names 'other\.faiss', which is none of its files"):
        Bundle.open(bundle)


@pytest.mark.parametrize("way", WAYS)
def test_the_name(bundle: Path, way: str) -> None:
    before = _tree(bundle.parents[1] / "outside")
    name = _name(bundle, way, "model").replace("../../", "../")
    _change(bundle, lambda it: it.update(name=name))

    _do_everything(bundle)

    assert _tree(bundle.parents[1] / "outside") == before
    with pytest.raises(BundleError, match="name: must be a plain name"):
        Bundle.open(bundle)


@pytest.mark.parametrize("way", WAYS)
def test_an_example(bundle: Path, way: str) -> None:
    path = bundle / "teaching" / "examples.json"
    examples = json.loads(path.read_bytes())
    examples[0]["file"] = _name(bundle, way, "key.npz")
    path.write_text(json.dumps(examples), encoding="utf-8")
    _change(bundle, lambda manifest: None)
    before = _tree(bundle.parents[1] / "outside")

    _do_everything(bundle)

    assert _tree(bundle.parents[1] / "outside") == before
    with pytest.raises(BundleError, match=r"examples\.json, file: names a file outside its bundle"):
        read_examples(Bundle.open(bundle))


@pytest.mark.parametrize("linked", ["calibration.npz", "bank.hnsw16.faiss", "golden/hnsw16.npz", "golden"])
def test_a_link_to_what_lies_outside(bundle: Path, linked: str) -> None:
    """The stranger knows what it holds, so that its digest fits; its mode is the operator's."""
    outside = bundle.parents[1] / "outside"
    (bundle / linked).rename(outside / "known")
    for path in (outside / "known", *outside.glob("known/*")):
        path.chmod(0o700 if path.is_dir() else 0o600)
    (bundle / linked).symlink_to(outside / "known")
    before = _tree(outside)

    _do_everything(bundle)

    assert _tree(outside) == before
    with pytest.raises(BundleError, match="is a link, which may lead outside") as caught:
        Bundle.open(bundle).check()
    assert str(bundle / linked) in caught.value.what


def test_a_manifest_that_is_a_link(bundle: Path) -> None:
    (bundle / MANIFEST_FILE).rename(bundle.parents[1] / "outside" / "manifest.json")
    (bundle / MANIFEST_FILE).symlink_to(bundle.parents[1] / "outside" / "manifest.json")

    with pytest.raises(BundleError, match=r"manifest\.json is a link"):
        Bundle.open(bundle)


@pytest.mark.parametrize("name", ["../part", "/somewhere/part", "a/../../part", "part\x1b[2J"])
def test_the_pointer_to_the_current_bundle(bundle: Path, name: str) -> None:
    (bundle.parent / CURRENT_FILE).write_text(f"{name}\n", encoding="utf-8")

    with pytest.raises(BundleError, match="must hold the plain name of a bundle") as caught:
        locate_bundle(None, bundle.parent)

    assert repr(name) in caught.value.what


def _search_in(bundle: Path, milvus: str) -> None:
    """Say that the bank is searched in a Milvus."""

    def change(manifest: dict[str, Any]) -> None:
        manifest["index"] = "HNSW16"
        manifest["indexes"]["HNSW16"].update(factory="milvus", parameters=milvus, file="")

    _change(bundle, change)


def test_a_server_that_a_bundle_names_is_never_connected_to(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PCEDGE_MILVUS", raising=False)
    monkeypatch.setenv("PCEDGE_MILVUS_TOKEN", "root:hush")
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        stranger.setblocking(False)
        address = f"http://127.0.0.1:{stranger.getsockname()[1]}"
        _search_in(bundle, address)

        said = _do_everything(bundle)

        with pytest.raises(BlockingIOError):
            stranger.accept()
    assert {"verify", "triton"} <= {one.split(":")[0] for one in said}
    with pytest.raises(BankServerError, match="PCEDGE_MILVUS decides") as caught:
        Bundle.open(bundle).open_bank()
    assert address in caught.value.what
    assert "set PCEDGE_MILVUS to it" in caught.value.hint


def test_a_directory_that_a_bundle_names_for_milvus_lite_is_never_made(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PCEDGE_MILVUS", raising=False)
    before = _tree(bundle.parents[1] / "outside")
    _search_in(bundle, str(bundle.parents[1] / "outside" / "deep" / "milvus.db"))

    _do_everything(bundle)

    assert _tree(bundle.parents[1] / "outside") == before
    with pytest.raises(BankServerError, match="PCEDGE_MILVUS decides"):
        Bundle.open(bundle).open_bank()
