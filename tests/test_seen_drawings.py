"""Drawings as drawing programs and canvas libraries write them, beside the same strokes drawn plainly."""

# ruff: noqa: E501 (markup as it is written)

import base64
import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from drawn import SVG
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from serving.drawing.decoding import decode_drawing
from serving.drawing.drawing import make_picture
from streamlearn.errors import BadDrawing

D = "M25 20 C60 5 85 30 50 48 C95 55 75 100 25 82"
"""A 3, without a closed loop: filled, it is something else."""

BOX = 'xmlns="http://www.w3.org/2000/svg" viewBox="0 0 120 120"'
PEN = 'fill="none" stroke="black" stroke-width="8"'
THREE = f'<path d="{D}" {PEN}/>'
WHITE = THREE.replace("black", "white")
RING = '<circle cx="60" cy="60" r="50" fill="none" stroke="black" stroke-width="9"/>'
ENCODED_PEN = "fill:none;stroke:#000;stroke-width:8px"


def svg(body: str, attributes: str = BOX) -> str:
    return f"<svg {attributes}>{body}</svg>"


def sized(attributes: str) -> str:
    return svg(THREE, f'xmlns="http://www.w3.org/2000/svg" {attributes}')


PLAIN = svg(THREE)

PAINT = {
    "inherited from the root": svg(f'<path d="{D}"/>', f"{BOX} {PEN}"),
    "inherited from a group": svg(f'<g {PEN}><g><path d="{D}"/></g></g>'),
    "a class": svg(f'<style>.a{{{ENCODED_PEN}}}</style><path class="a" d="{D}"/>'),
    "a class in CDATA with comments": svg(
        f'<style type="text/css"><![CDATA[/* x */ .st0 {{{ENCODED_PEN}}}]]></style><path class="b st0" d="{D}"/>'
    ),
    "an element and an id": svg(
        f'<style>path{{{ENCODED_PEN};fill:red}}#p{{fill:none}}</style><path id="p" d="{D}"/>'
    ),
    "style beats attributes": svg(f'<path d="{D}" fill="black" stroke="none" style="{ENCODED_PEN}"/>'),
    "a class beats attributes": svg(
        f'<style>.a{{{ENCODED_PEN}}}</style><path class="a" fill="black" d="{D}"/>'
    ),
    "currentColor": svg(f'<g color="#102030"><path d="{D}" {PEN.replace("black", "currentColor")}/></g>'),
    "a custom property": svg(
        f'<style>:root{{--ink:#123}}</style><path d="{D}" {PEN} style="stroke:var(--ink)"/>'
    ),
    "a custom property's fallback": svg(f'<path d="{D}" {PEN} style="stroke:var(--ink, rgb(1, 2, 3))"/>'),
    "a colour that the renderer does not know": svg(
        f'<path d="{D}" {PEN} style="stroke:black;stroke:color(display-p3 0 0 0)"/>'
    ),
    "light-dark()": svg(f'<path d="{D}" {PEN} style="stroke:light-dark(rgb(0, 0, 0), rgb(255, 255, 255))"/>'),
    "rgb() with spaces": svg(THREE.replace("black", "rgb(0 0 0 / 80%)")),
    "a dashed pen": svg(THREE.replace("/>", ' stroke-dasharray="2 4"/>')),
    "an import and a font": svg(
        f"<style>@import url(http://localhost:1/x.css);@font-face{{font-family:x;src:url(http://localhost:1/f)}}"
        f".a{{{ENCODED_PEN}}}</style><path class='a' d='{D}'/>"
    ),
}

HIDDEN = {
    "display": svg(f'{THREE}<g style="display:none">{RING}</g>'),
    "display as an attribute": svg(f'{THREE}<g display="none">{RING}</g>'),
    "visibility": svg(f'{THREE}<g visibility="hidden">{RING}</g>'),
    "a visible part of a hidden group": svg(
        f'<g visibility="hidden">{RING}<g visibility="visible">{THREE}</g></g>'
    ),
    "opacity": svg(f'{THREE}<g opacity="0"><g opacity="1">{RING}</g></g>'),
    "opacity in a style": svg(f'{THREE}<g style="opacity: 0%">{RING}</g>'),
    "a class": svg(f'<style>.h{{opacity:0}}</style>{THREE}<g class="h">{RING}</g>'),
    "a faint template": svg(f'<g opacity=".15">{RING}</g>{THREE}'),
    "a faint template in faint groups": svg(f'<g opacity=".5"><g opacity=".3">{RING}</g></g>{THREE}'),
    "faint grid lines": svg(
        "".join(f'<path d="M{i} 0V120M0 {i}H120" stroke="#ddd"/>' for i in range(0, 120, 10)) + THREE
    ),
    "painted over": svg(f'{RING}<rect width="120" height="120" fill="white"/>{THREE}'),
    "definitions": svg(f'<defs>{RING}</defs><symbol id="s">{RING}</symbol>{THREE}'),
    "clipped": svg(
        f'<clipPath id="c"><rect width="1" height="1"/></clipPath><g clip-path="url(#c)">{RING}</g>{THREE}'
    ),
    "clipped by a class": svg(
        f'<style>.c{{clip-path:url(#c)}}</style><clipPath id="c"><rect width="1" height="1"/></clipPath>'
        f'<g class="c">{RING}</g>{THREE}'
    ),
    "masked": svg(f'<mask id="m"><rect width="120" height="120"/></mask><g mask="url(#m)">{RING}</g>{THREE}'),
    "beyond the page": svg(f'<g transform="translate(200)">{RING}</g>{THREE}'),
    "another program's data": svg(
        f'<x:g xmlns:x="http://example.org/x">{RING}</x:g><!-- {RING.replace("--", "")} -->{THREE}'
    ),
}

GRADIENT = (
    '<linearGradient id="g"><stop stop-color="{}"/><stop offset="1" stop-color="{}"/></linearGradient>'
    '<rect width="100%" height="100%" fill="url(#g)"/>'
)
LIGHT = {
    "white on black": svg(f'<rect width="100%" height="100%" fill="black"/>{WHITE}'),
    "white on nothing": svg(WHITE),
    "white on a CSS background": svg(WHITE, f'{BOX} style="background:#111"'),
    "white on the background of a class": svg(
        f"<style>.p{{background-color: #112}}</style>{WHITE}", f'{BOX} class="p"'
    ),
    "yellow on blue": svg(f'<rect width="120" height="120" fill="#114"/>{THREE.replace("black", "yellow")}'),
    "as light as its ground": svg(
        f'<rect width="120" height="120" fill="#808080"/>{THREE.replace("black", "#4499a3")}'
    ),
    "grey": svg(THREE.replace("black", "#ccc")),
    "half transparent": svg(THREE.replace("/>", ' stroke-opacity=".5"/>')),
    "half transparent white on black": svg(f'<rect width="120" height="120"/><g opacity=".5">{WHITE}</g>'),
    "two strokes of a transparent pen": svg(
        f'<g {PEN} stroke-opacity=".3"><path d="M25 20 C60 5 85 30 50 48"/>'
        '<path d="M50 48 C95 55 75 100 25 82"/></g>'
    ),
    "a dark gradient": svg(GRADIENT.format("#000", "#88f") + WHITE),
    "a light gradient": svg(GRADIENT.format("#fff", "#aaa") + THREE),
    "a page with round corners": svg(f'<rect width="120" height="120" rx="20"/>{WHITE}'),
    "a card": svg(
        f'<rect x="-10" y="-10" rx="12" width="140" height="140" fill="#024"/>{WHITE}',
        'xmlns="http://www.w3.org/2000/svg" viewBox="-30 -30 180 180"',
    ),
    "a disc": svg(
        f'<circle cx="55" cy="50" r="70" fill="#135"/>{THREE.replace("black", "#ff8")}',
        'xmlns="http://www.w3.org/2000/svg" viewBox="-30 -30 180 180"',
    ),
    "a frame": svg(
        f'<rect x="-10" y="-10" width="140" height="140" fill="white" stroke="black" stroke-width="3"/>{THREE}',
        'xmlns="http://www.w3.org/2000/svg" viewBox="-30 -30 180 180"',
    ),
    "a white card on a dark page": svg(
        f'<rect x="-30" y="-30" width="100%" height="100%" fill="#222"/>'
        f'<rect x="-10" y="-10" width="140" height="140" fill="white"/>{THREE}',
        'xmlns="http://www.w3.org/2000/svg" viewBox="-30 -30 180 180"',
    ),
}

PAGES = {
    "mm": sized('width="210mm" height="297mm" viewBox="0 0 210 297"'),
    "em": sized('width="10em" height="10em" viewBox="0 0 120 120"'),
    "auto": sized('width="auto" height="auto" viewBox="0 0 120 120"'),
    "per cent": sized('width="100%" height="100%" viewBox="0 0 120 120"'),
    "in a style": sized('style="width:12cm;height:12cm" viewBox="0 0 120 120"'),
    "inches without a viewBox": sized('width="2in" height="2in"'),
    "no size": sized(""),
    "no size, white on black": svg(
        f'<rect width="100%" height="100%"/>{WHITE}', 'xmlns="http://www.w3.org/2000/svg"'
    ),
    "no size, white on a black rectangle": svg(
        f'<rect width="120" height="120"/>{WHITE}', 'xmlns="http://www.w3.org/2000/svg"'
    ),
    "a negative origin and commas": svg(
        f'<g transform="translate(-60,-60)">{THREE}</g>',
        'xmlns="http://www.w3.org/2000/svg" viewBox="-60,-60,120,120"',
    ),
    "a large page": sized('viewBox="0 0 2000 2000"'),
    "hundredths of a millimetre": svg(
        f'<g transform="scale(100)">{THREE}</g>',
        'xmlns="http://www.w3.org/2000/svg" width="210mm" height="297mm" viewBox="0 0 21000 29700"',
    ),
    "a page in a page": svg(
        f'<svg x="10" y="10" width="50%" height="50%" viewBox="0 0 120 120">{THREE}</svg>'
    ),
    "use": svg(
        f'<defs><g id="a">{THREE}</g></defs><use xlink:href="#a" x="5"/>',
        f'{BOX} xmlns:xlink="http://www.w3.org/1999/xlink"',
    ),
    "use, without the declaration": svg(f'<defs><g id="a">{THREE}</g></defs><use xlink:href="#a"/>'),
    "a symbol": svg(
        f'<symbol id="s" viewBox="0 0 120 120">{THREE}</symbol><use href="#s" width="60" height="60" x="20"/>'
    ),
    "transforms in CSS": svg(
        '<g style="transform: translate(120px, 0px) rotate(90deg)">'
        f'<g transform="rotate(-90) translate(-120)">{THREE}</g></g>'
    ),
}

PROGRAMS = {
    "Inkscape": (
        '<?xml version="1.0" encoding="UTF-8" standalone="no"?>\n<!-- Created with Inkscape -->\n'
        '<svg width="210mm" height="297mm" viewBox="0 0 210 297" version="1.1" id="svg1"'
        ' xmlns:inkscape="http://www.inkscape.org/namespaces/inkscape"'
        ' xmlns:sodipodi="http://sodipodi.sourceforge.net/DTD/sodipodi-0.dtd" xmlns="http://www.w3.org/2000/svg">'
        '<sodipodi:namedview pagecolor="#ffffff" inkscape:pageopacity="0.0"/><defs id="defs1"/>'
        '<g inkscape:label="Layer 1" inkscape:groupmode="layer" transform="translate(20,30)">'
        f'<path style="{ENCODED_PEN};stroke-dasharray:none;stroke-opacity:1;-inkscape-stroke:none" d="{D}"/></g>'
        f'<g inkscape:groupmode="layer" style="display:none">{RING}</g></svg>'
    ),
    "Illustrator": (
        '<?xml version="1.0" encoding="utf-8"?><svg version="1.1" id="Layer_1"'
        ' xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" x="0px" y="0px"'
        ' viewBox="0 0 120 120" style="enable-background:new 0 0 120 120;" xml:space="preserve">'
        '<style type="text/css">\n\t.st0{clip-path:url(#SVGID_2_);}\n'
        "\t.st1{fill:none;stroke:#231F20;stroke-width:8;stroke-miterlimit:10;}\n</style><defs>"
        '<rect id="SVGID_1_" width="120" height="120"/></defs><clipPath id="SVGID_2_">'
        '<use xlink:href="#SVGID_1_" style="overflow:visible;"/></clipPath>'
        f'<g class="st0"><path class="st1" d="{D}"/></g></svg>'
    ),
    "Figma": svg(
        '<g clip-path="url(#clip0_1_2)"><rect width="120" height="120" fill="white" style="fill:white;fill-opacity:1"/>'
        f'<path d="{D}" stroke="black" style="stroke:black;stroke-opacity:1" stroke-width="8"/></g><defs>'
        '<clipPath id="clip0_1_2"><rect width="120" height="120" fill="white"/></clipPath></defs>',
        f'width="120" height="120" fill="none" {BOX}',
    ),
    "Excalidraw": svg(
        '<!-- svg-source:excalidraw --><metadata></metadata><defs><style class="style-fonts">@font-face '
        "{ font-family: Virgil; src: url(data:font/woff2;base64,AA==); }</style></defs>"
        '<rect x="0" y="0" width="120" height="120" fill="#ffffff"></rect><g stroke-linecap="round">'
        f'<g transform="translate(0 0) rotate(0 30 30)"><path d="{D}" stroke="#1e1e1e" stroke-width="8" fill="none">'
        "</path></g></g><mask></mask>"
    ),
    "Fabric.js": (
        '<?xml version="1.0" encoding="UTF-8" standalone="no" ?>\n<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN"'
        ' "http://www.w3.org/Graphics/SVG/1.1/DTD/svg11.dtd">\n<svg xmlns="http://www.w3.org/2000/svg"'
        ' xmlns:xlink="http://www.w3.org/1999/xlink" version="1.1" width="120" height="120" viewBox="0 0 120 120"'
        ' xml:space="preserve">\n<desc>Created with Fabric.js 5.3.0</desc><defs></defs>\n'
        '<rect x="0" y="0" width="100%" height="100%" fill="rgb(20,20,20)"></rect>\n'
        '<g transform="matrix(1 0 0 1 60 60)"  ><path style="stroke: rgb(255,255,255); stroke-width: 8;'
        " stroke-dasharray: none; stroke-linecap: butt; stroke-dashoffset: 0; stroke-linejoin: miter;"
        f' fill: none; fill-rule: nonzero; opacity: 1;"  transform=" translate(-60, -60)" d="{D}" /></g></svg>'
    ),
    "canvas2svg (Konva)": svg(
        '<defs/><g><rect fill="#FFFFFF" stroke="none" x="0" y="0" width="120" height="120"/>'
        f'<path fill="none" stroke="#000000" paint-order="fill stroke markers" d="{D}" stroke-miterlimit="10"'
        ' stroke-width="8" stroke-dasharray=""/></g>',
        'version="1.1" xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
        ' width="120" height="120"',
    ),
    "signature_pad": svg(
        '<path d="M 25,20 C 60,5 85,30 50,48" stroke-width="8.250" stroke="black" fill="none"></path>'
        '<path d="M 50,48 C 95,55 75,100 25,82" stroke-width="7.750" stroke="black" fill="none"></path>',
        'xmlns="http://www.w3.org/2000/svg" viewBox="0 0 120 120" width="120" height="120"',
    ),
    "a prefix": (
        f'<svg:svg xmlns:svg="http://www.w3.org/2000/svg" viewBox="0 0 120 120"><svg:path d="{D}" {PEN}/></svg:svg>'
    ),
    "a byte order mark and a declaration": f'\ufeff<?xml version="1.0"?>\n{PLAIN}',
    "space before the declaration": f'\n <?xml version="1.0"?>\n{PLAIN}',
}


def render(mode: str = "RGBA", side: int = 240) -> Image.Image:
    """Return the 3 as a raster picture, black on transparent, drawn by Pillow from its curves."""
    t = np.linspace(0, 1, 200)[:, None]
    image = Image.new("L", (side, side))
    pixels = np.zeros((side, side))
    y, x = np.mgrid[0:side, 0:side] * (120 / side)
    for curve in ([(25, 20), (60, 5), (85, 30), (50, 48)], [(50, 48), (95, 55), (75, 100), (25, 82)]):
        a, b, c, d = (np.array(point) for point in curve)
        for px, py in (1 - t) ** 3 * a + 3 * (1 - t) ** 2 * t * b + 3 * (1 - t) * t**2 * c + t**3 * d:
            pixels = np.maximum(pixels, np.clip(4.5 - np.hypot(x - px, y - py), 0, 1))
    alpha = Image.fromarray((pixels * 255).astype(np.uint8))
    black = image.copy()
    return Image.merge("RGBA", (black, black, black, alpha))


def encode(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


BLACK = render()
ALPHA = BLACK.getchannel("A")
PAPER = Image.new("RGBA", BLACK.size, "white")
PAPER.alpha_composite(BLACK)
TURNED = Image.Exif()
TURNED[0x0112] = 6


def photograph() -> Image.Image:
    """A blue pen on paper that is lit from one side, with noise."""
    y, x = np.mgrid[0:600, 0:800] / 700
    light = 0.55 + 0.35 * x - 0.2 * y + 0.1 * x * y
    ink = np.zeros((600, 800))
    ink[150:450, 200:500] = np.asarray(ALPHA.resize((300, 300))) / 255
    colours = light[..., None] * [1, 0.97, 0.9] * (1 - ink[..., None] * [0.8, 0.75, 0.5])
    noise = np.random.default_rng(0).normal(0, 0.02, (600, 800, 1))
    return Image.fromarray(((colours + noise).clip(0, 1) * 255).astype(np.uint8))


RASTERS = {
    "transparent": encode(BLACK),
    "white pen on transparent": encode(Image.merge("RGBA", [Image.new("L", BLACK.size, 255)] * 3 + [ALPHA])),
    "on white": encode(PAPER),
    "grey": encode(PAPER.convert("L")),
    "white on black": encode(ALPHA),
    "a palette": encode(PAPER.convert("P")),
    "a transparent palette": encode(BLACK.quantize(8)),
    "grey with alpha": encode(BLACK.convert("LA")),
    "16 bits": encode(Image.fromarray(65_535 - np.asarray(ALPHA, dtype=np.uint16) * 257)),
    "1 bit": encode(PAPER.convert("1")),
    "JPEG": encode(PAPER.convert("RGB"), "JPEG"),
    "JPEG in CMYK": encode(PAPER.convert("CMYK"), "JPEG"),
    "JPEG, turned by its EXIF": encode(PAPER.convert("RGB").rotate(90, expand=True), "JPEG", exif=TURNED),
    "WebP": encode(PAPER, "WEBP"),
    "GIF": encode(PAPER.convert("P"), "GIF"),
    "a photograph": encode(photograph(), "JPEG", quality=60),
    "28 by 28": encode(ALPHA.resize((28, 28), Image.Resampling.BOX)),
    "inside an SVG": svg(
        f'<image width="120" height="120" href="data:image/png;base64,{base64.b64encode(encode(BLACK)).decode()}"/>'
    ).encode(),
}

SEEN = {
    f"{group}: {name}": drawing if isinstance(drawing, bytes) else drawing.encode()
    for group, drawings in (
        ("paint", PAINT), ("hidden", HIDDEN), ("light", LIGHT), ("page", PAGES),
        ("program", PROGRAMS), ("raster", RASTERS),
    )
    for name, drawing in drawings.items()
}  # fmt: skip


def differ(one: bytes, other: bytes) -> float:
    """Return by how many of 16 points a block of one picture differs from the other's, on average."""
    return float(np.abs(make_picture(one) - make_picture(other)).mean())


@pytest.mark.parametrize("drawing", SEEN.values(), ids=SEEN)
def test_a_drawing_is_read_as_it_is_seen(drawing: bytes) -> None:
    # Where a shape that cannot be seen counts, or the 3 is filled, the difference is 2 to 6.
    assert differ(drawing, PLAIN.encode()) < 1


@pytest.mark.parametrize("pen", [0.5, 2, 10, 24, 30])
def test_a_0_with_straight_sides_is_no_card(pen: float) -> None:
    frame = '<rect x="{x}" y="20" width="{w}" height="160" fill="none" stroke="black" stroke-width="{pen}"/>'
    alone = SVG.format(frame.format(x=50, w=100, pen=pen)).encode()
    filled = frame.replace('fill="none"', 'fill="white"').format(x=50, w=100, pen=pen)
    assert differ(SVG.format(filled).encode(), alone) == 0
    assert (
        make_picture(alone).reshape(8, 8)[3:5, [1, 2, 5, 6]].sum()
        > make_picture(alone).reshape(8, 8)[3:5, 3:5].sum()
    )


FORMS: dict[str, Callable[[bytes], str]] = {
    "one line": lambda data: base64.b64encode(data).decode(),
    "76 to a line": lambda data: base64.encodebytes(data).decode(),
    "76 to a line, CRLF": lambda data: base64.encodebytes(data).decode().replace("\n", "\r\n"),
    "64 to a line, joined by spaces": lambda data: " ".join(
        base64.b64encode(data).decode()[start : start + 64] for start in range(0, len(data) * 4 // 3 + 3, 64)
    ),
    "indented": lambda data: base64.encodebytes(data).decode().replace("\n", "\n    "),
    "+ as a space": lambda data: base64.b64encode(data).decode().replace("+", " "),
    "URL-safe, not padded": lambda data: base64.urlsafe_b64encode(data).decode().rstrip("="),
    "escaped": lambda data: base64.b64encode(data).decode().replace("+", "%2B").replace("=", "%3D"),
    "a data URL": lambda data: "data:image/png;base64," + base64.b64encode(data).decode(),
    "a data URL with a charset, in lines": lambda data: (
        "data:image/svg+xml;charset=utf-8;base64,\n" + base64.encodebytes(data).decode()
    ),
    "the tutorial's prefix": lambda data: "image/svg+xml;base64," + base64.b64encode(data).decode(),
    "a data URL in per cent": lambda data: "data:image/svg+xml," + "".join(f"%{byte:02X}" for byte in data),
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("size", [1, 2, 3, 57, 200, 300, 1001])
def test_base64_is_read_in_all_its_forms(form: Callable[[bytes], str], size: int) -> None:
    data = b"<" + np.random.default_rng(size).bytes(size) + b">"
    assert decode_drawing(form(data)) == data


def test_an_svg_is_read_as_it_is() -> None:
    assert decode_drawing(f"\n{PLAIN}") == PLAIN.encode()
    assert decode_drawing(f"data:image/svg+xml;utf8,{PLAIN}") == PLAIN.encode()


@pytest.mark.parametrize("text", ["%%%", "é", "A", "A*==", "data:image/png;base64,***"])
def test_what_is_not_base64_is_refused(text: str) -> None:
    with pytest.raises(BadDrawing, match="not base64"):
        decode_drawing(text)


def write_png(width: int, height: int) -> bytes:
    """Return a small file of a black picture, as large as it says, of one bit a pixel."""
    parts = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)),
        (b"IDAT", zlib.compress(bytes((width + 7) // 8 + 1) * height, 9)),
        (b"IEND", b""),
    ]
    chunks = (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in parts
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


MASKS = "".join(
    f'<mask id="m{i}"><rect width="9" height="9" mask="url(#m{i + 1})"/><rect width="9" height="9" mask="url(#m{i + 1})"/></mask>'
    for i in range(6)
)
REFUSED = {
    "nothing": (b"", "not an SVG, and not a PNG"),
    "text": (b"hello", "not an SVG, and not a PNG"),
    "transparent": (encode(Image.new("RGBA", (50, 50))), "empty"),
    "blank": (encode(Image.new("L", (50, 50), 255)), "empty"),
    "white on white": (svg(f'<rect width="120" height="120" fill="white"/>{WHITE}').encode(), "empty"),
    "only text": (svg('<text x="9" y="99" font-size="99">3</text>').encode(), "convert it to paths"),
    "all hidden": (svg(f'<g opacity="0">{THREE}</g>').encode(), "empty"),
    "a large picture": (write_png(6_000, 6_000), "more than 12,000,000"),
    "a huge picture": (write_png(30_000, 30_000), "cannot be read"),
    "a large picture inside": (
        svg(
            f'<image href="data:image/png;base64,{base64.b64encode(write_png(6_000, 6_000)).decode()}"/>'
        ).encode(),
        "more than 12,000,000",
    ),
    "a damaged picture": (encode(PAPER, "WEBP")[:60], "cannot be read"),
    "a slim picture": (encode(Image.new("L", (500, 2))), "differ more than 100 times"),
    "uses of uses": (
        svg(
            "".join(f'<g id="a{i}">' + f'<use href="#a{i + 1}"/>' * 10 + "</g>" for i in range(9))
            + f'<g id="a9">{THREE}</g>'
        ).encode(),
        "more than 2000 shapes",
    ),
    "a use of itself": (svg('<g id="a"><use href="#a"/></g>').encode(), "refers to itself"),
    "a chain of uses": (
        svg("".join(f'<use id="u{i}" href="#u{i + 1}"/>' for i in range(1500))).encode(),
        "more than 32 deep",
    ),
    "masks of masks": (
        svg(MASKS + '<rect width="9" height="9" mask="url(#m0)"/>').encode(),
        "masks, clip paths",
    ),
    "a mask of itself, by its class": (
        svg(
            '<style>.a{mask:url(#m)}</style><mask id="m"><rect class="a"/></mask><rect mask="url(#m)"/>'
        ).encode(),
        "refers to itself",
    ),
    "much in a use": (
        svg(f'<path id="p" d="M0 0{"L9 9" * 50}"/>' + '<use href="#p"/>' * 500).encode(),
        "more than 20000 coordinates",
    ),
    "many rules": (svg(f"<style>{'a,' * 600}a{{fill:red}}</style>").encode(), "more than 500 style rules"),
    "many rules for many elements": (
        svg(f"<style>{'a{fill:red}' * 400}</style>{'<a/>' * 400}").encode(),
        "400 style rules for 402 elements",
    ),
}


@pytest.mark.parametrize(("drawing", "reason"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_seen_or_would_take_long_is_refused(drawing: bytes, reason: str) -> None:
    with pytest.raises(BadDrawing, match=reason):
        make_picture(drawing)


def test_of_two_elements_of_one_name_the_first_counts() -> None:
    twice = f'<g id="a">{THREE}</g><use href="#a"/><g id="a" opacity="0"><use href="#a"/></g>'
    assert differ(svg(twice).encode(), PLAIN.encode()) < 0.5


@pytest.mark.parametrize("address", ["file://{}", "{}", "#../{}", "data:image/svg+xml,{}"])
def test_no_file_is_read(address: str, tmp_path: Path) -> None:
    trap = tmp_path / "trap.png"
    trap.write_bytes(encode(Image.new("L", (120, 120))))
    place = address.format(trap)
    extra = (
        f'<image href="{place}" width="99" height="99"/><use href="{place}"/><feImage href="{place}"/>'
        f'<rect width="99" height="99" fill="url({place})"/>'
        f'<style>.x{{fill:url("{place}")}}</style><rect class="x" width="99" height="99" fill="none"/>'
    )
    assert differ(svg(THREE + extra).encode(), PLAIN.encode()) == 0


NAMES = st.sampled_from(
    [
        "g",
        "path",
        "rect",
        "circle",
        "use",
        "svg",
        "symbol",
        "defs",
        "mask",
        "clipPath",
        "style",
        "image",
        "text",
        "a",
        "linearGradient",
    ]
)
VALUES = st.sampled_from(
    [
        "", "0", "1", "-5", "50%", "1e30", "nan", "9mm", "none", "black", "white", "url(#a)", "#a", "#b", "a", "b",
        "rotate(30)", "scale(0)", "scale(1e9)", "M0 0L50 50", "M9 9h50v50z", "0 0 9 9", "0 0 0 0", "hidden", ".5",
        "fill:red;opacity:.3", "mask:url(#b)", "data:image/png;base64,AAAA", "var(--x)", "rgb(", "url(", "url(#",
    ]
)  # fmt: skip
ATTRIBUTES = st.dictionaries(
    st.sampled_from(
        [
            "id",
            "href",
            "class",
            "style",
            "d",
            "x",
            "y",
            "r",
            "cx",
            "width",
            "height",
            "viewBox",
            "fill",
            "stroke",
            "stroke-width",
            "opacity",
            "mask",
            "clip-path",
            "transform",
            "display",
            "preserveAspectRatio",
        ]
    ),
    VALUES,
    max_size=5,
)


@st.composite
def trees(draw: st.DrawFn, depth: int = 0) -> str:
    attributes = "".join(f' {name}="{value}"' for name, value in draw(ATTRIBUTES).items())
    children = [] if depth > 3 else draw(st.lists(trees(depth + 1), max_size=4))
    name = draw(NAMES) if depth else "svg"
    return f"<{name}{attributes}>{''.join(children)}</{name}>"


@settings(max_examples=150, deadline=None)
@given(trees())
def test_any_svg_is_read_or_refused(tree: str) -> None:
    try:
        picture = make_picture(tree.encode())
    except BadDrawing:
        return
    assert picture.shape == (64,)
    assert ((picture >= 0) & (picture <= 16)).all()


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")  # of damaged Exif data, which nobody looks at
@settings(max_examples=150, deadline=None)
@given(st.sampled_from(list(RASTERS.values())), st.data())
def test_damaged_pictures_are_read_or_refused(whole: bytes, data: st.DataObject) -> None:
    damaged = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 8))):
        damaged[data.draw(st.integers(0, min(len(damaged), 600) - 1))] = data.draw(st.integers(0, 255))
    try:
        picture = make_picture(bytes(damaged[: data.draw(st.integers(1, len(damaged)))]))
    except BadDrawing:
        return
    assert picture.shape == (64,)
