import errno
import json
import os
import random
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pcedge.banks import INDEX_FILE, ROWS_FILE
from pcedge.bundles.bundle import (
    Bundle,
    bundle_names,
    current_name,
    edit_bundle,
    find_bundle,
    seal,
    set_current,
    write_bundle,
)
from pcedge.bundles.files import describe_file
from pcedge.bundles.manifest import MANIFEST_FILE, SCHEMA_VERSION, FileInfo, Manifest, read_manifest
from pcedge.errors import BundleError
from pcedge.inspection.verification.golden import read_golden

MakeBundle = Callable[..., Bundle]


@pytest.fixture
def bundle(tmp_path: Path, make_bundle: MakeBundle) -> Bundle:
    return make_bundle(tmp_path / "models" / "part")


def _change_manifest(bundle: Bundle, **changes: Any) -> None:
    path = bundle.directory / MANIFEST_FILE
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | changes))


def test_a_bundle_opens_as_it_was_written(bundle: Bundle) -> None:
    opened = Bundle.open(bundle.directory)

    assert opened.manifest == bundle.manifest
    assert len(opened.open_bank()) == 64
    assert len(read_golden(opened)) == 4
    assert set(opened.manifest.files) == {
        path.relative_to(bundle.directory).as_posix()
        for path in bundle.directory.rglob("*")
        if path.is_file() and path.name != MANIFEST_FILE
    }
    assert opened.has(INDEX_FILE)
    assert not opened.has("embedder.onnx")


def test_the_manifest_is_written_for_people_and_machines(bundle: Bundle) -> None:
    text = (bundle.directory / MANIFEST_FILE).read_text(encoding="utf-8")

    assert json.loads(text)["skipped"] == {"good/ü.png": "is empty"}
    assert '\n  "schema_version": 1,\n' in text
    assert text.endswith("}\n")


def test_everybody_can_read_a_bundle(bundle: Bundle) -> None:
    modes = {path.stat().st_mode & 0o777 for path in bundle.directory.rglob("*") if path.is_file()}

    assert modes == {0o644}
    assert (bundle.directory / "golden").stat().st_mode & 0o777 == 0o755


def _flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def _append(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\0")


def _remove(path: Path) -> None:
    path.unlink()


@pytest.mark.parametrize("damage", [_flip_a_bit, _cut, _append, _remove])
def test_a_file_that_differs_from_its_description_is_named_when_used(
    bundle: Bundle, damage: Callable[[Path], None]
) -> None:
    names = sorted(bundle.manifest.files)
    for name in names:
        path = bundle.directory / name
        content = path.read_bytes()
        damage(path)
        with pytest.raises(BundleError) as caught:
            bundle.file(name)
        path.write_bytes(content)

        assert str(path) in caught.value.what
        assert caught.value.hint
    assert {INDEX_FILE, ROWS_FILE, "golden/stages.npz"} < set(names)


@pytest.mark.parametrize("name", [INDEX_FILE, ROWS_FILE])
def test_a_changed_bank_is_never_opened(bundle: Bundle, name: str) -> None:
    _flip_a_bit(bundle.directory / name)

    with pytest.raises(BundleError, match=name):
        bundle.open_bank()


@pytest.mark.parametrize("name", ["golden/lowest.png", "golden/stages.npz"])
def test_changed_golden_frames_are_never_read(bundle: Bundle, name: str) -> None:
    _flip_a_bit(bundle.directory / name)

    with pytest.raises(BundleError, match=name):
        read_golden(bundle)


def test_a_file_that_is_not_listed_is_not_used(bundle: Bundle) -> None:
    (bundle.directory / "embedder.onnx").write_bytes(b"smuggled in")

    with pytest.raises(BundleError, match=r"has no embedder\.onnx"):
        bundle.file("embedder.onnx")


def test_a_bank_of_another_embedder_is_refused(tmp_path: Path, make_bundle: MakeBundle) -> None:
    bundle = make_bundle(tmp_path / "part")
    embedding = msgspec.structs.replace(bundle.manifest.embedding, dims=1024)
    manifest = msgspec.structs.replace(bundle.manifest, embedding=embedding)

    with pytest.raises(BundleError, match="6 dims a row, its embedder gives 1024"):
        Bundle(bundle.directory, manifest).open_bank()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b"{}",
        b"not json",
        b"\xff\xfe\x00",
        b'{"schema_version": 1}',
        b'{"schema_version": "\xff"}',
        b"[" * 100_000,
        b'{"a":' * 100_000,
    ],
)
def test_a_damaged_manifest_is_an_error_that_names_it(bundle: Bundle, content: bytes) -> None:
    (bundle.directory / MANIFEST_FILE).write_bytes(content)

    with pytest.raises(BundleError, match=r"manifest\.json is damaged"):
        Bundle.open(bundle.directory)


def test_no_changed_byte_of_a_manifest_causes_anything_but_a_bundle_error(bundle: Bundle) -> None:
    path = bundle.directory / MANIFEST_FILE
    content = path.read_bytes()
    places = random.Random(0)
    refused = 0
    for _ in range(600):
        damaged = bytearray(content)
        damaged[places.randrange(len(content))] = places.randrange(256)
        path.write_bytes(damaged)
        try:
            Bundle.open(bundle.directory)
        except BundleError as error:
            assert str(path) in error.what  # noqa: PT017
            refused += 1
    assert refused > 100


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"schema_version": SCHEMA_VERSION + 1}, r"schema version 2; this version reads up to 1"),
        ({"schema_version": 99, "files": "another kind of thing"}, "schema version 99"),
        ({"schema_version": "1"}, "damaged"),
        ({"threshold": None}, r"damaged: .*threshold"),
        ({"preprocessing": {"implementation": "cv2-linear"}}, "'cv2-linear'"),
        ({"preprocessing": {"image_size": 8}}, "8 px is too small"),
        ({"files": {"../../outside": {"sha256": "0", "size": 1}}}, r"outside its bundle: '\.\./\.\./"),
        ({"files": {"/etc/passwd": {"sha256": "0", "size": 1}}}, "outside its bundle: '/etc/passwd'"),
        ({"files": {"a/../../b": {"sha256": "0", "size": 1}}}, "outside its bundle"),
    ],
)
def test_a_manifest_that_this_version_cannot_use_says_why(
    bundle: Bundle, changes: dict[str, Any], words: str
) -> None:
    _change_manifest(bundle, **changes)

    with pytest.raises(BundleError, match=words) as caught:
        Bundle.open(bundle.directory)

    assert str(bundle.directory / MANIFEST_FILE) in caught.value.what
    assert caught.value.hint


def test_what_a_later_version_adds_is_ignored(bundle: Bundle) -> None:
    _change_manifest(bundle, added_later={"a": 1})

    assert Bundle.open(bundle.directory).manifest == bundle.manifest


@pytest.mark.parametrize("name", ["folder", "file", "missing"])
def test_what_is_no_bundle_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_bytes(b"")

    with pytest.raises(BundleError, match=f"{name} is not a bundle") as caught:
        read_manifest(tmp_path / name)

    assert "pcedge fit" in caught.value.hint


def test_the_current_bundle_is_the_one_that_was_set(tmp_path: Path, make_bundle: MakeBundle) -> None:
    models = tmp_path / "models"
    for name in ("first", "second"):
        make_bundle(models / name, name=name)

    assert current_name(models) is None
    for name in ("first", "second", "first"):
        set_current(models, name)
        assert current_name(models) == name
        assert find_bundle(models=models).manifest.name == name
    assert bundle_names(models) == ["first", "second"]


def test_a_bundle_is_found_by_name_and_by_directory(bundle: Bundle) -> None:
    models = bundle.directory.parent

    assert find_bundle("part", models).manifest == bundle.manifest
    assert find_bundle(str(bundle.directory), models / "elsewhere").manifest == bundle.manifest


@pytest.mark.parametrize(
    ("model", "current", "words"),
    [
        (None, None, r"(?s)no current bundle in .*models/.*pcedge fit DATASET.*--model"),
        (None, b"", "no current bundle"),
        (None, b"\n", "no current bundle"),
        (None, b"\xff\xfe", "no current bundle"),
        (None, b"removed\n", "removed is not a bundle"),
        ("other", b"part\n", r"(?s)no bundle other, .*Bundles there: part\."),
        ("current", b"part\n", "no bundle current"),
    ],
)
def test_a_bundle_that_cannot_be_found_says_how_to_make_or_name_one(
    bundle: Bundle, model: str | None, current: bytes | None, words: str
) -> None:
    models = bundle.directory.parent
    if current is not None:
        (models / "current").write_bytes(current)

    with pytest.raises(BundleError, match=words):
        find_bundle(model, models)


def test_a_bundle_caught_between_two_renames_is_put_back_when_opened(bundle: Bundle) -> None:
    hidden = bundle.directory.with_name(".part.99999999.abcdefgh.old")
    bundle.directory.rename(hidden)

    assert Bundle.open(bundle.directory).manifest == bundle.manifest
    assert not hidden.exists()


def test_a_fit_replaces_a_bundle(tmp_path: Path, make_bundle: MakeBundle) -> None:
    make_bundle(tmp_path / "part", name="old")
    make_bundle(tmp_path / "part", name="new")

    assert Bundle.open(tmp_path / "part").manifest.name == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["part"]


@pytest.mark.parametrize("kind", ["images", "file"])
def test_what_is_no_bundle_is_never_replaced(tmp_path: Path, make_bundle: MakeBundle, kind: str) -> None:
    target = tmp_path / "bottle"
    kept = target if kind == "file" else target / "good" / "0.png"
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_bytes(b"precious")

    with pytest.raises(BundleError, match="bottle exists and is not a bundle; it was left"):
        make_bundle(target)

    assert kept.read_bytes() == b"precious"


def test_an_empty_directory_may_become_a_bundle(tmp_path: Path, make_bundle: MakeBundle) -> None:
    (tmp_path / "part").mkdir()

    make_bundle(tmp_path / "part")

    assert Bundle.open(tmp_path / "part").manifest.name == "part"


def test_a_full_disk_is_explained_and_changes_nothing(bundle: Bundle, manifest: Manifest) -> None:
    with (
        pytest.raises(BundleError, match=r"(?s)No space left on device.*Nothing was changed") as caught,
        write_bundle(bundle.directory),
    ):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    assert str(bundle.directory) in caught.value.what
    assert Bundle.open(bundle.directory).manifest == bundle.manifest


def test_editing_adds_to_a_bundle_and_keeps_the_rest(bundle: Bundle) -> None:
    before = {name: (bundle.directory / name).read_bytes() for name in bundle.manifest.files}

    with edit_bundle(bundle) as staging:
        (staging / "embedder.onnx").write_bytes(b"\x08\x08")
        seal(staging, bundle.manifest)

    edited = Bundle.open(bundle.directory)
    assert edited.file("embedder.onnx").read_bytes() == b"\x08\x08"
    assert {name: edited.file(name).read_bytes() for name in before} == before
    assert [path.name for path in bundle.directory.parent.iterdir()] == ["part"]


def test_an_edit_that_fails_changes_nothing(bundle: Bundle) -> None:
    def spoil() -> None:
        with edit_bundle(bundle) as staging:
            (staging / INDEX_FILE).unlink()
            (staging / "embedder.onnx").write_bytes(b"\x08\x08")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        spoil()

    opened = Bundle.open(bundle.directory)
    assert not opened.has("embedder.onnx")
    assert len(opened.open_bank()) == 64


def test_an_edit_never_vouches_for_a_damaged_file(bundle: Bundle) -> None:
    _flip_a_bit(bundle.directory / INDEX_FILE)

    with pytest.raises(BundleError, match=INDEX_FILE), edit_bundle(bundle):
        pytest.fail("the damaged file was taken over")


def test_sealing_describes_all_files_but_the_manifest(tmp_path: Path, manifest: Manifest) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a").write_bytes(b"abc")
    (tmp_path / MANIFEST_FILE).write_bytes(b"old")

    sealed = seal(tmp_path, manifest)

    assert list(sealed.files) == ["sub/a"]
    assert sealed.files["sub/a"].size == 3
    assert sealed.files["sub/a"].sha256.startswith("ba7816bf8f01cfea414140de5dae2223b00361a3")
    assert read_manifest(tmp_path) == sealed


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files that are read to be checked from now on."""
    names: list[str] = []

    def describe(path: Path) -> FileInfo:
        names.append(path.name)
        return describe_file(path)

    monkeypatch.setattr("pcedge.bundles.files.describe_file", describe)
    return names


def test_a_file_is_read_once_until_it_changes(
    tmp_path: Path, make_bundle: Callable[..., Bundle], read: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = make_bundle(tmp_path / "part")
    monkeypatch.setattr("pcedge.bundles.files._SETTLED_NS", -(10**10))  # as if all of it were old
    read.clear()

    for _ in range(3):
        bundle.file("bank.faiss")
    assert read == ["bank.faiss"]

    path = bundle.directory / "bank.faiss"
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(BundleError, match=r"bank\.faiss is not the file"):
        bundle.file("bank.faiss")


def test_a_file_so_new_that_a_change_might_not_show_is_read_again(
    tmp_path: Path, make_bundle: Callable[..., Bundle], read: list[str]
) -> None:
    bundle = make_bundle(tmp_path / "part")
    read.clear()

    bundle.file("bank.faiss")
    bundle.file("bank.faiss")

    assert read == ["bank.faiss", "bank.faiss"]


def test_of_two_changes_at_once_one_is_made_and_the_other_says_so(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another change comes when the first has looked for the last time and is about to take its place."""
    refused: list[BundleError] = []

    def change(name: str) -> None:
        try:
            with edit_bundle(bundle) as staging:
                seal(staging, msgspec.structs.replace(bundle.manifest, name=name))
        except BundleError as error:
            refused.append(error)

    other = threading.Thread(target=change, args=("other",))

    def slow(_directory: Path) -> None:
        if not other.ident:
            other.start()
            other.join(0.5)

    monkeypatch.setattr("pcedge.core.files._sync", slow)
    change("first")
    other.join()

    assert Bundle.open(bundle.directory).manifest.name == "first"
    assert len(refused) == 1
    assert "was replaced while it was being changed" in refused[0].what


def test_a_bundle_is_changed_also_where_the_file_system_knows_no_locks(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    def without(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", without)
    with edit_bundle(bundle) as staging:
        seal(staging, msgspec.structs.replace(bundle.manifest, name="changed"))

    assert Bundle.open(bundle.directory).manifest.name == "changed"
