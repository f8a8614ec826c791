"""Numbers and comparisons as text: with a true minus sign, and no line break before a unit."""

import math


def format_number(value: float, digits: int = 1) -> str:
    """Format a number with `digits` decimals; NaN is a dash.

    >>> format_number(-0.126, 2), format_number(float("nan"))
    ('−0.13', '–')
    """
    return "–" if math.isnan(value) else f"{value:.{digits}f}".replace("-", "−")


def format_measure(value: float, unit: str) -> str:
    r"""Format a value with three significant digits and its unit.

    >>> format_measure(56.31, "µg/m³"), format_measure(0.0421, "m"), format_measure(1234.5, "")
    ('56.3\xa0µg/m³', '0.0421\xa0m', '1234')
    """
    # Zero has no logarithm.
    exponent = math.floor(math.log10(abs(value))) if value and not math.isnan(value) else 2
    return f"{format_number(value, max(0, 2 - exponent))}\u00a0{unit}".rstrip()


def format_percent(share: float, digits: int = 1) -> str:
    r"""Format a share, 0–1, in percent.

    >>> format_percent(0.9345)
    '93.5\xa0%'
    """
    return f"{format_number(100 * share, digits)}\u00a0%"


def format_percents(low: float, high: float, digits: int = 1) -> str:
    r"""Format the lowest and the highest of several shares, 0–1, in percent; one where they are equal.

    >>> format_percents(0.498, 0.512), format_percents(0.5, 0.5)
    ('49.8 to 51.2\xa0%', '50.0\xa0%')
    """
    lowest, highest = format_number(100 * low, digits), format_percent(high, digits)
    return highest if highest.startswith(f"{lowest}\u00a0") else f"{lowest} to {highest}"


def compare_in_words(error: float, baseline: float, name: str = "persistence") -> str:
    r"""Return by how much an error is below or above that of a baseline, which `name` names.

    >>> compare_in_words(9.0, 10.0), compare_in_words(10.5, 10.0), compare_in_words(10.0, 10.0)
    ('10.0\xa0% below persistence', '5.0\xa0% above persistence', 'equal to persistence')
    """
    if math.isnan(error) or math.isnan(baseline) or baseline == 0:
        return f"not to be compared with {name}"
    share = 1 - error / baseline
    if abs(share) < 0.0005:
        return f"equal to {name}"
    return f"{format_percent(abs(share))} {'below' if share > 0 else 'above'} {name}"


def format_count(value: int) -> str:
    """Format a whole number with commas between thousands.

    >>> format_count(43800)
    '43,800'
    """
    return f"{value:,}"
