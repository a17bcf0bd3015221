"""Rows in Milvus, for real: Milvus Lite in this process, and as a server that is killed and comes back."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pcedge.banks import TOKEN_VARIABLE, Bank, MilvusAddress, MilvusIndex, RowSources
from pcedge.errors import BankServerError, OptionError

pytest.importorskip("milvus_lite", reason="needs pcedge[milvus]")
pymilvus = pytest.importorskip("pymilvus")

Rows = NDArray[np.float32]
DIMS = 24
DIGEST = "ab" * 32


def _rows(count: int, seed: int = 0) -> Rows:
    return np.random.default_rng(seed).normal(size=(count, DIMS)).astype(np.float32)


def _bank(rows: Rows) -> Bank:
    places = np.zeros(len(rows), np.int32)
    return Bank.build(rows, RowSources(("good/0.png",), places, places, places))


@pytest.fixture
def lite(tmp_path: Path) -> Iterator[MilvusAddress]:
    address = MilvusAddress.parse(str(tmp_path / "banks" / "milvus.db"))
    yield address
    _close(address)


def _close(address: MilvusAddress) -> None:
    """Give up a Milvus Lite of this process, as its end does."""
    from milvus_lite.server_manager import server_manager_instance

    server_manager_instance.release_server(address.location)


@pytest.fixture
def start_server(tmp_path: Path) -> Iterator[Callable[[], subprocess.Popen[bytes]]]:
    """Start Milvus Lite as a server of its own at ``start.port``, again and again on the same rows."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    started: list[subprocess.Popen[bytes]] = []

    def start() -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "milvus_lite", "server", "--host", "127.0.0.1", "--port", str(port)]
        server = subprocess.Popen(
            [*command, "--data-dir", str(tmp_path / "served.db")],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        started.append(server)
        for _ in range(600):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return server
            time.sleep(0.1)
        raise AssertionError("the server did not start")

    start.port = port  # type: ignore[attr-defined]
    yield start
    for server in started:
        server.kill()
        server.wait()


def test_the_rows_found_and_their_distances_are_those_of_exact_search(lite: MilvusAddress) -> None:
    rows, queries = _rows(1500), _rows(200, 1)
    queries[7, 3] = np.nan
    exact, expected = _bank(rows).search(queries)

    index = MilvusIndex.fill(lite, DIGEST, rows)
    distances, found = _bank(rows).searched_by(index).search(queries)

    np.testing.assert_array_equal(found, expected)
    np.testing.assert_allclose(distances, exact, rtol=1e-5)
    assert np.isnan(distances[7])
    told, numbers = index.candidates(queries[:5], 3)
    assert [told.shape, numbers.shape] == [(5, 3), (5, 3)]
    np.testing.assert_allclose(told[:, 0], exact[:5], rtol=1e-4, err_msg="they are squared distances")


def test_nothing_is_written_twice_and_nothing_is_lost_when_it_is_opened_again(lite: MilvusAddress) -> None:
    rows, queries = _rows(1200), _rows(50, 1)
    MilvusIndex.fill(lite, DIGEST, rows)
    again = MilvusIndex.fill(lite, DIGEST, rows)
    assert again._write_missing(again._connected(), rows, lambda done, total: None) == []
    _close(lite)

    index = MilvusIndex.open(lite, DIGEST, rows=1200, dims=DIMS)

    np.testing.assert_array_equal(
        _bank(rows).searched_by(index).search(queries)[1], _bank(rows).search(queries)[1]
    )
    assert index._connected().list_collections() == [index.collection]


_FILL_AND_DIE = """
import os, sys
import numpy as np
from pcedge.banks import MilvusAddress, MilvusIndex

rows = np.load(sys.argv[2])

def die(done, total):
    if done >= 2000:
        os.kill(os.getpid(), 9)

MilvusIndex.fill(MilvusAddress.parse(sys.argv[1]), sys.argv[3], rows, die)
"""


def test_a_fill_that_was_killed_goes_on_where_it_was(lite: MilvusAddress, tmp_path: Path) -> None:
    rows = _rows(3500)
    np.save(tmp_path / "rows.npy", rows)
    command = [sys.executable, "-c", _FILL_AND_DIE, lite.location, str(tmp_path / "rows.npy"), DIGEST]
    assert subprocess.run(command, check=False, capture_output=True).returncode == -signal.SIGKILL

    with pytest.raises(BankServerError, match="of the 3,500 rows") as caught:
        MilvusIndex.open(lite, DIGEST, rows=3500, dims=DIMS)
    assert f"pcedge index --keep 'milvus:{lite.location}'" in caught.value.hint
    partly = MilvusIndex(lite, DIGEST, rows=3500, dims=DIMS)
    client = lite.connect()
    assert [partly._holds(client, rows, start) for start in (0, 1000, 2000, 3000)] == [
        True,
        True,
        False,
        False,
    ]

    MilvusIndex.fill(lite, DIGEST, rows)

    assert all(partly._holds(client, rows, start) for start in (0, 1000, 2000, 3000))


def test_an_index_that_a_kill_left_half_written_is_made_again(lite: MilvusAddress) -> None:
    rows, queries = _rows(1500), _rows(20, 1)
    MilvusIndex.fill(lite, DIGEST, rows)
    _close(lite)
    (index_file,) = Path(lite.location).rglob("*.idx")
    index_file.write_bytes(index_file.read_bytes()[: index_file.stat().st_size // 2])

    with pytest.raises(BankServerError, match="read error"):
        MilvusIndex.open(lite, DIGEST, rows=len(rows), dims=DIMS)
    _close(lite)
    filled = MilvusIndex.fill(lite, DIGEST, rows)

    bank = _bank(rows)
    assert np.array_equal(bank.searched_by(filled).search(queries)[1], bank.search(queries)[1])


def test_rows_that_differ_are_written_again(lite: MilvusAddress) -> None:
    rows = _rows(1100)
    other = rows.copy()
    other[1050, 3] += np.float32(1e-3)
    MilvusIndex.fill(lite, DIGEST, other)

    MilvusIndex.fill(lite, DIGEST, rows)

    index = MilvusIndex.open(lite, DIGEST, rows=1100, dims=DIMS)
    assert index._holds(index._connected(), rows, 1000)


def _refuse_after_release(monkeypatch: pytest.MonkeyPatch, refusals: list[str]) -> None:
    """Let loading fail with these words, one after the other, once what was written has been released."""
    load, release = pymilvus.MilvusClient.load_collection, pymilvus.MilvusClient.release_collection
    released: list[str] = []

    def refuse(self: Any, *arguments: Any, **more: Any) -> None:
        if released and refusals:
            raise pymilvus.MilvusException(message=refusals.pop())
        load(self, *arguments, **more)

    def note(self: Any, name: str, **more: Any) -> None:
        released.append(name)
        release(self, name, **more)

    monkeypatch.setattr(pymilvus.MilvusClient, "load_collection", refuse)
    monkeypatch.setattr(pymilvus.MilvusClient, "release_collection", note)


def test_an_index_that_is_being_written_is_waited_for(
    lite: MilvusAddress, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, queries = _rows(1200), _rows(20, 1)
    refusals = ["read error in ivf_flat.idx: 325 != 1248"] * 2
    _refuse_after_release(monkeypatch, refusals)

    bank = _bank(rows).searched_by(MilvusIndex.fill(lite, DIGEST, rows))

    assert refusals == []
    np.testing.assert_array_equal(bank.search(queries)[1], _bank(rows).search(queries)[1])


def test_an_index_that_stays_unreadable_is_an_error(
    lite: MilvusAddress, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules[MilvusIndex.__module__], "_INDEXED_S", 0.5)
    refusals = ["read error"] * 1000
    _refuse_after_release(monkeypatch, refusals)

    with pytest.raises(BankServerError, match="could not be filled: read error"):
        MilvusIndex.fill(lite, DIGEST, _rows(1200))

    assert 0 < len(refusals) < 999


def test_a_server_that_goes_is_an_error_and_is_found_again_when_it_is_back(
    start_server: Callable[[], subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, queries = _rows(1200), _rows(20, 1)
    server = start_server()
    address = MilvusAddress.parse(f"http://127.0.0.1:{start_server.port}")  # type: ignore[attr-defined]
    bank = _bank(rows).searched_by(MilvusIndex.fill(address, DIGEST, rows))
    expected = _bank(rows).search(queries)[1]
    np.testing.assert_array_equal(bank.search(queries)[1], expected)

    with monkeypatch.context() as hurried:
        hurried.setattr(sys.modules[MilvusIndex.__module__], "_SEARCH_S", 0.5)
        os.kill(server.pid, signal.SIGSTOP)  # a server that answers might do so in any time, however short
        with pytest.raises(BankServerError, match="could not be searched") as late:
            bank.search(queries)
        os.kill(server.pid, signal.SIGCONT)
    assert "1,200 rows of 24 values" in late.value.hint
    assert "pcedge index --use exact" in late.value.hint
    np.testing.assert_array_equal(_search_patiently(bank, queries), expected)

    os.kill(server.pid, signal.SIGKILL)
    server.wait()
    for _ in range(2):
        with pytest.raises(BankServerError, match=f"{address.location} could not be") as gone:
            bank.search(queries)
        assert "Check that it runs" in gone.value.hint

    start_server()
    np.testing.assert_array_equal(_search_patiently(bank, queries), expected)


def _search_patiently(bank: Bank, queries: Rows) -> NDArray[np.int64]:
    """As a line does, frame after frame: connections are not tried anew at once."""
    for _ in range(300):
        try:
            return bank.search(queries)[1]
        except BankServerError:
            time.sleep(0.1)
    raise AssertionError("the server was not found again")


def test_a_lite_that_another_process_has_is_said_with_the_way_out(
    start_server: Callable[[], subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    start_server()

    with pytest.raises(BankServerError) as caught:
        MilvusIndex.fill(MilvusAddress.parse(str(tmp_path / "served.db")), DIGEST, _rows(5))

    assert "milvus-lite server" in caught.value.hint


def test_no_token_is_ever_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TOKEN_VARIABLE, "root:hush")

    with pytest.raises(BankServerError) as caught:
        MilvusAddress.parse("http://127.0.0.1:9").connect()

    assert "hush" not in str(caught.value)
    for text in ("http://root:hush@host:19530", "http://host?token=hush"):
        with pytest.raises(OptionError) as refused:
            MilvusAddress.parse(text)
        assert "hush" not in str(refused.value)


@pytest.mark.parametrize("text", ["ftp://host", "http://", "banks"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(OptionError, match=r"no address of a Milvus"):
        MilvusAddress.parse(text)


def test_an_empty_address_is_this_machine_s_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("PCEDGE_MILVUS", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert MilvusAddress.parse("").location == str(tmp_path / "pcedge" / "milvus.db")

    monkeypatch.setenv("PCEDGE_MILVUS", "https://banks:19530")
    assert MilvusAddress.parse("").is_server


@pytest.fixture
def connected(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Addresses that were connected to, and the token that went there."""
    found: list[tuple[str, str]] = []

    def connect(uri: str, token: str = "", **_: Any) -> None:
        found.append((uri, token))

    monkeypatch.setattr(pymilvus, "MilvusClient", connect)
    return found


@pytest.mark.parametrize(
    "location",
    ["http://banks:19530", "http://10.1.2.3:19530", "HTTP://localhost.example", "http://[fe80::1]"],
)
def test_a_token_goes_nowhere_in_plain_text(
    connected: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch, location: str
) -> None:
    monkeypatch.setenv(TOKEN_VARIABLE, "root:hush")

    with pytest.raises(BankServerError, match="in plain text") as caught:
        MilvusAddress.parse(location).connect()

    assert connected == []
    assert TOKEN_VARIABLE in caught.value.what
    assert "https://" in caught.value.hint
    assert "hush" not in str(caught.value)
    monkeypatch.delenv(TOKEN_VARIABLE)
    MilvusAddress.parse(location).connect()
    assert connected == [(location, "")]


@pytest.mark.parametrize(
    "location",
    ["https://banks:19530", "http://127.0.0.1:19530", "http://localhost:19530", "http://[::1]:19530"],
)
def test_a_token_goes_over_tls_and_to_this_machine(
    connected: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch, location: str
) -> None:
    monkeypatch.setenv(TOKEN_VARIABLE, "root:hush")

    MilvusAddress.parse(location).connect()

    assert connected == [(location, "root:hush")]


@pytest.mark.parametrize("recorded", ["http://banks:19530", "/srv/milvus.db", "no address at all", ""])
def test_the_environment_alone_decides_which_milvus_holds_a_bundle_s_rows(
    monkeypatch: pytest.MonkeyPatch, recorded: str
) -> None:
    monkeypatch.setenv("PCEDGE_MILVUS", "https://own:19530")
    assert MilvusAddress.of_this_machine(recorded).location == "https://own:19530"

    monkeypatch.delenv("PCEDGE_MILVUS")
    if not recorded:
        assert MilvusAddress.of_this_machine(recorded) == MilvusAddress.parse("")
        return
    with pytest.raises(BankServerError, match="only PCEDGE_MILVUS decides") as caught:
        MilvusAddress.of_this_machine(recorded)
    assert repr(recorded) in caught.value.what
