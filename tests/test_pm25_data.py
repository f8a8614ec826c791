"""Fetching the PM2.5 file: once, checked, from a real local server."""

import http.server
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from stacks import free_port

from streamlearn.datasets import pm25
from streamlearn.errors import DataUnavailable
from streamlearn.settings import Settings


class Site:
    """A local web server with a single file. It counts the requests for it."""

    def __init__(self) -> None:
        self.body = b""
        self.requests = 0
        site = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                site.requests += 1
                self.send_response(200)
                self.send_header("Content-Length", str(len(site.body)))
                self.end_headers()
                self.wfile.write(site.body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/pm25.csv"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def site() -> Iterator[Site]:
    running = Site()
    yield running
    running.server.shutdown()
    running.server.server_close()


def test_the_file_is_fetched_once_and_kept(site: Site, tmp_path: Path, pm25_csv: str) -> None:
    site.body = Path(pm25_csv).read_bytes()
    settings = Settings(cache=tmp_path / "cache", pm25_url=site.url)
    assert pm25.load(settings) == site.body
    assert pm25.load(settings) == site.body
    assert site.requests == 1


def test_another_file_is_refused_and_not_kept(site: Site, tmp_path: Path) -> None:
    site.body = b"No,year\n1,2010\n"
    settings = Settings(cache=tmp_path, pm25_url=site.url)
    for _ in range(2):
        with pytest.raises(DataUnavailable, match="SHA-256"):
            pm25.load(settings)
    assert site.requests == 2
    assert list(tmp_path.iterdir()) == []


def test_when_neither_can_be_had_it_says_what_to_do(tmp_path: Path) -> None:
    settings = Settings(cache=tmp_path, pm25_url=f"http://127.0.0.1:{free_port()}/pm25.csv")
    with pytest.raises(DataUnavailable, match="STREAMLEARN_PM25_CSV"):
        pm25.load(settings)
    with pytest.raises(DataUnavailable, match="cannot be read"):
        pm25.load(replace(settings, pm25_csv=str(tmp_path / "missing.csv")))


def test_a_local_copy_is_checked_too(tmp_path: Path, pm25_csv: str) -> None:
    altered = tmp_path / "altered.csv"
    altered.write_bytes(Path(pm25_csv).read_bytes().replace(b"129", b"130", 1))
    with pytest.raises(DataUnavailable, match="is not UCI's"):
        pm25.load(Settings(pm25_csv=str(altered)))
