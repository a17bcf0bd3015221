import os
from pathlib import Path

import pytest

from pcedge.camera import OutputLock
from pcedge.errors import OutputError


def test_the_second_writer_is_told_who_the_first_is_and_may_write_after_it(tmp_path: Path) -> None:
    with OutputLock(tmp_path / "out", "first"):
        with pytest.raises(OutputError, match=f"first, pid {os.getpid()} on .* writes there already"):
            OutputLock(tmp_path / "out", "second").__enter__()
        with OutputLock(tmp_path / "other", "second"):
            pass

    with OutputLock(tmp_path / "out", "second"):
        pass


def test_a_lock_file_that_is_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / ".pcedge.lock").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(OutputError, match="cannot be written"):
        OutputLock(tmp_path, "first").__enter__()
    assert not (tmp_path / "elsewhere").exists()
