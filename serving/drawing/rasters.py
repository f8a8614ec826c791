"""Reads a stranger's PNG, JPEG, WebP or GIF, within limits of size, upright and with its transparency."""

import io
import struct

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from streamlearn.errors import BadDrawing

MAX_BYTES = 4 << 20
"""The largest picture, as a file."""

_MAX_PIXELS = 12_000_000
"""The largest picture, unpacked."""

_SIDE_PX = 1024
"""The larger side at which a picture is kept; a digit needs no more."""

_FORMATS = ("PNG", "JPEG", "WEBP", "GIF")


def read_image(data: bytes) -> Image.Image:
    """Return a picture as RGBA, at most 1,024 pixels on a side.

    Raises
    ------
    BadDrawing
        The bytes are none of the four formats, end too early, or are too large.
    """
    if len(data) > MAX_BYTES:
        raise BadDrawing(f"the picture is larger than {MAX_BYTES >> 20} MiB")
    try:
        image: Image.Image = Image.open(io.BytesIO(data), formats=_FORMATS)
        # A JPEG can be unpacked smaller than it is.
        image.draft("RGB", (_SIDE_PX, _SIDE_PX))
        if image.width * image.height > _MAX_PIXELS:
            raise BadDrawing(
                f"the picture has {image.width} × {image.height} pixels, more than {_MAX_PIXELS:,}:"
                " send a smaller one"
            )
        image.load()
        image = _convert(ImageOps.exif_transpose(image))
    except BadDrawing:
        raise
    except UnidentifiedImageError as error:
        raise BadDrawing("the drawing is not an SVG, and not a PNG, JPEG, WebP or GIF picture") from error
    # What Pillow raises over damaged bytes depends on the format.
    except (
        OSError,
        ValueError,
        SyntaxError,
        TypeError,
        LookupError,
        OverflowError,
        EOFError,
        struct.error,
        MemoryError,
        Image.DecompressionBombError,
        Image.DecompressionBombWarning,
    ) as error:
        raise BadDrawing(f"the picture cannot be read: {error}") from error
    image.thumbnail((_SIDE_PX, _SIDE_PX), Image.Resampling.BOX)
    return image


def _convert(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):
        # 16 bits of grey; Pillow's own conversion would cut them off at 255.
        grey = np.asarray(image, dtype=np.float64) / 65_535 * 255
        image = Image.fromarray(np.clip(grey, 0, 255).astype(np.uint8))
    return image.convert("RGBA")
