"""Reads each request's body whole, within limits of size and time, before the application sees it.

A client that sends slowly then holds up nobody, and one that never stops sending is refused. The time limit
needs gevent: under any other server, reading from a socket cannot be interrupted.
"""

import io
import zlib
from collections.abc import Iterable, Iterator
from typing import Any, NoReturn

import gevent
from werkzeug.exceptions import (
    BadRequest,
    HTTPException,
    RequestEntityTooLarge,
    RequestTimeout,
    UnsupportedMediaType,
)

REFUSAL = "streamlearn.refusal"
"""The key in the WSGI environment of the error for a refused body.

The application raises it, so the answer has the same form, headers and log line as any other.
"""

_PART_BYTES = 1 << 16
_DRAIN_BYTES = 64 << 20
_DRAIN_S = 5.0

_MOST_MEMBERS = 32
"""Of so many members gzip data may consist; each is copied with all that follow it."""
_WINDOW_BITS = {"gzip": 31, "deflate": 15}
"""Content encodings, and the number by which zlib knows them."""


class BodyReader:
    """WSGI middleware that hands the application each body as bytes in memory, decompressed.

    Parameters
    ----------
    application
        The WSGI application.
    max_bytes
        The size of the largest body, both as it is sent and decompressed.
    timeout_s
        The seconds within which a body must arrive.
    """

    def __init__(self, application: Any, max_bytes: int, timeout_s: float) -> None:
        self._application = application
        self._max_bytes = max_bytes
        self._timeout_s = timeout_s

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Answer one request."""
        try:
            body = self._read(environ)
        except HTTPException as error:
            body, environ[REFUSAL] = b"", error
        environ["wsgi.input"] = io.BytesIO(body)
        environ["CONTENT_LENGTH"] = str(len(body))
        environ.pop("HTTP_TRANSFER_ENCODING", None)
        response: Iterable[bytes] = self._application(environ, start_response)
        return response

    def _read(self, environ: dict[str, Any]) -> bytes:
        header = environ.get("CONTENT_LENGTH") or ""
        if not header and "HTTP_TRANSFER_ENCODING" not in environ:
            return b""
        stream, length = environ["wsgi.input"], int(header) if header.isdecimal() else None
        if length is not None and length > self._max_bytes:
            _drain(stream, length)
            self._refuse_as_too_large()
        try:
            with gevent.Timeout(self._timeout_s, TimeoutError):
                body = b"".join(self._read_parts(stream, length))
        except TimeoutError:
            raise RequestTimeout(f"the request did not arrive within {self._timeout_s:g} s") from None
        return self._decompress(body, environ.pop("HTTP_CONTENT_ENCODING", "identity").strip().lower())

    def _read_parts(self, stream: Any, length: int | None) -> Iterator[bytes]:
        """Yield the body in parts; where `length` is None, it ends with the stream."""
        left = self._max_bytes + 1 if length is None else length
        while left > 0 and (part := stream.read(min(left, _PART_BYTES))):
            left -= len(part)
            yield part
        if length is None and left == 0:
            self._refuse_as_too_large()

    def _decompress(self, body: bytes, encoding: str) -> bytes:
        if encoding in ("identity", ""):
            return body
        if encoding not in _WINDOW_BITS:
            raise UnsupportedMediaType(
                f"the server cannot decode the content encoding {encoding[:40]!r}; use gzip or deflate"
            )
        parts: list[bytes] = []
        room = self._max_bytes
        while body or not parts:  # gzip may come in several members, one after the other
            decompressor = zlib.decompressobj(_WINDOW_BITS[encoding])
            try:
                parts.append(decompressor.decompress(body, room + 1))
            except zlib.error as error:
                raise BadRequest(f"the body is not valid {encoding}: {error}") from error
            room -= len(parts[-1])
            if room < 0:
                self._refuse_as_too_large()
            if not decompressor.eof:
                raise BadRequest(f"the body's {encoding} data ends too early")
            body = decompressor.unused_data
            if body and len(parts) == _MOST_MEMBERS:
                raise BadRequest(f"the body's {encoding} data has more than {_MOST_MEMBERS} members")
        return b"".join(parts)

    def _refuse_as_too_large(self) -> NoReturn:
        raise RequestEntityTooLarge(f"the body is larger than {self._max_bytes} bytes, the server's limit")


def _drain(stream: Any, length: int) -> None:
    """Read and discard a refused body: a client that is still sending would not see the answer."""
    left = min(length, _DRAIN_BYTES)
    with gevent.Timeout(_DRAIN_S, False):
        while left > 0 and (part := stream.read(min(left, _PART_BYTES))):
            left -= len(part)
