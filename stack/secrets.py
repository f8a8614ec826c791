"""The passwords that the local stack makes for itself, kept in its home for all who read the settings."""

import os
import secrets

from streamlearn.settings import SECRETS, Settings, inherited, variable

_BYTES = 24


def ensure(settings: Settings) -> Settings:
    """Make what is neither set nor kept: Redis' password and the key of snapshots; return the settings.

    Who sets `STREAMLEARN_REDIS` says himself whether it has a password.
    """
    path = settings.home / SECRETS
    kept = path.read_text() if path.exists() else ""
    made = {
        variable("redis"): f"redis://:{secrets.token_hex(_BYTES)}@localhost:{settings.redis_port}/0",
        variable("checkpoint_key"): secrets.token_hex(_BYTES),
    }
    missing = [name for name in made if name not in inherited() and f"{name}=" not in kept]
    if missing:
        path.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(kept + "".join(f"{name}={made[name]}\n" for name in missing))
    return Settings.load()
