"""faces.download against a loopback server that speaks the Hub's protocol and misbehaves in one way at a time."""

import functools
import hashlib
import http.server
import io
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from faces import download

pytest.importorskip("huggingface_hub")
pyarrow = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")
ROOT = Path(download.__file__).resolve().parent.parent
REVISION = "0123456789abcdef0123456789abcdef01234567"
NAMES = ["data/train-00000-of-00002.parquet", "data/train-00001-of-00002.parquet"]


@functools.cache
def parquet_bytes(seed):
    """A Parquet file in the Hub's layout: 12 noisy pictures of aligned CelebA's size."""
    noise = np.random.default_rng(seed)
    cells = []
    for row in range(12):
        buffer = io.BytesIO()
        Image.fromarray(noise.integers(0, 256, (218, 178, 3), np.uint8)).save(buffer, "PNG")
        cells.append({"bytes": buffer.getvalue(), "path": f"{row:06}.jpg"})
    file = io.BytesIO()
    parquet.write_table(pyarrow.table({"image": cells}), file)
    return file.getvalue()


class Handler(http.server.BaseHTTPRequestHandler):
    """The three routes that the client uses: the data set's listing, HEAD and GET of a file."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_HEAD(self):
        self.answer(False)

    def do_GET(self):
        self.answer(True)

    def answer(self, with_body):
        server = self.server
        server.requests.append((self.command, self.path, self.headers.get("Range")))
        server.tokens.append(self.headers.get("Authorization"))
        if server.fault in ("404", "429"):
            return self.send(int(server.fault), b"no", {"Retry-After": "1"}, with_body)
        if "/resolve/" not in self.path:
            siblings = [
                {"rfilename": name, "size": len(data), "blobId": "0" * 40,
                 "lfs": {"size": len(data), "sha256": hashlib.sha256(data).hexdigest(), "pointerSize": 130}}
                for name, data in server.files.items()
            ]  # fmt: skip
            listing = {"id": "someone/celeba", "sha": REVISION, "siblings": siblings, "tags": [], "private": False}
            return self.send(200, json.dumps(listing).encode(), {"Content-Type": "application/json"}, with_body)
        name = re.sub(r".*/resolve/[^/]+/", "", self.path).split("?")[0]
        if server.fault == "429 later":
            return self.send(429, b"no", {"Retry-After": "0"}, with_body)
        if "/cdn/" not in self.path:  # the Hub sends its clients on to another host
            return self.send(302, b"", {"Location": "/cdn" + self.path}, with_body)
        data = server.files[name]
        headers = {"ETag": f'"{hashlib.sha256(data).hexdigest()}"', "X-Repo-Commit": REVISION, "Accept-Ranges": "bytes"}
        if not with_body:
            return self.send(200, data, headers, False)
        start = int(re.match(r"bytes=(\d+)-", self.headers.get("Range") or "bytes=0-").group(1))
        if start and start >= len(data):
            return self.send(416, b"", {}, True)
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        status, body, length = (206 if start else 200), data[start:], len(data) - start
        fault, server.fault = server.fault, None if server.fault == "drop" else server.fault
        if fault == "wrong bytes":
            body = body[:1000] + bytes(len(body) - 1000)
        elif fault == "drop":
            body = body[: len(body) // 2]  # fewer bytes than Content-Length says, then the connection closes
        elif fault == "longer":
            body, length = body + b"more", length + 4
        elif fault == "shorter":
            body, length = body[:5000], 5000
        elif fault == "silent":
            server.hold.wait(30)
        self.send(status, body, headers, True, length)
        if len(body) != length:
            self.close_connection = True

    def send(self, status, body, headers, with_body, length=None):
        self.send_response(status)
        for key, value in {"Content-Length": str(len(body) if length is None else length), **headers}.items():
            self.send_header(key, value)
        self.end_headers()
        if with_body:
            self.wfile.write(body)


@pytest.fixture
def server():
    """A server on a free loopback port. server.fault: how it misbehaves (None: it does not)."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.fault, server.requests, server.tokens, server.hold = None, [], [], threading.Event()
    server.files = {name: parquet_bytes(seed) for seed, name in enumerate(NAMES)}
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.hold.set()
    server.shutdown()
    server.server_close()


@pytest.fixture
def home(tmp_path):
    """The data folder of a project of its own. What is fetched goes to .cache beside it."""
    shutil.copytree(ROOT / "faces", tmp_path / "faces", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "common.py", tmp_path)
    (tmp_path / "processed_celeba_small").mkdir()
    return tmp_path / "processed_celeba_small"


def start(home, url, *options, **settings):
    """The program as a process: cache in the test's folder, time-out of one second."""
    environment = {**os.environ, "HF_HOME": str(home.parent / "hub"), "HF_ENDPOINT": url, "HF_TOKEN": "hf_secret",
                   "HF_HUB_DOWNLOAD_TIMEOUT": "1", **settings}  # fmt: skip
    command = [sys.executable, "-m", "faces.download", *options]
    return subprocess.Popen(command, cwd=home.parent, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True)  # fmt: skip


def run(home, url, *options, **settings):
    """Run the program: (exit code, stdout, stderr)."""
    process = start(home, url, *options, **settings)
    out, err = process.communicate(timeout=50)
    return process.returncode, out, err


def url_of(server):
    return f"http://127.0.0.1:{server.server_port}"


def file_url(server):
    return f"{url_of(server)}/datasets/someone/celeba/resolve/{REVISION}/{NAMES[0]}"


def assert_complete(home):
    assert len(list(home.glob("celeba/*.jpg"))) == 24
    assert sorted(path.name for path in home.iterdir()) == ["celeba"]


def assert_failed(result, *words):
    code, _, err = result
    assert code == 1
    assert "Traceback" not in err
    assert "another route" in err
    for word in words:
        assert word in err


def test_fetches_checks_and_prepares(server, home):
    code, out, err = run(home, url_of(server), "--yes")
    assert code == 0, err
    assert "non-commercial research" in out
    assert "24 pictures" in out
    assert_complete(home)
    assert set(server.tokens) == {None}, "the user's login went to the mirror"
    server.requests.clear()
    code, out, err = run(home, url_of(server), "--yes")
    assert code == 0, err
    assert "24 there from an earlier run" in out
    assert not any(command == "GET" and "/resolve/" in path for command, path, _ in server.requests)


def test_nothing_is_fetched_before_the_terms_are_accepted(server, home):
    code, out, err = run(home, url_of(server))
    assert code == 1
    assert "non-commercial research" in out
    assert "--yes" in err
    assert not server.requests


def test_the_question_is_asked_and_no_means_no(server, home):
    pty = pytest.importorskip("pty")
    parent, child = pty.openpty()
    environment = {**os.environ, "HF_HOME": str(home.parent / "hub"), "HF_ENDPOINT": url_of(server)}
    process = subprocess.Popen([sys.executable, "-m", "faces.download"], cwd=home.parent, env=environment, stdin=child,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)  # fmt: skip
    os.write(parent, b"n\n")
    out, _ = process.communicate(timeout=30)
    os.close(parent)
    os.close(child)
    assert process.returncode == 1
    assert "[y/N]" in out
    assert "nothing was fetched" in out
    assert not server.requests


def test_a_dropped_connection_is_tried_again(server, home):
    server.fault = "drop"
    code, _, err = run(home, url_of(server), "--yes")
    assert code == 0, err
    assert_complete(home)


@pytest.mark.parametrize("left", ["half", "garbage"])
def test_a_killed_download_is_resumed_by_the_next_run(server, home, left):
    server.fault = "silent"
    process = start(home, url_of(server), "--yes", HF_HUB_DOWNLOAD_TIMEOUT="30")
    while not any(command == "GET" and "/cdn/" in path for command, path, _ in server.requests):
        assert process.poll() is None, process.stderr.read()
        threading.Event().wait(0.05)
    process.kill()
    process.communicate()
    server.fault = None
    server.hold.set()
    (part,) = (home.parent / ".cache").rglob("*.part")
    whole = server.files[NAMES[0]]
    half = len(whole) // 2
    part.write_bytes({"half": whole[:half], "garbage": bytes(half)}[left])
    code, _, err = run(home, url_of(server), "--yes")
    assert code == 0, err
    assert_complete(home)
    assert f"bytes={half}-" in [asked for _, _, asked in server.requests]


def test_wrong_bytes_are_refused_and_not_kept(server, home):
    server.fault = "wrong bytes"
    assert_failed(run(home, url_of(server), "--yes"), "SHA-256", "train-00000-of-00002")
    assert not list(home.glob("celeba/*"))
    server.fault = None
    code, _, err = run(home, url_of(server), "--yes")
    assert code == 0, err
    assert_complete(home)


@pytest.mark.parametrize(("fault", "words"), [("longer", "sends more"), ("shorter", "should be of size")])
def test_a_server_that_lies_about_the_length(server, tmp_path, fault, words):
    data, path = server.files[NAMES[0]], tmp_path / "table.parquet"
    url = file_url(server)
    server.fault = fault
    with pytest.raises((ValueError, OSError), match=words):
        download.fetch(url, path, len(data), hashlib.sha256(data).hexdigest())
    assert not path.exists()
    assert sum(left.stat().st_size for left in tmp_path.iterdir()) <= len(data)
    server.fault = None
    download.fetch(url, path, len(data), hashlib.sha256(data).hexdigest())
    assert path.read_bytes() == data
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("fault", ["404", "429"])
def test_a_route_that_is_gone_names_the_others(server, home, fault):
    server.fault = fault
    assert_failed(run(home, url_of(server), "--yes"), "mmlab", "flwrlabs/celeba")


def test_no_server_at_all(home):
    assert_failed(run(home, "http://127.0.0.1:9", "--yes"), "mmlab")


@pytest.mark.parametrize(("fault", "requests"), [("silent", 6), ("429 later", 6)])
def test_the_client_tries_again_and_gives_up(server, tmp_path, monkeypatch, fault, requests):
    server.fault = fault
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DOWNLOAD_TIMEOUT", 0.1)
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    with pytest.raises(Exception, match="timed out|429"):
        download.fetch(file_url(server), tmp_path / "table.parquet", len(server.files[NAMES[0]]), "0" * 64)
    assert len([path for _, path, _ in server.requests if ("/cdn/" in path) == (fault == "silent")]) == requests


def test_a_mirror_without_sums_is_refused(server, home):
    server.files = {}
    assert_failed(run(home, url_of(server), "--yes"), "no Parquet files with sums")
