import shutil
import subprocess
from pathlib import Path

import pytest

from pcedge.errors import OptionError, OutputError
from pcedge.line.systemd_unit import describe_service, install_service


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


@pytest.mark.parametrize(
    "option", ["PrivateDevices", "ProtectClock", "PrivateTmp", "MemoryDenyWriteExecute", "DeviceAllow"]
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
