"""Reads each request's body whole, within limits of size and time, before the application sees it.

A client that sends slowly then holds up nobody, and one that sends for ever is told to stop. The time limit
works where gevent runs the server: elsewhere reading a socket cannot be broken off.
"""

import io
import zlib
from collections.abc import Iterable
from typing import Any

import gevent

from streamlearn.errors import NotAllowed

_PART = 1 << 16
_DRAIN_BYTES = 64 << 20
_DRAIN_S = 5.0
REFUSED = "streamlearn.refused"
"""Where the application finds why a body was refused: it answers that like any other error."""

_ENCODINGS = {"gzip": 31, "deflate": 15}
"""Content encodings, and what zlib calls them."""


class Bodies:
    """WSGI middleware; `most_bytes` is the largest body, unpacked, and `within_s` how long it may take."""

    def __init__(self, application: Any, most_bytes: int, within_s: float) -> None:
        self._application = application
        self._most = most_bytes
        self._within_s = within_s

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Answer one request."""
        try:
            body = self._read(environ)
        except NotAllowed as refused:
            body, environ[REFUSED] = b"", refused
        environ["wsgi.input"] = io.BytesIO(body)
        environ["CONTENT_LENGTH"] = str(len(body))
        environ.pop("HTTP_TRANSFER_ENCODING", None)
        answered: Iterable[bytes] = self._application(environ, start_response)
        return answered

    def _read(self, environ: dict[str, Any]) -> bytes:
        length = environ.get("CONTENT_LENGTH") or ""
        if not length and "HTTP_TRANSFER_ENCODING" not in environ:
            return b""
        if length.isdecimal() and int(length) > self._most:
            _drain(environ["wsgi.input"], int(length))
            raise self._too_large()
        try:
            with gevent.Timeout(self._within_s, TimeoutError):
                body = b"".join(
                    self._parts(environ["wsgi.input"], int(length) if length.isdecimal() else None)
                )
        except TimeoutError:
            raise NotAllowed(
                f"the request did not come in whole within {self._within_s:g} s",
                code="request_timeout",
                status=408,
            ) from None
        return self._unpacked(body, environ.pop("HTTP_CONTENT_ENCODING", "identity").strip().lower())

    def _parts(self, stream: Any, left: int | None) -> Iterable[bytes]:
        most = self._most + 1 if left is None else left
        while most > 0 and (part := stream.read(min(most, _PART))):
            most -= len(part)
            yield part
        if left is None and most == 0:
            raise self._too_large()

    def _unpacked(self, body: bytes, encoding: str) -> bytes:
        if encoding in ("identity", ""):
            return body
        if encoding not in _ENCODINGS:
            raise NotAllowed(
                f"the body's encoding {encoding[:40]!r} is neither gzip nor deflate",
                code="unsupported_media_type",
                status=415,
            )
        unpacker = zlib.decompressobj(_ENCODINGS[encoding])
        try:
            found = unpacker.decompress(body, self._most + 1)
        except zlib.error as error:
            raise NotAllowed(
                f"the body is not {encoding}: {error}", code="bad_request", status=400
            ) from error
        if len(found) > self._most:
            raise self._too_large()
        if not unpacker.eof:
            raise NotAllowed(f"the body is not whole {encoding}", code="bad_request", status=400)
        return found

    def _too_large(self) -> NotAllowed:
        return NotAllowed(
            f"the body is larger than {self._most} bytes", code="request_entity_too_large", status=413
        )


def _drain(stream: Any, length: int) -> None:
    """Read what is left of a body that is refused: a client that is still sending would see no answer."""
    left = min(length, _DRAIN_BYTES)
    with gevent.Timeout(_DRAIN_S, False):
        while left > 0 and (part := stream.read(min(left, _PART))):
            left -= len(part)
