"""Webhook sink: sends events to a URL by HTTP POST."""

from __future__ import annotations

import base64
import http.client
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated
from urllib.parse import unquote, urlsplit, urlunsplit

from msgspec import Meta

from pcedge.errors import OptionError, OutputError

from ...frames import Verdict
from ...util.addresses import redact
from ...util.credentials import Secret, read_secret
from ..settings import Count, SinkKind, SinkTable, VerdictName
from .outbox import Message, Outbox
from .sender import MessageError, Posted, Receipt

# Status codes caused by the event itself. Any other error may go away when the endpoint is repaired.
_NEVER = {400, 409, 413, 415, 422}
_ENOUGH_OF_AN_ANSWER = 1 << 16


class WebhookTransport:
    """Sends each event as a POST with a JSON body; any status from 200 to 299 means success.

    ``Idempotency-Key`` is the key of the event, the same when it is sent again. Redirects are not followed. A
    login in the URL is sent as ``Authorization: Basic``.

    Args:
        url: ``http://`` or ``https://`` URL; messages show it without passwords and tokens.
        token: Sent as ``Authorization: Bearer ...`` if given.
        timeout_s: Time-out in seconds for the connection and for each read.
        ca_file: Certificates to trust instead of those of the system, as for a proxy with its own.

    Raises:
        OptionError: ``url`` is not an HTTP URL, or ``ca_file`` cannot be used.
    """

    def __init__(
        self, url: str, *, token: Secret | None = None, timeout_s: float = 5.0, ca_file: str = ""
    ) -> None:
        self._shown = redact(url)
        if not url.lower().startswith(("http://", "https://")):
            raise OptionError(f"sinks.webhook: {self._shown} is not an HTTP URL.", "Use http:// or https://.")
        self._url, self._authorization = _without_login(url)
        if token is not None:
            self._authorization = f"Bearer {token.value}"
        self._timeout_s = timeout_s
        self._opener = urllib.request.build_opener(
            _NoRedirects, urllib.request.HTTPSHandler(context=_trusting(ca_file))
        )

    def open(self, hurry: Callable[[], None]) -> None:
        """Do nothing, since there is no connection between events."""

    def close(self) -> None:
        """Do nothing, since there is no connection between events."""

    def send(self, messages: Sequence[Message]) -> Iterator[Receipt]:
        """Send the messages one after the other.

        Raises:
            MessageError: It does not take a message, which may be temporary.
            OutputError: It cannot be reached.
        """
        for message in messages:
            yield Receipt(message.number, refused=self._post(message))

    def _post(self, message: Message) -> str:
        """Send a message; returns why it was refused for good, or an empty string."""
        try:
            with self._opener.open(self._request(message), timeout=self._timeout_s) as answer:
                answer.read(_ENOUGH_OF_AN_ANSWER)
            return ""
        except urllib.error.HTTPError as error:
            with error:
                if error.code in _NEVER:
                    return f"{self._shown}: refused an event: {error.code} {error.reason}"
            raise self._not_taken(f"answered {error.code} {error.reason}") from None
        except urllib.error.URLError as error:  # not reached; the text may contain the full URL
            raise self._failed(_reason(error)) from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise self._not_taken(_reason(error)) from None

    def _request(self, message: Message) -> urllib.request.Request:
        headers = {"Content-Type": "application/json", "Idempotency-Key": message.key, "User-Agent": "pcedge"}
        if self._authorization:
            headers["Authorization"] = self._authorization
        return urllib.request.Request(self._url, message.body.encode(), headers, method="POST")

    def _not_taken(self, why: str) -> MessageError:
        return MessageError(f"{self._shown}: {why}.", "Events wait on disk until it takes them.")

    def _failed(self, why: str) -> OutputError:
        return OutputError(f"{self._shown}: {why}.", "Events wait on disk until it answers.")


def _trusting(ca_file: str) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file or None)
    except OSError as error:  # ssl.SSLError is one too
        raise OptionError(
            f"sinks.webhook: ca_file {ca_file} cannot be used: {error.strerror or error}.",
            "Name a file of certificates in PEM format.",
        ) from error


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Refuses redirects: a redirected POST would become a GET without the event."""

    def redirect_request(self, *_: object) -> None:
        """Do not follow a redirect."""


def _without_login(url: str) -> tuple[str, str]:
    """Return the URL without ``user:password@``, and the matching ``Authorization`` header."""
    parts = urlsplit(url)
    login, at, host = parts.netloc.rpartition("@")
    if not at:
        return url, ""
    basic = base64.b64encode(unquote(login).encode()).decode()
    return urlunsplit(parts._replace(netloc=host)), f"Basic {basic}"


def _reason(error: Exception) -> str:
    cause = getattr(error, "reason", error)
    if isinstance(cause, TimeoutError):
        return "no answer in time"
    return getattr(cause, "strerror", None) or type(cause).__name__


class WebhookTable(SinkTable, frozen=True):
    """``[sinks.webhook]``: a URL that receives events by POST.

    Attributes:
        url: The URL; one of ``url``, ``url_env`` and ``url_file`` is needed.
        url_env: The environment variable that holds the URL, for a URL with a secret.
        url_file: A file whose first line is the URL.
        token_env: The environment variable with the token that is sent as ``Authorization: Bearer ...``.
        token_file: A file whose first line is the token.
        ca_file: Certificates to trust instead of the system's, as for a proxy with its own; a PEM file.
        timeout_s: Seconds to wait for an answer.
        verdicts: Which events are sent.
        max_waiting: Maximum number of events that wait on disk.
    """

    url: str = ""
    url_env: str = ""
    url_file: str = ""
    token_env: str = ""
    token_file: str = ""
    ca_file: str = ""
    timeout_s: Annotated[float, Meta(gt=0, le=60)] = 5.0
    verdicts: tuple[VerdictName, ...] = ("REVIEW", "NG", "INVALID")
    max_waiting: Count = 1_000_000

    def __post_init__(self) -> None:
        if not (self.url or self.url_env or self.url_file):
            raise ValueError("webhook needs url, url_env or url_file")


def _make(table: WebhookTable, output: Path) -> Posted:
    url = read_secret("sinks.webhook: url", env=table.url_env, file=table.url_file)
    token = read_secret("sinks.webhook: token", env=table.token_env, file=table.token_file)
    transport = WebhookTransport(
        url.value if url else table.url, token=token, timeout_s=table.timeout_s, ca_file=table.ca_file
    )
    outbox = Outbox(output / "outbox" / "webhook.sqlite", max_messages=table.max_waiting)
    return Posted(transport, outbox, verdicts=[Verdict(name) for name in table.verdicts])


KIND = SinkKind("webhook", WebhookTable, _make)
