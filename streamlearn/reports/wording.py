"""Numbers and comparisons as people write them: a true minus, no line break before a unit."""

import math


def number(value: float, digits: int = 1) -> str:
    """Write a number with so many decimals; a dash where there is none.

    >>> number(-0.126, 2), number(float("nan"))
    ('−0.13', '–')
    """
    return "–" if math.isnan(value) else f"{value:.{digits}f}".replace("-", "−")


def measure(value: float, unit: str) -> str:
    r"""Write three digits and the unit.

    >>> measure(56.31, "µg/m³"), measure(0.0421, "m"), measure(1234.5, "")
    ('56.3\xa0µg/m³', '0.0421\xa0m', '1234')
    """
    if value and not math.isnan(value):
        shown = number(value, max(0, 2 - math.floor(math.log10(abs(value)))))
    else:
        shown = number(value, 0)
    return f"{shown}\u00a0{unit}".rstrip()


def percent(share: float, digits: int = 1) -> str:
    r"""Write a share.

    >>> percent(0.9345)
    '93.5\xa0%'
    """
    return f"{number(100 * share, digits)}\u00a0%"


def beside(ours: float, theirs: float, name: str = "persistence") -> str:
    r"""Say by how much an error is below another.

    >>> beside(9.0, 10.0), beside(10.5, 10.0), beside(10.0, 10.0)
    ('10.0\xa0% below persistence', '5.0\xa0% above persistence', 'equal to persistence')
    """
    if math.isnan(ours) or math.isnan(theirs) or theirs == 0:
        return f"not to be compared with {name}"
    share = 1 - ours / theirs
    if abs(share) < 0.0005:
        return f"equal to {name}"
    return f"{percent(abs(share))} {'below' if share > 0 else 'above'} {name}"


def count(value: int) -> str:
    """Write a whole number with thin separators.

    >>> count(43800)
    '43,800'
    """
    return f"{value:,}"
