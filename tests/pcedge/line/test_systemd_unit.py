import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from pcedge.errors import OptionError, OutputError
from pcedge.line.systemd_unit import Service, describe_service, install_service


@pytest.fixture(params=["line", 'a b%c$d"e'])
def config(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    folder = tmp_path / str(request.param)
    folder.mkdir()
    (folder / "line.toml").touch()
    return folder / "line.toml"


def test_systemd_has_nothing_against_the_unit(config: Path, tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    path = install_service(describe_service(config, user="root"), tmp_path)

    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", path],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert (done.returncode, [line for line in done.stderr.splitlines() if path.name in line]) == (0, [])


def test_the_unit_watches_the_line_and_writes_where_it_is(tmp_path: Path) -> None:
    (tmp_path / "line.toml").touch()
    service = describe_service(tmp_path / "line.toml", user="inspector", name="line-3.service")

    lines = service.unit().splitlines()

    assert service.name == "line-3"
    assert f"WorkingDirectory={tmp_path}" in lines
    assert f'ReadWritePaths="{tmp_path}" /tmp' in lines
    assert "User=inspector" in lines
    assert "EnvironmentFile=-/etc/pcedge/line-3.env" in lines
    (command,) = [line for line in lines if line.startswith("ExecStart=")]
    assert command.endswith(f'pcedge" "watch" "--config" "{tmp_path}/line.toml"')


def test_what_it_judges_by_is_not_its_own_to_change(tmp_path: Path) -> None:
    products = [
        "station/bottles/capped",
        "by-name",
        str(tmp_path / "others" / "one"),
        "/elsewhere/two",
        "./here",
    ]
    cameras = [
        f'[[camera]]\nname = "{n}"\nsource = "{n}"\nproduct = "{one}"\n' for n, one in enumerate(products)
    ]
    (tmp_path / "line.toml").write_text("\n".join(cameras))

    (paths,) = re.findall("^ReadOnlyPaths=(.*)$", describe_service(tmp_path / "line.toml").unit(), re.M)

    expected = [tmp_path / name for name in ("models", "others", "station/bottles")]
    assert shlex.split(paths) == [f"-{path}" for path in expected], "the line's own folder stays writable"


@pytest.mark.parametrize(
    "option", ["PrivateDevices", "ProcSubset", "PrivateTmp", "MemoryDenyWriteExecute", "PrivateNetwork"]
)
def test_what_would_keep_cameras_or_the_gpu_away_is_not_set(tmp_path: Path, option: str) -> None:
    (tmp_path / "line.toml").touch()

    assert f"\n{option}=" not in describe_service(tmp_path / "line.toml").unit()


def test_it_runs_as_the_owner_of_the_file_unless_told(tmp_path: Path) -> None:
    (tmp_path / "line.toml").touch()

    assert describe_service(tmp_path / "line.toml").user == (tmp_path / "line.toml").owner()


@pytest.mark.parametrize("name", ["", "a/b", "a b", "x%y"])
def test_what_cannot_be_a_unit_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "line.toml").touch()

    with pytest.raises(OptionError, match="cannot be the name"):
        describe_service(tmp_path / "line.toml", name=name)
    with pytest.raises(OptionError, match="no such file"):
        describe_service(tmp_path / "missing.toml")


def test_a_unit_that_cannot_be_written_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "line.toml").touch()

    with pytest.raises(OutputError, match="sudo"):
        install_service(describe_service(tmp_path / "line.toml"), tmp_path / "no" / "folder")


def _read(unit: str) -> dict[str, list[str]]:
    """The assignments of a unit as systemd joins its lines: a backslash at the end takes in the next one."""
    assignments: dict[str, list[str]] = {}
    for line in unit.replace("\\\n", " ").split("\n"):
        if line.startswith(("#", ";", "[")) or not line.strip():
            continue
        key, _, value = line.partition("=")
        assignments.setdefault(key, []).append(value)
    return assignments


def test_the_unit_read_back_says_what_was_meant(config: Path) -> None:
    found = _read(describe_service(config, user="inspector").unit())

    assert found["User"] == ["inspector"]
    assert found["WorkingDirectory"] == [str(config.parent).replace("%", "%%")]
    assert len(found["ExecStart"]) == 1
    words = shlex.split(found["ExecStart"][0].replace("$$", "$").replace("%%", "%"))
    assert words[1:] == ["watch", "--config", str(config)]
    plain = describe_service(config.parent / "line.toml", user="u").unit().count("\n")
    assert describe_service(config, user="inspector").unit().count("\n") == plain


@pytest.mark.parametrize(
    "folder",
    ["back\\", "in\\side", "a\nExecStartPre=touch x", "tab\t", "cr\r", "blank ", "\u2028", "gr\udcfcn"],
)
def test_a_folder_that_systemd_would_read_otherwise_is_refused(tmp_path: Path, folder: str) -> None:
    (tmp_path / folder).mkdir()
    (tmp_path / folder / "line.toml").touch()

    with pytest.raises(OptionError, match="cannot stand in a unit"):
        describe_service(tmp_path / folder / "line.toml", user="u").unit()


@pytest.mark.parametrize("user", ["", "root\nExecStartPre=/bin/sh", "a b", "%u", "-x", "a:b"])
def test_what_cannot_be_a_user_is_refused(tmp_path: Path, user: str) -> None:
    (tmp_path / "line.toml").touch()

    with pytest.raises(OptionError, match="cannot be a user"):
        Service(tmp_path / "line.toml", user, Path("/usr/bin/pcedge")).unit()


def test_the_sandbox_leaves_little_open(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    (tmp_path / "line.toml").touch()
    path = install_service(describe_service(tmp_path / "line.toml", user="inspector"), tmp_path)

    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", path],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    level = re.search(r"exposure level for .*: ([\d.]+)", done.stdout)
    if level is None:
        pytest.skip("this systemd-analyze cannot look at a file")
    assert float(level[1]) < 2.0
