"""The names of the keys in Redis.

    streamlearn:{pipeline}:fence               the newest writer's token
    streamlearn:{pipeline}:head                hash: the newest version (`HEAD_FIELDS`)
    streamlearn:{pipeline}:pin                 hash: the version to serve instead, its bytes included
    streamlearn:{pipeline}:versions:{lineage}  sorted set: offsets of the snapshots kept
    streamlearn:{pipeline}:about:{lineage}     hash: version → `VersionInfo`
    streamlearn:{pipeline}:snapshot:{lineage}:{version}   the bytes (see `snapshot.py`)
    streamlearn:{pipeline}:restores            list: what every start of a worker found, the newest last
    streamlearn:{pipeline}:recovery            the progress of a worker that is learning again
    streamlearn:{pipeline}:partitions          set: the partitions other than 0 that there are to learn
    streamlearn:{pipeline}:pins                list: when versions were pinned and unpinned, the newest last
    streamlearn:{pipeline}:rate                most records a second that its job takes; none: the setting's
    streamlearn:{pipeline}:summary:{name}:rows   hash: a row's key → the row, in JSON (see `summary_store.py`)
    streamlearn:{pipeline}:summary:{name}:order  sorted set: the same keys by the offset of the row
    streamlearn:{pipeline}:summary:{name}:place  hash: the topic's identity, partition → offset copied up to

Those are the keys of partition 0. Those of partition k begin with `streamlearn:{pipeline}:p{k}:`; the fence,
the pin, the pins, the partitions and the rate are the pipeline's. Where several workers learn at once, each
partition has a fence besides, `streamlearn:{pipeline}:p{k}:fence`, also partition 0 (see `writer.py`).
"""

PREFIX = "streamlearn:"
"""Every key of ours begins so."""

HEAD_FIELDS = ("lineage", "version", "digest", "samples", "time", "parts")
"""The fields of a head; a pin has them, too. `parts` names what is made of several partitions."""


class Keys:
    """The keys of one partition of a pipeline, and those of the pipeline.

    >>> Keys("digits").head, Keys("digits", 3).head, Keys("digits", 3).fence
    ('streamlearn:digits:head', 'streamlearn:digits:p3:head', 'streamlearn:digits:fence')
    """

    def __init__(self, pipeline: str, partition: int = 0) -> None:
        of_pipeline = f"{PREFIX}{pipeline}:"
        self._prefix = of_pipeline + (f"p{partition}:" if partition else "")
        self.fence = f"{of_pipeline}fence"
        self.partition_fence = f"{of_pipeline}p{partition}:fence"
        self.partitions = f"{of_pipeline}partitions"
        self.rate = f"{of_pipeline}rate"
        self.head = f"{self._prefix}head"
        self.pin = f"{self._prefix}pin"
        """Only that of partition 0 is ever there."""
        self.pins = f"{of_pipeline}pins"
        self.restores = f"{self._prefix}restores"
        self.recovery = f"{self._prefix}recovery"
        self.any_snapshot = f"{self._prefix}snapshot:"
        """How the keys of all snapshots begin; lineage and version follow, with a colon between."""

    def versions(self, lineage: str) -> str:
        """Return the key of the offsets of the snapshots kept."""
        return f"{self._prefix}versions:{lineage}"

    def about(self, lineage: str) -> str:
        """Return the key of what is known of each version."""
        return f"{self._prefix}about:{lineage}"

    def snapshot(self, lineage: str, version: int | str = "") -> str:
        """Return the key of a version's bytes; without a version, how those of the lineage begin."""
        return f"{self.any_snapshot}{lineage}:{version}"


class SummaryKeys:
    """The keys of one summary of a pipeline.

    >>> SummaryKeys("pm25", "day").rows
    'streamlearn:pm25:summary:day:rows'
    """

    def __init__(self, pipeline: str, name: str) -> None:
        prefix = f"{PREFIX}{pipeline}:summary:{name}:"
        self.rows = f"{prefix}rows"
        self.order = f"{prefix}order"
        self.place = f"{prefix}place"
