"""Address of and connection to Milvus: a server, or Milvus Lite in a local directory."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pcedge.errors import BankServerError, MissingExtraError, OptionError

MILVUS_VARIABLE = "PCEDGE_MILVUS"
TOKEN_VARIABLE = "PCEDGE_MILVUS_TOKEN"
_LITE_FILE = "milvus.db"
_CONNECT_S = 5.0


@dataclass(frozen=True)
class MilvusAddress:
    """Address of a Milvus.

    Attributes:
        location: ``http://host:19530`` of a server, or the path of the directory of Milvus Lite, which ends
            in ``.db``. It never contains a password.
    """

    location: str

    @classmethod
    def parse(cls, text: str) -> "MilvusAddress":
        """Parse an address; an empty one means the default of this machine.

        The default is the environment variable ``PCEDGE_MILVUS``, or Milvus Lite in the data directory of the
        user.

        Raises:
            OptionError: It is neither a URL nor a path that ends in .db, or it contains a password.
        """
        text = text.strip() or os.environ.get(MILVUS_VARIABLE, "").strip()
        if not text:
            return cls(str(_data_directory() / _LITE_FILE))
        if "://" not in text:
            if not text.endswith(".db"):
                raise OptionError(
                    f"{text!r} is no address of a Milvus.",
                    "Give http://host:19530, or for Milvus Lite a path that ends in .db.",
                )
            return cls(str(Path(text).expanduser().absolute()))
        address = urlsplit(text)
        if "@" in text or address.query:
            raise OptionError(  # without the address: it may contain a password
                "The address of the Milvus has more than a host and a port in it.",
                f"Give http://host:19530 alone, and user:password or a key in {TOKEN_VARIABLE}.",
            )
        if address.scheme not in ("http", "https") or not address.hostname:
            raise OptionError(f"{text!r} is no address of a Milvus.", "Give http://host:19530.")
        return cls(text)

    @property
    def is_server(self) -> bool:
        """Whether it is a server; otherwise it is Milvus Lite, which runs in this process."""
        return "://" in self.location

    def connect(self) -> Any:
        """Open a ``pymilvus.MilvusClient``; the token of a server is read from ``PCEDGE_MILVUS_TOKEN``.

        Raises:
            BankServerError: The server does not answer, or another process has the directory open.
            MissingExtraError: The libraries are not installed.
        """
        try:
            from pymilvus import MilvusClient

            if not self.is_server:
                import milvus_lite  # noqa: F401
        except ImportError as error:
            raise MissingExtraError(error.name or "pymilvus", "milvus", "A bank in Milvus") from error
        # grpc._server belongs to Milvus Lite, which answers unsupported calls with an exception.
        for name in ("pymilvus", "milvus_lite", "grpc._server"):
            _quieten(name)
        with self.explaining("opened"):
            if self.is_server:
                return MilvusClient(self.location, token=_token(), timeout=_CONNECT_S)
            Path(self.location).parent.mkdir(parents=True, exist_ok=True)
            return MilvusClient(self.location)

    @contextmanager
    def explaining(self, what: str, if_slow: str = "") -> Iterator[None]:
        """Convert errors of the libraries to a ``BankServerError``, which never shows the token.

        Args:
            what: The operation that failed, as a participle.
            if_slow: Hint for a time-out.
        """
        import grpc
        from pymilvus import MilvusException

        try:
            yield
        # A ValueError comes from a closed connection, an OSError from the disk of Milvus Lite.
        except (MilvusException, grpc.RpcError, ValueError, OSError) as error:
            said = error.details() if isinstance(error, grpc.Call) else getattr(error, "message", str(error))
            said = str(said).strip().partition("\n")[0]
            if token := _token():
                said = said.replace(token, "***")
            raise BankServerError(
                f"The Milvus {self.location} could not be {what}: {said.rstrip('.')}.",
                if_slow if if_slow and _is_late(error, said) else self._hint(),
            ) from error

    def _hint(self) -> str:
        if self.is_server:
            return (
                f"Check that it runs and can be reached, and the token in {TOKEN_VARIABLE} if it wants one."
            )
        return (
            "Milvus Lite belongs to one process at a time. For several, let a server have it: "
            f"milvus-lite server --data-dir {self.location}, and {MILVUS_VARIABLE}=http://127.0.0.1:19530"
        )


def _is_late(error: Exception, said: str) -> bool:
    """Whether a call timed out; pymilvus may say so only in its message."""
    import grpc

    late = isinstance(error, grpc.Call) and error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    return late or "deadline exceeded" in said.lower()


def _token() -> str:
    return os.environ.get(TOKEN_VARIABLE, "")


def _data_directory() -> Path:
    base = os.environ.get("XDG_DATA_HOME")
    return (Path(base) if base else Path.home() / ".local" / "share") / "pcedge"


def _quieten(library: str) -> None:
    """Disable the logging of a library, which logs a traceback for each error reported here."""
    for name in (library, *(one for one in logging.root.manager.loggerDict if one.startswith(f"{library}."))):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
