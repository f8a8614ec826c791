"""Every error, one class for each meaning.

StreamlearnError
├── ConfigurationError
│   ├── BadSetting
│   ├── MissingExtra
│   ├── UnknownPipeline
│   ├── UnknownVersion
│   ├── UnknownSummary
│   └── NotSupported
├── DataError
│   ├── BadRecord
│   ├── BadSeries
│   ├── DataUnavailable
│   ├── NothingWritten
│   ├── NothingToReport
│   └── FileError
├── ChangeRefused
│   └── BadLags
├── RequestError
│   ├── BadRequest
│   │   └── BadDrawing
│   └── NotAllowed
├── StorageError
│   ├── StoreUnavailable
│   ├── StoreEmptied
│   ├── Fenced
│   └── SnapshotRefused
├── BrokerError
│   ├── BrokerUnavailable
│   └── TopicRefused
├── LearningError
│   ├── NoModel
│   ├── LineageError
│   ├── PipelineFails
│   └── NothingToCompare
├── JobError
│   └── FlinkUnavailable
└── StackError
"""


class StreamlearnError(Exception):
    """Base of all the errors that a command reports in one line, without a stack trace."""


class ConfigurationError(StreamlearnError):
    """What was set or asked for cannot work as it is."""


class BadSetting(ConfigurationError):
    """An environment variable holds a value that cannot be used."""


class MissingExtra(ConfigurationError):
    """An optional package is not installed."""


class UnknownPipeline(ConfigurationError):
    """No pipeline is registered under the name."""


class UnknownVersion(ConfigurationError):
    """The version that is asked for is not kept."""


class UnknownSummary(ConfigurationError):
    """A pipeline has no summary of the name."""


class NotSupported(ConfigurationError):
    """The pipeline's kind of learning cannot do what is asked for."""


class DataError(StreamlearnError):
    """Data or a file cannot be used."""


class BadRecord(DataError):
    """A record does not fit its pipeline's type; the message is the reason kept with it."""


class BadSeries(DataError):
    """A series is too short, constant or no series of numbers: no lag can be looked for in it."""


class DataUnavailable(DataError):
    """A data set cannot be had, or is not the one that is expected."""


class NothingWritten(DataError):
    """What a job is to write, it has not written yet."""


class NothingToReport(DataError):
    """There are no answers that a report could be made of."""


class FileError(DataError):
    """A file or folder that the user has named cannot be read or written."""


class ChangeRefused(StreamlearnError):
    """A learner has no such setting, or cannot change it to this value."""


class BadLags(ChangeRefused):
    """A choice of lags names what is not there, or a learner cannot change to it."""


class RequestError(StreamlearnError):
    """A request to the server is refused. `code` is the stable name of the reason."""

    code = "bad_request"


class BadRequest(RequestError):
    """What a client has sent cannot be used. `field` names the part of it at fault."""

    def __init__(self, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class BadDrawing(BadRequest):
    """A drawing is refused."""

    code = "bad_drawing"

    def __init__(self, message: str, *, field: str = "imgStr") -> None:
        super().__init__(message, field=field)


class NotAllowed(RequestError):
    """A request is refused for who makes it, not for what it holds. `status` is HTTP's."""

    def __init__(self, message: str, *, code: str, status: int) -> None:
        super().__init__(message)
        self.code = code
        self.status = status


class StorageError(StreamlearnError):
    """Model versions in Redis cannot be read or written."""


class StoreUnavailable(StorageError):
    """Redis cannot be reached or does not accept writes."""


class StoreEmptied(StorageError):
    """Redis no longer knows a writer that it has admitted: the worker starts again, from Kafka."""


class Fenced(StorageError):
    """A writer with a newer token exists; whoever holds the older one must stop."""


class SnapshotRefused(StorageError):
    """Stored bytes are truncated, altered, foreign or of a newer format."""


class BrokerError(StreamlearnError):
    """Records in Kafka cannot be read or written."""


class BrokerUnavailable(BrokerError):
    """Kafka cannot be reached."""


class TopicRefused(BrokerError):
    """A topic has a shape (such as several partitions) that learning cannot work with."""


class LearningError(StreamlearnError):
    """What has been learned is not there, or cannot be continued."""


class NoModel(LearningError):
    """No trained model is available yet."""


class LineageError(LearningError):
    """The learner that should go on at an offset cannot be had from what is stored."""


class PipelineFails(LearningError):
    """A pipeline's own code fails on record after record, so the records cannot be what is wrong."""


class NothingToCompare(LearningError):
    """A verification has nothing to work on."""


class JobError(StreamlearnError):
    """Flink refused the job, or it is not in the state that is needed."""


class FlinkUnavailable(JobError):
    """Flink's REST interface does not answer."""


class StackError(StreamlearnError):
    """A service of the local stack cannot be set up or started."""
