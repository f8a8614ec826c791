import time
from collections.abc import Callable
from functools import cache
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from drawn import SVG, UNUSUAL, Drawing, draw_unusual, make_drawings

from serving.drawing import drawing, pages, vectors
from streamlearn.datasets.digits import records
from streamlearn.errors import BadDrawing
from streamlearn.learning.learner import Learner, predict_then_learn
from streamlearn.pipelines.digits import Digit, pipeline

RING = '<circle cx="{x}" cy="{y}" r="{r}" fill="none" stroke="{colour}" stroke-width="{pen}"/>'
JSIGNATURE = (
    '<?xml version="1.0" encoding="UTF-8" standalone="no"?><!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN"'
    ' "http://www.w3.org/Graphics/SVG/1.1/DTD/svg11.dtd"><svg xmlns="http://www.w3.org/2000/svg"'
    ' version="1.1" width="300" height="300"><path stroke-linejoin="round" stroke-linecap="round"'
    ' stroke-width="4" stroke="rgb(0,0,0)" fill="none" d="M 150 20 l 2 250"/></svg>'
)


def ring(x: float = 100, y: float = 100, r: float = 60, pen: float = 6, colour: str = "black") -> str:
    return SVG.format(RING.format(x=x, y=y, r=r, pen=pen, colour=colour))


def make_picture(svg: str) -> np.ndarray:
    return drawing.make_picture(svg.encode())


def test_a_picture_has_64_counts_of_ink() -> None:
    picture = make_picture(ring())
    assert picture.shape == (64,)
    assert picture.min() == 0
    assert 8 <= picture.max() <= 16
    assert (picture == picture.round()).all()


@pytest.mark.parametrize(
    "other",
    [
        ring(x=40, y=150, r=30),
        ring(pen=1),
        ring(pen=14, r=56),
        ring(colour="#c00"),
        ring(colour="#bbb"),
        ring().replace('width="200" height="200"', 'viewBox="0 0 200 200"'),
        ring(colour="white").replace("<circle", '<rect width="200" height="200" fill="black"/><circle'),
    ],
)
def test_place_size_pen_and_colour_do_not_matter(other: str) -> None:
    assert np.abs(make_picture(ring()) - make_picture(other)).mean() < 1


def test_a_bare_stroke_fills_the_height_and_the_middle() -> None:
    picture = make_picture(JSIGNATURE).reshape(8, 8)
    assert picture[:, :2].sum() == 0
    assert picture[:, 6:].sum() == 0
    assert (picture.sum(axis=1) > 0).all()
    assert abs(picture[:, :4].sum() - picture[:, 4:].sum()) <= 32


@pytest.mark.parametrize("lean", [-60, -30, 30, 60])
def test_a_slant_is_taken_out(lean: int) -> None:
    stroke = '<line x1="{}" y1="20" x2="100" y2="180" stroke="black" stroke-width="8"/>'
    # A slanted stroke is broader, so it is widened a little more: by at most a point on each side.
    difference = make_picture(SVG.format(stroke.format(100 + lean))) - make_picture(
        SVG.format(stroke.format(100))
    )
    assert np.abs(difference).sum() <= 3 * 32


@pytest.mark.parametrize("pen", [0.5, 2, 10, 24])
def test_filled_shapes_get_about_as_much_ink_as_uci_had(pen: float) -> None:
    # A filled frame has no stroke whose width could be set. UCI's 1,797 have 185–433 points of ink.
    outer, inner = (
        "M50 20h100v160h-100z",
        f"M{50 + pen} {20 + pen}v{160 - 2 * pen}h{100 - 2 * pen}v-{160 - 2 * pen}z",
    )
    assert 185 <= make_picture(SVG.format(f'<path d="{outer}{inner}"/>')).sum() <= 433


def test_scripts_images_links_and_styles_are_left_out(tmp_path) -> None:  # type: ignore[no-untyped-def]
    trap = tmp_path / "trap.svg"
    trap.write_text(SVG.format('<rect width="200" height="200"/>'))
    extra = (
        f'<image href="{trap.as_uri()}" width="200" height="200"/><image href="{trap}" width="9" height="9"/>'
        "<script>alert(1)</script><style>@import url(http://localhost:1/x.css);</style>"
        '<foreignObject width="9" height="9"/><use href="http://localhost:1/#a"/><text x="9" y="9">7</text>'
    )
    assert (make_picture(ring().replace("</svg>", extra + "</svg>")) == make_picture(ring())).all()


@pytest.mark.parametrize(
    ("svg", "reason"),
    [
        ("", "not an SVG"),
        ("hello", "not an SVG"),
        ("<html/>", "not an SVG"),
        (SVG.format(""), "empty"),
        (SVG.format('<image href="/etc/passwd" width="9" height="9"/>'), "empty"),
        (SVG.format("<g>"), "not an SVG"),
        (SVG.replace('width="200"', 'width="1000001"').format(""), "at most 1000000"),
        (SVG.replace('width="200"', 'width="100000"').format(""), "differ more than 100 times"),
        (SVG.replace('width="200"', 'width="0"').format(""), "at least"),
        (SVG.replace('width="200"', 'width="nan"').format(""), "empty"),
        (SVG.replace('width="200"', 'viewBox="0 0 1e99 1"').format(""), "at most 1000000"),
        (SVG.format('<path stroke="black" d="M0 0' + "L9 9" * 9000 + '"/>'), "more than 20000 coordinates"),
        (SVG.replace('width="200" height="200"', 'width="1e-320" height="1e-320"').format(""), "at least"),
        (SVG.format("<g/>" * 3000), "more than 2000 shapes"),
        (SVG.format("<g>" * 40 + "</g>" * 40), "more than 32 deep"),
        (SVG.format("<g>" * 500 + '<rect width="9" height="9"/>' + "</g>" * 500), "more than 32 deep"),
        ('<!DOCTYPE s [<!ENTITY e SYSTEM "file:///etc/passwd">]>' + SVG.format("&e;"), "Entities"),
        ('<!DOCTYPE s [<!ENTITY e "eeee">]>' + SVG.format("&e;"), "Entities"),
        ('<!DOCTYPE s [<!ENTITY % e SYSTEM "http://localhost:1/">%e;]>' + SVG.format(""), "Entities"),
    ],
)
def test_what_is_no_drawing_is_refused_with_the_reason(svg: str, reason: str) -> None:
    with pytest.raises(BadDrawing, match=reason):
        make_picture(svg)


LONG = {
    "a long number": f'<svg xmlns="http://www.w3.org/2000/svg" width="{"1" * 60_000}x"/>',
    "a long number in the view": f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {"1" * 60_000}x 5"/>',
    "many elements": f'<svg xmlns="http://www.w3.org/2000/svg">{"<a/>" * 100_000}</svg>',
}
SEE_THROUGH = '<g opacity=".5"><circle cx="50" cy="50" r="40" opacity=".5" fill="black"/></g>'


@pytest.mark.parametrize("svg", LONG.values(), ids=LONG)
def test_what_would_take_long_is_refused_before_the_work(svg: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The longest text of each kind of work; the pattern of a number may go over its digits many times."""
    longest = {"parsed": 0, "matched": 0, "rendered": 0}

    def note(work: str, do: Callable[..., Any]) -> Callable[..., Any]:
        def noting(text: Any = "", **options: Any) -> Any:
            longest[work] = max(longest[work], len(text or options["svg_string"]))
            return do(text, **options) if text else do(**options)

        return noting

    parse, render = vectors.ElementTree.fromstring, pages.resvg_py.svg_to_bytes
    monkeypatch.setattr(vectors.ElementTree, "fromstring", note("parsed", parse))
    monkeypatch.setattr(pages, "_LENGTH", SimpleNamespace(fullmatch=note("matched", pages._LENGTH.fullmatch)))
    monkeypatch.setattr(pages.resvg_py, "svg_to_bytes", note("rendered", render))
    make_picture(ring())
    assert 0 < longest["matched"] <= 40
    assert longest["rendered"] > 0
    before = longest["rendered"]
    with pytest.raises(BadDrawing):
        make_picture(svg)
    assert longest["parsed"] <= 256 << 10
    assert longest["matched"] <= 40
    assert longest["rendered"] <= before


def test_see_through_shapes_cost_no_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    """To render opacity is costly: it grows with the number of shapes one upon the other."""
    rendered, render = [], pages.resvg_py.svg_to_bytes

    def note(svg_string: str, **options: Any) -> Any:
        rendered.append(svg_string)
        return render(svg_string=svg_string, **options)

    monkeypatch.setattr(pages.resvg_py, "svg_to_bytes", note)
    assert make_picture(SVG.format(SEE_THROUGH * 900)).max() == 16
    assert rendered
    assert not any(" opacity" in svg for svg in rendered)
    with pytest.raises(BadDrawing, match="empty"):
        make_picture(SVG.format('<circle cx="50" cy="50" r="40" opacity="0"/>'))


@pytest.mark.release
@pytest.mark.parametrize("svg", LONG.values(), ids=LONG)
def test_what_would_take_long_is_refused_in_a_second(svg: str) -> None:
    start = time.process_time()
    with pytest.raises(BadDrawing):
        make_picture(svg)
    assert time.process_time() - start < 1


@pytest.mark.release
def test_many_see_through_shapes_are_drawn_in_ten_seconds() -> None:
    start = time.process_time()
    make_picture(SVG.format(SEE_THROUGH * 900))
    assert time.process_time() - start < 10


Pictures = list[tuple[Drawing, np.ndarray]]


@pytest.fixture(scope="module")
def pictures() -> Pictures:
    """Drawings of the shapes that are kept for measuring accuracy, with their pictures."""
    return [(sample, drawing.make_picture(sample.svg)) for sample in make_drawings(odd=True, each=5)]


@cache
def learn_digits(order: int) -> Learner:
    """Return the project's model of digits, as it is after ten passes."""
    learner = pipeline.new_learner()
    stream = [Digit(**record) for record in records(seed=order, passes=10)]
    for start in range(0, len(stream), 256):
        chunk = stream[start : start + 256]
        predict_then_learn(learner, chunk, start + len(chunk))
    return learner


@pytest.mark.parametrize("order", range(5))
def test_at_least_nineteen_drawings_in_twenty_are_recognised(order: int, pictures: Pictures) -> None:
    answers = learn_digits(order).answer([Digit(x=picture.tolist()) for _, picture in pictures])
    wrong = [
        (sample.digit, sample.shape, answer["predict_y"])
        for (sample, _), answer in zip(pictures, answers, strict=True)
        if answer["predict_y"] != sample.digit
    ]
    assert len(wrong) <= len(pictures) / 20, wrong


@pytest.mark.parametrize("name", UNUSUAL)
def test_at_least_two_in_three_unusual_drawings_are_recognised(name: str) -> None:
    digit, _ = UNUSUAL[name]
    pictures = [drawing.make_picture(svg).tolist() for svg in draw_unusual(name, each=6)]
    answers = [answer["predict_y"] for answer in learn_digits(0).answer([Digit(x=x) for x in pictures])]
    assert answers.count(digit) >= 4, answers


OVAL = '<ellipse cx="100" cy="100" rx="{rx}" ry="80" fill="none" stroke="black" stroke-width="8"/>'
SLASH = '<path d="M{} 150L{} 50" stroke="black" stroke-width="8"/>'


def test_a_crossed_zero_is_seen_without_its_stroke() -> None:
    oval = OVAL.format(rx=55)
    plain = make_picture(SVG.format(oval))
    for left, right in ((55, 145), (50, 150)):
        crossed = make_picture(SVG.format(oval + SLASH.format(left, right)))
        assert np.abs(crossed - plain).mean() < 1
    # A stroke that falls the other way leaves it as it is, and so do the two rings of an 8.
    assert np.abs(make_picture(SVG.format(oval + SLASH.format(145, 55))) - plain).mean() > 1
    eight = make_picture(
        SVG.format(
            RING.format(x=100, y=60, r=38, pen=6, colour="black")
            + RING.format(x=104, y=140, r=42, pen=6, colour="black")
        )
    ).reshape(8, 8)
    assert eight[3:5, 3:5].min() > 0


STROKE = '<path d="{}" fill="none" stroke="black" stroke-width="8"/>'


@pytest.mark.parametrize("inside", ["M85 125L115 75", "M100 98L100 102", "M85 125L142 45"])
def test_a_zero_is_seen_without_what_stands_inside_it(inside: str) -> None:
    oval = OVAL.format(rx=55)
    plain = make_picture(SVG.format(oval))
    assert np.abs(make_picture(SVG.format(oval + STROKE.format(inside))) - plain).mean() < 1
    # The ring around a digit is no 0.
    three = STROKE.format("M80 70L120 70L95 95L120 120L80 135")
    assert np.abs(make_picture(SVG.format(oval + three)) - plain).mean() > 1


def test_a_one_is_seen_without_its_foot_and_a_two_keeps_its_base() -> None:
    one, two = STROKE.format("M70 50L100 20L100 180"), STROKE.format("M70 50L100 20L130 50L70 180L135 180")
    foot = STROKE.format("M70 180L130 180")
    plain = make_picture(SVG.format(one))
    assert np.abs(make_picture(SVG.format(one + foot)) - plain).mean() < 1
    assert make_picture(SVG.format(two)).reshape(8, 8)[7, 2:6].min() > 4
    # A foot on one side only is part of a shape.
    half = make_picture(SVG.format(one + STROKE.format("M100 180L140 180")))
    assert np.abs(half - plain).mean() > 1


def test_a_narrow_zero_keeps_its_hole_and_a_bare_stroke_stays_slim() -> None:
    narrow = make_picture(SVG.format(OVAL.format(rx=16))).reshape(8, 8)
    assert narrow[3:5, 3:5].max() < 8
    assert narrow[3:5, 2].min() > 8
    assert narrow[3:5, 5].min() > 8
    assert make_picture(JSIGNATURE).reshape(8, 8)[:, :2].sum() == 0


LEANING = '<g transform="translate({} 0) skewX({})">{}</g>'


@pytest.mark.parametrize("lean", [-25, 25])
@pytest.mark.parametrize("upright", [(100, 80), (60, 40, 140, 40)], ids=["a 0", "an 8"])
def test_a_slim_ring_that_leans_is_widened_as_if_it_stood_upright(
    upright: tuple[int, ...], lean: int
) -> None:
    rings = "".join(
        f'<ellipse cx="100" cy="{y}" rx="18" ry="{ry}" fill="none" stroke="black" stroke-width="6"/>'
        for y, ry in zip(upright[::2], upright[1::2], strict=True)
    )
    leaning = make_picture(SVG.format(LEANING.format(-100 * np.tan(np.radians(lean)), lean, rings)))
    assert np.abs(leaning - make_picture(SVG.format(rings))).mean() < 1


def test_a_slim_4_without_a_hole_is_widened_and_a_slim_1_with_a_flag_is_not() -> None:
    four = "M{} 20L{} 110L{} 110M{} 20L100 180"
    slim = make_picture(SVG.format(STROKE.format(four.format(76, 74, 118, 104))))
    wide = make_picture(SVG.format(STROKE.format(four.format(52, 48, 136, 108))))
    assert np.abs(slim - wide).mean() < 1.5
    flagged = make_picture(SVG.format(STROKE.format("M76 50L100 20L100 180"))).reshape(8, 8)
    assert flagged[:, :2].sum() == 0


@pytest.mark.parametrize("inside", ["M50 150L150 50", "M85 125L142 45"])
def test_a_zero_that_is_left_open_by_a_little_is_seen_without_its_stroke(inside: str) -> None:
    def draw(gap: int) -> str:
        return STROKE.format(f"M{100 - gap / 2} 20A55 80 0 1 0 {100 + gap / 2} 20")

    plain = make_picture(SVG.format(OVAL.format(rx=55)))
    assert np.abs(make_picture(SVG.format(draw(9) + STROKE.format(inside))) - plain).mean() < 1
    # What is open by far is no ring.
    assert np.abs(make_picture(SVG.format(draw(60) + STROKE.format(inside))) - plain).mean() > 1


def test_drawings_have_as_much_ink_as_uci_pictures(pictures: Pictures) -> None:
    ink = [picture.sum() for _, picture in pictures]
    # UCI's 1,797 have 313 on average, and 98 in 100 of them 251–397.
    assert 290 <= np.mean(ink) <= 335
    assert np.percentile(ink, 1) >= 230
    assert np.percentile(ink, 99) <= 420
