"""The passwords that a stack makes for itself, kept in a file for all who read the settings."""

import secrets
from urllib.parse import quote

from streamlearn.local.configuration import write_secret
from streamlearn.settings import Settings, inherited, read_variables, variable

_BYTES = 24


def ensure(settings: Settings, *, redis_host: str = "localhost", redis_password: str = "") -> Settings:
    """Make what is neither set nor kept: Redis' password and the key of snapshots; return the settings.

    A `redis_password` takes the place of one that is kept. Who sets `STREAMLEARN_REDIS` says himself whether
    it has a password.
    """
    found = read_variables(settings.secrets)
    made = {
        variable("redis"): _redis(settings, redis_host, redis_password or secrets.token_hex(_BYTES)),
        variable("checkpoint_key"): secrets.token_hex(_BYTES),
    }
    wanted = {name for name in made if not inherited().get(name) and name not in found}
    if redis_password:
        wanted.add(variable("redis"))
    if wanted:
        settings.secrets.parent.mkdir(parents=True, exist_ok=True)
        lines = {**found, **{name: made[name] for name in sorted(wanted)}}
        write_secret(settings.secrets, "".join(f"{name}={value}\n" for name, value in lines.items()))
    return Settings.load()


def _redis(settings: Settings, host: str, password: str) -> str:
    return f"redis://:{quote(password, safe='')}@{host}:{settings.redis_port}/0"
