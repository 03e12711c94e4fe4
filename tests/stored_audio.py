"""The audio of a test's manifest put into tar shards, Parquet and object stores; servers that fail on purpose."""

from __future__ import annotations

import csv
import datetime as dt
import http.client
import io
import ipaddress
import os
import ssl
import tarfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from http_servers import QuietServer

BUCKET = "corpus"


def rows_of(manifest: Path) -> list[dict[str, str]]:
    """The rows of a CSV manifest."""
    with manifest.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def with_audio(manifest: Path, name: str, address: Callable[[int, str], str]) -> Path:
    """Write the manifest again beside itself with other audio: ``address(row, file name)``."""
    rows = rows_of(manifest)
    for number, row in enumerate(rows):
        row["audio"] = address(number, row["audio"])
    path = manifest.with_name(name)
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def in_tars(manifest: Path, *, each: int = 4) -> Path:
    """The same corpus in tar shards of a few recordings, beside it in ``shards/``."""
    folder = manifest.parent / "shards"
    folder.mkdir()
    rows = rows_of(manifest)
    for first in range(0, len(rows), each):
        with tarfile.open(folder / f"{first // each:03}.tar", "w") as shard:
            for row in rows[first : first + each]:
                shard.add(manifest.parent / row["audio"], arcname=row["audio"])
    return with_audio(manifest, "tars.csv", lambda number, name: f"shards/{number // each:03}.tar#{name}")


def in_parquet(manifest: Path) -> Path:
    """The same corpus as bytes in Parquet, in Hugging Face's layout."""
    rows = rows_of(manifest)
    cells = [{"bytes": (manifest.parent / row["audio"]).read_bytes(), "path": row["audio"]} for row in rows]
    pq.write_table(pa.table({"audio": cells}), manifest.parent / "test.parquet", row_group_size=5)
    return with_audio(manifest, "parquet.csv", lambda number, name: f"test.parquet#audio/{number}")


class Faults:
    """What goes wrong between a client and a server: a function from the number of a read to ``error`` and such."""

    def __init__(self) -> None:
        self.plan: Callable[[int], str] = lambda number: ""
        self.reads = 0
        self.seen: list[str] = []


@contextmanager
def s3(monkeypatch: pytest.MonkeyPatch, cache: Path) -> Iterator[Faults]:
    """An S3 of one's own (moto), behind a proxy that fails as it is told; the environment points at it."""
    from moto.server import ThreadedMotoServer

    faults = Faults()
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()

    class Between(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _pass(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            number = faults.reads
            if self.command == "GET":
                faults.reads += 1
                faults.seen.append(f"{self.path} {self.headers.get('Range', '')}")
            fault = faults.plan(number) if self.command == "GET" else ""
            upstream = http.client.HTTPConnection(host, port, timeout=30)
            upstream.request(self.command, self.path, body, dict(self.headers))
            answer = upstream.getresponse()
            content = answer.read()
            upstream.close()
            if fault == "error":
                content = b"<Error><Code>SlowDown</Code><Message>Reduce your request rate.</Message></Error>"
                self.send_response(503)
            else:
                self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in {"content-length", "connection", "transfer-encoding"}:
                    self.send_header(name, value)
            length = answer.getheader("Content-Length") if self.command == "HEAD" else str(len(content))
            self.send_header("Content-Length", length or "0")
            self.end_headers()
            if fault == "short":
                self.wfile.write(content[: len(content) // 2])
                self.wfile.flush()
                self.close_connection = True
                return
            if fault == "stall":
                self.wfile.write(content[:100])
                self.wfile.flush()
                stop.wait(60)
                self.close_connection = True
                return
            self.wfile.write(content)

        do_GET = do_HEAD = do_PUT = do_POST = _pass  # noqa: N815 -- what the library calls

        def log_message(self, *_: object) -> None:
            pass

    stop = threading.Event()
    proxy = QuietServer(("127.0.0.1", 0), Between)
    thread = threading.Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{proxy.server_address[1]}",
        "AWS_ACCESS_KEY_ID": "nobody",
        "AWS_SECRET_ACCESS_KEY": "nothing",
        "AWS_REGION": "us-east-1",
        "ASRFAIR_CACHE": str(cache),
    }.items():
        monkeypatch.setenv(name, value)
    from asrfair.data.stored import objects, reading

    objects._s3.cache_clear()
    monkeypatch.setattr(reading, "_stats", reading._Memory(10))
    client = _client(host, port)
    client.create_bucket(Bucket=BUCKET)
    try:
        yield faults
    finally:
        stop.set()
        client.close()
        proxy.shutdown()
        proxy.server_close()
        thread.join()
        server.stop()
        objects._s3.cache_clear()


def _client(host: str, port: int) -> object:
    import boto3

    return boto3.client("s3", endpoint_url=f"http://{host}:{port}", region_name="us-east-1")


def upload(folder: Path, pattern: str) -> None:
    """Put a folder's files into the bucket, past the proxy's faults (it fails reads only)."""
    address = os.environ["AWS_ENDPOINT_URL"].removeprefix("http://").split(":")
    client = _client(address[0], int(address[1]))
    for path in sorted(folder.glob(pattern)):
        client.put_object(Bucket=BUCKET, Key=path.relative_to(folder).as_posix(), Body=path.read_bytes())
    client.close()


@contextmanager
def https(monkeypatch: pytest.MonkeyPatch, handler: type[BaseHTTPRequestHandler], folder: Path) -> Iterator[str]:
    """An https server on 127.0.0.1 that asrfair trusts while the block runs; gives its address."""
    from asrfair.data.stored import https as module

    certificate, key = _certificate(folder)
    server = QuietServer(("127.0.0.1", 0), handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    trusting = ssl.create_default_context(cafile=str(certificate))
    monkeypatch.setattr(module, "_context", lambda: trusting)
    try:
        yield f"https://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _certificate(folder: Path) -> tuple[Path, Path]:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.oid.NameOID.COMMON_NAME, "test")])
    now = dt.datetime.now(dt.UTC)
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1")), x509.DNSName("localhost")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate, private = folder / "certificate.pem", folder / "key.pem"
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return certificate, private


def tar_of(files: dict[str, bytes], format_: int = tarfile.PAX_FORMAT) -> bytes:
    """A tar file of these files."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=format_) as shard:
        for name, content in files.items():
            about = tarfile.TarInfo(name)
            about.size = len(content)
            shard.addfile(about, io.BytesIO(content))
    return stream.getvalue()
