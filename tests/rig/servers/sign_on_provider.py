"""What tests of single sign-on share: a real provider in a process of its own, and a browser that signs in at it."""

from __future__ import annotations

import html
import json
import os
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import httpx
import pytest

from tests.conftest import REPOSITORY

SOURCE = REPOSITORY / "tests" / "oidc"
INSTALLED = REPOSITORY / ".test-home" / "oidc"
PUBLIC = "https://gloria.example.org"
CALLBACK = f"{PUBLIC}/api/oidc/callback"
CLIENT_SECRET = "a secret: with/odd characters"
INSTALL_S = 300


@dataclass
class RunningProvider:
    """A provider: its address and its process."""

    issuer: str
    process: subprocess.Popen[str]

    def settings(self, **more: str) -> dict[str, str]:
        """Return the settings of a server that signs people in here."""
        return {
            "GLORIA_OIDC_ISSUER": self.issuer,
            "GLORIA_OIDC_CLIENT_ID": "gloria",
            "GLORIA_OIDC_CLIENT_SECRET": CLIENT_SECRET,
            "GLORIA_OIDC_REDIRECT_URL": CALLBACK,
            "GLORIA_OIDC_NAME": "甲大學",
            **more,
        }


def installed() -> Path:
    """Return the folder with the provider's packages, installed at the first call; skips where that can't be done."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("no node or npm: the sign-on provider of the tests can't run")
    lock = (SOURCE / "package-lock.json").read_bytes()
    mark = INSTALLED / "installed-lock.json"
    INSTALLED.mkdir(parents=True, exist_ok=True)
    if not mark.exists() or mark.read_bytes() != lock:
        for name in ("package.json", "package-lock.json"):
            shutil.copy(SOURCE / name, INSTALLED / name)
        command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        done = subprocess.run(command, cwd=INSTALLED, capture_output=True, text=True, timeout=INSTALL_S, check=False)
        if done.returncode:
            pytest.skip(f"npm can't install the sign-on provider of the tests: {done.stderr.strip()[-200:]}")
        # Written last, so that a broken installation is tried again.
        mark.write_bytes(lock)
    shutil.copy(SOURCE / "provider.mjs", INSTALLED / "provider.mjs")
    return INSTALLED


@contextmanager
def provider(people: dict[str, dict[str, Any]]) -> Iterator[RunningProvider]:
    """Run a provider that knows these people by the names that they type in."""
    folder = installed()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {**os.environ, "PORT": str(port), "REDIRECT_URL": CALLBACK, "PEOPLE": json.dumps(people)}
    process = subprocess.Popen(
        ["node", "provider.mjs"],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout is not None
        issuer = process.stdout.readline().strip()
        assert issuer, "the provider did not start"
        yield RunningProvider(issuer, process)
    finally:
        process.kill()
        process.communicate()


class _Proxy(httpx.BaseTransport):
    """Stands where a proxy with the certificate would: takes requests to the public address to the server."""

    def __init__(self, url: str) -> None:
        self._target = httpx.URL(url)
        self._transport = httpx.HTTPTransport()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        url = request.url.copy_with(scheme="http", host=self._target.host, port=self._target.port)
        return self._transport.handle_request(
            httpx.Request(request.method, url, headers=request.headers, stream=request.stream)
        )

    def close(self) -> None:
        self._transport.close()


class Browser:
    """A browser: keeps cookies by the rules of cookies, follows redirects, fills in the provider's forms."""

    def __init__(self, server_url: str) -> None:
        self.client = httpx.Client(mounts={PUBLIC: _Proxy(server_url)}, timeout=60)

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()

    def get(self, path: str) -> httpx.Response:
        """Open a page of the server."""
        return self.client.get(urljoin(PUBLIC, path))

    def cookies(self) -> set[str]:
        """Return the names of the cookies that the server's pages left here."""
        return {cookie.name for cookie in self.client.cookies.jar if cookie.domain == "gloria.example.org"}

    def way_back(self, name: str, path: str = "/api/oidc/login", *, abort: bool = False) -> str:
        """Sign in at the provider as somebody, or give up there; return where it sends the browser back to."""
        answer = self.get(path)
        for _ in range(20):
            if answer.is_redirect:
                there = urljoin(str(answer.url), answer.headers["location"])
                if there.startswith(CALLBACK):
                    return there
                answer = self.client.get(there)
                continue
            assert answer.status_code == 200, f"{answer.url}: {answer.status_code} {answer.text[:500]}"
            answer = self._filled_in(answer, name, abort=abort)
        raise AssertionError("the provider never sends the browser back")

    def sign_in(self, name: str, path: str = "/api/oidc/login") -> httpx.Response:
        """Sign in as somebody; return the server's answer to the way back."""
        return self.client.get(self.way_back(name, path))

    def _filled_in(self, page: httpx.Response, name: str, *, abort: bool) -> httpx.Response:
        if abort:
            link = re.search(r'href="([^"]+/abort)"', page.text)
            assert link is not None, page.text
            return self.client.get(urljoin(str(page.url), html.unescape(link[1])))
        action = re.search(r'<form[^>]+action="([^"]+)"', page.text)
        prompt = re.search(r'name="prompt" value="([^"]+)"', page.text)
        assert action is not None, page.text
        assert prompt is not None, page.text
        given = {"prompt": prompt[1], "login": name, "password": "anything"}
        return self.client.post(urljoin(str(page.url), html.unescape(action[1])), data=given)
