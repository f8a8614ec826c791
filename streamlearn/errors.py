"""What can go wrong, one meaning a class.

StreamlearnError            every error that a user may see: one sentence that says what to do
├── BadSetting              an environment variable that cannot be understood
├── UnknownPipeline         no pipeline is registered under that name
├── BadRecord               one record that cannot be read; it goes to the dead-letter topic
├── DataUnavailable         a data set can neither be fetched nor found
├── BadSeries               series in which no lag can be looked for
├── BadLags                 a choice of lags that a pipeline cannot learn from
├── MissingExtra            a package that only this command needs is not installed
├── BadRequest              what a client of the server has sent cannot be used
│   └── BadDrawing          … a drawing that cannot be turned into a picture
├── UnknownVersion          a version of a model that is not kept
├── NotAllowed              a request that this client may not make, or not now
├── SnapshotRefused         bytes in the store that are not a whole, unaltered snapshot of ours
├── StoreUnavailable        Redis does not answer
├── StoreEmptied            Redis has lost what a live writer had written
├── Fenced                  a newer writer has taken over: this one may not write any more
├── NoModel                 nothing has been learned yet, so there is nothing to predict with
├── BrokerUnavailable       Kafka does not answer
├── TopicRefused            a topic that cannot be learned from as it is
├── LineageError            the history of a learner does not join up
├── NothingToCompare        a verification has nothing to work on
├── JobError                Flink refused or lost a job
│   └── FlinkAway           Flink does not answer
└── StackError              a part of the local stack could not be set up or started
"""


class StreamlearnError(Exception):
    """Base of all the errors that a command reports in one line, without a stack trace."""


class BadSetting(StreamlearnError):
    """An environment variable holds a value that cannot be used."""


class UnknownPipeline(StreamlearnError):
    """No pipeline is registered under the name."""


class BadRecord(StreamlearnError):
    """A record that does not fit its pipeline's type; the message is the reason kept with it."""


class DataUnavailable(StreamlearnError):
    """A data set cannot be had, or is not the one that is expected."""


class BadSeries(StreamlearnError):
    """A series is too short, constant or no series of numbers: no lag can be looked for in it."""


class BadLags(StreamlearnError):
    """A choice of lags names what is not there, or a learner cannot change to it."""


class MissingExtra(StreamlearnError):
    """An optional package is not installed."""


class BadRequest(StreamlearnError):
    """A request to the server cannot be answered. `field` names the part of it at fault."""

    code = "bad_request"

    def __init__(self, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class BadDrawing(BadRequest):
    """A drawing is refused."""

    code = "bad_drawing"

    def __init__(self, message: str, *, field: str = "imgStr") -> None:
        super().__init__(message, field=field)


class UnknownVersion(StreamlearnError):
    """The version that is asked for is not kept."""


class NotAllowed(StreamlearnError):
    """A request is refused for who makes it, not for what it holds. `status` is HTTP's."""

    def __init__(self, message: str, *, code: str, status: int) -> None:
        super().__init__(message)
        self.code = code
        self.status = status


class SnapshotRefused(StreamlearnError):
    """Stored bytes are truncated, altered, foreign or of a newer format."""


class StoreUnavailable(StreamlearnError):
    """Redis cannot be reached or does not accept writes."""


class StoreEmptied(StreamlearnError):
    """Redis no longer knows a writer that it has admitted: the worker starts again, from Kafka."""


class Fenced(StreamlearnError):
    """A writer with a newer token exists; whoever holds the older one must stop."""


class NoModel(StreamlearnError):
    """No trained model is available yet."""


class BrokerUnavailable(StreamlearnError):
    """Kafka cannot be reached."""


class TopicRefused(StreamlearnError):
    """A topic has a shape (such as several partitions) that learning cannot work with."""


class LineageError(StreamlearnError):
    """The learner that should go on at an offset cannot be had from what is stored."""


class JobError(StreamlearnError):
    """Flink refused the job, or it is not in the state that is needed."""


class FlinkAway(JobError):
    """Flink's REST interface does not answer."""


class StackError(StreamlearnError):
    """A service of the local stack cannot be set up or started."""


class NothingToCompare(StreamlearnError):
    """A verification has nothing to work on."""
