"""A record whose features are a picture, as an image that a page can show."""

import base64
import io
from collections.abc import Mapping
from numbers import Real
from typing import Any

import numpy as np
from PIL import Image

from streamlearn.pipelines.base import Pipeline


def draw_picture(record: Mapping[str, Any], pipeline: Pipeline) -> str | None:
    """Return a PNG as a data URL, a pixel a number, ink where it is large; None where there is no picture.

    `Display.picture` says how many rows and columns it has; the field is the first list of so many numbers.
    """
    shape = pipeline.display.picture
    if shape is None:
        return None
    count = shape[0] * shape[1]
    for value in record.values():
        if isinstance(value, list) and len(value) == count and all(isinstance(v, Real) for v in value):
            ink = np.array(value, dtype=np.float64).reshape(shape)
            share = np.clip(ink / max(1.0, np.nanmax(ink)), 0, 1)
            # Ink is opaque black: where paper is transparent, the page's own shows through.
            pixels = np.zeros((*shape, 2), dtype=np.uint8)
            pixels[..., 1] = np.round(255 * np.nan_to_num(share))
            data = io.BytesIO()
            Image.fromarray(pixels, "LA").save(data, "PNG")
            return "data:image/png;base64," + base64.b64encode(data.getvalue()).decode("ascii")
    return None
