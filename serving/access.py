"""Which requests are allowed: by host name, origin, token and rate.

A page of another site that is open in a browser can send requests to this machine. So the server answers
under its own names only, accepts no changes from other sites' pages, and lets pages on this machine read its
answers.
"""

import hmac
import re
from collections.abc import Callable
from functools import lru_cache, wraps
from typing import Any, TypeVar
from urllib.parse import urlsplit

from flask import Flask, Response, current_app, request
from flask_cors import CORS
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address

from serving.bodies import REFUSAL
from streamlearn.errors import NotAllowed
from streamlearn.settings import LOOPBACK, Settings
from streamlearn.storage.keys import PREFIX
from streamlearn.storage.redis_client import tls_options

_LOCAL_ORIGIN = re.compile(r"\Ahttps?://(localhost|127\.0\.0\.1|\[::1\])(:\d+)?\Z")
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_REDIS_TIMEOUT_S = 1

LIMITED = frozenset({"feedback.send_feedback", "asking.ask"})
"""The endpoints that have a rate limit."""

Route = TypeVar("Route", bound=Callable[..., Any])

limiter = Limiter(
    get_remote_address, in_memory_fallback_enabled=True, swallow_errors=True, headers_enabled=True
)


class _Hooks:
    """An application to an extension whose hooks are to run for some requests only.

    Each extension asks for every request whether it concerns it, which takes as long as a prediction.
    """

    def __init__(self, app: Flask, applies: Callable[[], bool]) -> None:
        self._app = app
        self._applies = applies

    def __getattr__(self, name: str) -> Any:
        return getattr(self._app, name)

    def before_request(self, hook: Callable[[], Any]) -> None:
        """Add a hook before requests to which it applies."""
        self._app.before_request(lambda: hook() if self._applies() else None)

    def after_request(self, hook: Callable[[Response], Response]) -> None:
        """Add a hook after requests to which it applies."""
        self._app.after_request(lambda response: hook(response) if self._applies() else response)

    def teardown_request(self, hook: Callable[[BaseException | None], Any]) -> None:
        """Add a hook at the end of requests to which it applies."""
        self._app.teardown_request(lambda error: hook(error) if self._applies() else None)


def register(app: Flask, settings: Settings) -> None:
    """Make the application check every request."""
    app.config["HOSTS"] = _parse_hosts(settings)
    app.config["API_TOKEN"] = settings.api_token
    app.config["RATELIMIT_STORAGE_URI"] = settings.redis
    app.config["RATELIMIT_STORAGE_OPTIONS"] = _make_storage_options(settings)
    # Only what goes to the stream has a limit. The limiter would ask Redis for every request, and wait for
    # one that hangs.
    limiter.init_app(_Hooks(app, lambda: request.endpoint in LIMITED))  # type: ignore[arg-type]
    CORS(
        _Hooks(app, lambda: "HTTP_ORIGIN" in request.environ),  # type: ignore[arg-type]
        origins=_LOCAL_ORIGIN,
        expose_headers="*",
        send_wildcard=False,
        vary_header=True,
        intercept_exceptions=False,  # hooks see the answers to errors, too
    )
    app.before_request(_check_host)
    app.before_request(_check_origin)
    app.before_request(_check_body)


def _make_storage_options(settings: Settings) -> dict[str, Any]:
    options: dict[str, Any] = {
        "socket_timeout": _REDIS_TIMEOUT_S,
        "socket_connect_timeout": _REDIS_TIMEOUT_S,
        "key_prefix": f"{PREFIX}limit",
    }
    return options | tls_options(settings.redis, settings.tls_ca, settings.tls_cert)


def _parse_hosts(settings: Settings) -> frozenset[str]:
    """Return the names under which the server answers; none stands for any."""
    names = frozenset(
        host.strip().strip("[]").lower() for host in settings.http_hosts.split(",") if host.strip()
    )
    return names or (LOOPBACK if settings.http_host in LOOPBACK else frozenset())


def _check_host() -> None:
    """Refuse requests under other names: a site can point its own name here, to become of the same origin."""
    header = request.environ.get("HTTP_HOST", "")
    if not is_own_name(header, current_app.config["HOSTS"]):
        raise NotAllowed(
            f"the server does not answer under the name {header[:80]!r}; add it to STREAMLEARN_HTTP_HOSTS",
            code="unknown_host",
            status=400,
        )


@lru_cache
def is_own_name(header: str, hosts: frozenset[str]) -> bool:
    """Return whether a header `Host` is one of the names, of which none stands for any."""
    try:
        name = urlsplit(f"//{header}").hostname
    except ValueError:
        name = None
    return not hosts or name in hosts


def _check_origin() -> None:
    """Refuse everything but reading to pages of other sites."""
    origin = request.environ.get("HTTP_ORIGIN")
    if request.method in _SAFE or origin is None or _LOCAL_ORIGIN.match(origin):
        return
    try:
        is_foreign = urlsplit(origin).netloc != request.host
    except ValueError:
        is_foreign = True
    if is_foreign:
        raise NotAllowed(
            "pages of other sites may only read from this server", code="foreign_origin", status=403
        )


def _check_body() -> None:
    """Raise the error of a body that `BodyReader` has refused."""
    if error := request.environ.get(REFUSAL):
        raise error


def require_token(route: Route) -> Route:
    """Let only clients that send the server's token use a route; everybody where the server has none."""

    @wraps(route)
    def check_token(*args: Any, **kwargs: Any) -> Any:
        token = current_app.config["API_TOKEN"]
        scheme, _, credentials = request.headers.get("Authorization", "").partition(" ")
        matches = hmac.compare_digest(credentials.strip().encode(), token.encode())
        if token and not (scheme.lower() == "bearer" and matches):
            raise NotAllowed(
                "send the header 'Authorization: Bearer …' with the server's STREAMLEARN_API_TOKEN",
                code="unauthorized",
                status=401,
            )
        return route(*args, **kwargs)

    return check_token  # type: ignore[return-value]
