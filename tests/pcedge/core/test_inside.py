"""Paths and names from files: what is plain and inside is taken as it is, all else refused with words."""

from pathlib import Path

import pytest

from pcedge.core.inside import Inside, is_name
from pcedge.errors import BundleError


@pytest.fixture
def inside(tmp_path: Path) -> Inside:
    (tmp_path / "part" / "golden").mkdir(parents=True)
    (tmp_path / "part" / "golden" / "a.png").write_bytes(b"a")
    return Inside(tmp_path / "part", "bundle", BundleError, "Fit it again.")


@pytest.mark.parametrize(
    "name", ["a", "golden/a.png", "golden/not there.png", "ü ß/..a", "a..b", "...", ".hidden", "10:30.png"]
)
def test_a_plain_path_is_taken_as_it_is(inside: Inside, name: str) -> None:
    assert inside.plain(name, "x") == name
    assert inside.path(name, "x") == inside.directory / name


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("", "is empty"),
        ("/etc/passwd", "outside its bundle"),
        ("//host/share", "outside its bundle"),
        ("..", "outside its bundle"),
        ("../a", "outside its bundle"),
        ("golden/../../a", "outside its bundle"),
        ("golden/..", "outside its bundle"),
        ("..\\a", "outside its bundle"),
        ("golden\\a.png", "a backslash"),
        ("C:a", "a drive"),
        ("c:/a", "a drive"),
        (".", "roundabout"),
        ("./a", "roundabout"),
        ("a//b", "roundabout"),
        ("a/", "roundabout"),
        ("a\nb", "control characters"),
        ("a\0", "control characters"),
        ("\x1b[31ma", "control characters"),
        ("a\x9b", "control characters"),
        ("a\u2028b", "control characters"),
        ("a\udc80", "control characters"),
        ("x" * 256, "longer"),
        ("golden/" + "ü" * 128, "longer"),
        ("a/" * 600 + "a", "longer"),
    ],
)
def test_any_other_path_is_refused_by_who_says_it(inside: Inside, name: str, words: str) -> None:
    for check in (inside.plain, inside.path):
        with pytest.raises(BundleError, match=words) as caught:
            check(name, "manifest.json, files:")
        assert caught.value.what.startswith("manifest.json, files:")
        assert repr(name) in caught.value.what or words == "is empty"
        assert caught.value.what.isprintable(), "no control character reaches a terminal"
        assert caught.value.hint == "Fit it again."


@pytest.mark.parametrize("linked", ["file", "folder", "dangling", "within"])
def test_neither_a_file_nor_a_folder_on_the_way_may_be_a_link(inside: Inside, linked: str) -> None:
    golden, other = inside.directory / "golden", inside.directory.parent / "other"
    golden.rename(other if linked == "folder" else golden)
    path, target = {
        "file": (golden / "b.png", inside.directory.parent),
        "folder": (golden, other),
        "dangling": (golden / "b.png", other / "nothing"),
        "within": (golden / "b.png", golden / "a.png"),
    }[linked]
    path.symlink_to(target)

    with pytest.raises(BundleError, match="is a link") as caught:
        inside.path("golden/b.png", "manifest.json, files:")

    assert str(path) in caught.value.what


def test_the_directory_itself_may_be_reached_by_a_link(inside: Inside, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(inside.directory)
    linked = Inside(tmp_path / "link", "bundle", BundleError, "")

    assert linked.path("golden/a.png", "x").read_bytes() == b"a"


@pytest.mark.parametrize("name", ["part", "ü ß", "part.v2", "7"])
def test_a_plain_name_is_taken_as_it_is(inside: Inside, name: str) -> None:
    assert inside.single(name, "x") == name
    assert is_name(name)


@pytest.mark.parametrize("name", ["", ".", "..", ".hidden", "a/b", "/a", "a\\b", "a\nb", "C:a"])
def test_a_name_with_a_path_in_it_is_refused(inside: Inside, name: str) -> None:
    with pytest.raises(BundleError, match="plain name"):
        inside.single(name, "manifest.json, name:")
    assert not is_name(name)
