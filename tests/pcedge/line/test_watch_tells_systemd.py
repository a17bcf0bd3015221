import socket
from pathlib import Path
from typing import Any

import pytest

from pcedge.bundles.bundle import find_bundle
from pcedge.camera import open_source
from pcedge.line.watch import WatchOptions, watch


def test_systemd_hears_from_a_watch_that_it_is_ready_goes_on_and_ends(
    exported_line: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(60)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", "450000")
        bundle = find_bundle(None, exported_line.models)
        watch(bundle, open_source("synthetic:?fps=20&seed=1"), WatchOptions(tmp_path, max_frames=14))
        heard = [systemd.recv(1000).decode()]
        while heard[-1] != "STOPPING=1":
            heard.append(systemd.recv(1000).decode())

    assert heard[0] == "READY=1"
    assert heard.count("WATCHDOG=1") >= 2
    assert "STATUS=synthetic RUNNING" in heard
