"""The passwords that a stack makes for itself, kept in a file for every program that reads the settings."""

import secrets
from urllib.parse import quote

from streamlearn.local.configuration import write_variables
from streamlearn.settings import Settings, inherit_env, read_variables, variable_name

_BYTES = 24


def create_missing(
    settings: Settings, *, redis_host: str = "localhost", redis_password: str = ""
) -> Settings:
    """Make Redis' password and the snapshots' key where they are neither set nor kept; return the settings.

    They are kept in the file `settings.secrets`. If `STREAMLEARN_REDIS` is set, its URL is used as it is,
    with or without a password.

    Parameters
    ----------
    redis_host
        The host in the URL of Redis.
    redis_password
        A password to use for Redis in place of the one that is kept.
    """
    kept = read_variables(settings.secrets)
    created = {
        variable_name("redis"): _build_redis_url(
            settings, redis_host, redis_password or secrets.token_hex(_BYTES)
        ),
        variable_name("checkpoint_key"): secrets.token_hex(_BYTES),
    }
    missing = {name for name in created if not inherit_env().get(name) and name not in kept}
    if redis_password:
        missing.add(variable_name("redis"))
    if missing:
        settings.secrets.parent.mkdir(parents=True, exist_ok=True)
        lines = {**kept, **{name: created[name] for name in sorted(missing)}}
        write_variables(settings.secrets, lines)
    return Settings.load()


def _build_redis_url(settings: Settings, host: str, password: str) -> str:
    return f"redis://:{quote(password, safe='')}@{host}:{settings.redis_port}/0"
