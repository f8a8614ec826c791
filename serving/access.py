"""Who may ask for what: host names, origins, the token, and how often.

A page of another site that is open in a browser can send requests to this machine. So the server answers to
its own names only, takes nothing that changes something from another site's pages, and lets pages on this
machine read its answers.
"""

import hmac
import re
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar
from urllib.parse import urlsplit

from flask import Flask, current_app, request
from flask_cors import CORS
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address

from serving.bodies import REFUSED
from streamlearn.errors import NotAllowed
from streamlearn.settings import Settings
from streamlearn.storage.redis_client import PREFIX, tls_options

LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})
_LOCAL_ORIGIN = re.compile(r"\Ahttps?://(localhost|127\.0\.0\.1|\[::1\])(:\d+)?\Z")
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_STORE_S = 1

Route = TypeVar("Route", bound=Callable[..., Any])

limiter = Limiter(
    get_remote_address, in_memory_fallback_enabled=True, swallow_errors=True, headers_enabled=True
)


@limiter.request_filter
def _is_not_limited() -> bool:
    """Whether a request has nothing to do with limits: then it must not wait for Redis either."""
    return request.endpoint != "feedback.feedback"


def register(app: Flask, settings: Settings) -> None:
    """Teach the application whom to answer."""
    app.config["HOSTS"] = _hosts(settings)
    app.config["API_TOKEN"] = settings.api_token
    app.config["RATELIMIT_STORAGE_URI"] = settings.redis
    app.config["RATELIMIT_STORAGE_OPTIONS"] = _storage(settings)
    limiter.init_app(app)
    CORS(app, origins=_LOCAL_ORIGIN, expose_headers="*", send_wildcard=False, vary_header=True)
    app.before_request(_check_host)
    app.before_request(_check_origin)
    app.before_request(_check_body)


def _storage(settings: Settings) -> dict[str, Any]:
    options: dict[str, Any] = {"socket_timeout": _STORE_S, "socket_connect_timeout": _STORE_S}
    options["key_prefix"] = f"{PREFIX}limit"
    return options | tls_options(settings.redis, settings.tls_ca, settings.tls_cert)


def _hosts(settings: Settings) -> frozenset[str]:
    """The names that the server answers to; none of them means any."""
    named = frozenset(
        host.strip().strip("[]").lower() for host in settings.http_hosts.split(",") if host.strip()
    )
    return named or (LOCAL if settings.http_host in LOCAL else frozenset())


def _check_host() -> None:
    """Refuse other names: a site could give its own name our address, and be of one origin with us."""
    hosts, asked = current_app.config["HOSTS"], request.headers.get("Host", "")
    try:
        name = urlsplit(f"//{asked}").hostname
    except ValueError:
        name = None
    if hosts and name not in hosts:
        raise NotAllowed(
            f"the server does not answer to the name {asked[:80]!r} (STREAMLEARN_HTTP_HOSTS)",
            code="unknown_host",
            status=400,
        )


def _check_origin() -> None:
    """Refuse what another site's page sends, but for reading."""
    origin = request.headers.get("Origin")
    if request.method in _SAFE or origin is None or _LOCAL_ORIGIN.match(origin):
        return
    try:
        foreign = urlsplit(origin).netloc != request.host
    except ValueError:
        foreign = True
    if foreign:
        raise NotAllowed("a page of another site may not do this", code="foreign_origin", status=403)


def _check_body() -> None:
    """Refuse what `Bodies` did not take."""
    if refused := request.environ.get(REFUSED):
        raise refused


def require_token(route: Route) -> Route:
    """Let a route answer only those who bring the token, where one is set."""

    @wraps(route)
    def checked(*args: Any, **kwargs: Any) -> Any:
        token = current_app.config["API_TOKEN"]
        kind, _, brought = request.headers.get("Authorization", "").partition(" ")
        right = kind.lower() == "bearer" and hmac.compare_digest(brought.strip().encode(), token.encode())
        if token and not right:
            raise NotAllowed(
                "this needs the header 'Authorization: Bearer' with the server's STREAMLEARN_API_TOKEN",
                code="unauthorized",
                status=401,
            )
        return route(*args, **kwargs)

    return checked  # type: ignore[return-value]
