"""Decodes the text in which a form sends a drawing: base64 in any form, a data URL, or SVG as it is."""

import base64
import binascii
import re
from urllib.parse import unquote, unquote_to_bytes

from streamlearn.errors import BadDrawing

_DATA_URL = re.compile(r"data:[^,]{0,200},", re.IGNORECASE)
_URL_SAFE = str.maketrans("-_", "+/")
_LINE_CHARS = (60, 64, 72, 76)
"""The lengths of the lines in which programs write base64."""


def decode_drawing(text: str) -> bytes:
    """Return the bytes of a drawing.

    Parameters
    ----------
    text
        base64, standard or URL-safe, in one line or several, padded or not; a data URL; or an SVG as it is.

    Raises
    ------
    BadDrawing
        The text is none of these.
    """
    text = text.lstrip("\ufeff \t\r\n").rstrip("\t\r\n")
    if text.startswith("<"):
        return text.encode()
    head = _DATA_URL.match(text)
    if head and not re.search(r";\s*base64\s*,$", head[0], re.IGNORECASE):
        return unquote_to_bytes(text[head.end() :])
    # The tutorial's own prefix has no `data:`.
    encoded = unquote(text.rpartition("base64,")[2])
    digits = _join_lines(encoded).translate(_URL_SAFE).rstrip("=")
    try:
        return base64.b64decode(digits + "=" * (-len(digits) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadDrawing(f"imgStr is not base64: {error}") from error


def _join_lines(encoded: str) -> str:
    """Join the lines; in a form, a + that is not escaped arrives as a space, as do line ends in a shell."""
    lines = encoded.split()
    lengths = {len(line) for line in lines[:-1]}
    if len(lengths) > 1 or not lengths <= set(_LINE_CHARS):
        lines = [line.strip().replace(" ", "+") for line in encoded.splitlines()]
    joined = "".join(lines)
    # An SVG ends with >, which in every third one is written as +.
    return joined + "+" if encoded.endswith(" ") and len(joined) % 4 == 3 else joined
