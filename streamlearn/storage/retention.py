"""Which versions are worth keeping: the newer, the closer together."""

from collections.abc import Sequence


def versions_to_keep(versions: Sequence[int], newest: int) -> list[int]:
    """Return the versions to keep of those below `newest`: one in each doubling of the distance from it.

    Of each doubling the oldest stays, so that what is kept now is there to be kept later: about thirty
    versions of a billion records.

    >>> versions_to_keep([0, 100, 200, 300, 400, 480, 490, 495], 500)
    [0, 300, 400, 480, 490, 495]
    """
    kept: dict[int, int] = {}
    for version in sorted(versions):
        kept.setdefault((newest - version).bit_length(), version)
    return list(kept.values())
