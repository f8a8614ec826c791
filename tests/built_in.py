"""The built-in pipelines on the shared stack: call commands, send records, wait until they are learned."""

from click.testing import CliRunner

from streamlearn.cli.main import main
from streamlearn.local import chaos, health
from streamlearn.pipelines.registry import load
from streamlearn.settings import Settings
from streamlearn.waiting import wait_until


def call(settings: Settings, *arguments: str) -> str:
    """Call a command in this process, which has imported everything already; return what it prints."""
    done = CliRunner().invoke(main, arguments, env=settings.environment())
    assert done.exit_code == 0, done.output + repr(done.exception)
    return done.stdout


def teach(settings: Settings, **counts: int) -> None:
    """Send each pipeline so many records, and wait until it has learned them and is served."""
    for name, count in counts.items():
        call(settings, "replay", name, "--rate", "0", "--limit", str(count))
    for name in counts:
        settle(settings, name)


def settle(settings: Settings, name: str) -> None:
    """Wait until a pipeline has answered every record, and the server has a model of it."""
    pipeline = load(name)
    wait_until(lambda: chaos.is_caught_up(settings, pipeline), 180, f"{name} to answer every record")
    wait_until(lambda: health.is_model_ready(settings, name), 60, f"a model of {name}")
