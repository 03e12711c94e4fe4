"""A stand-in for AWS in tests: S3 (path style) and Amazon Transcribe (JSON 1.1) as boto3 speaks to them."""

from __future__ import annotations

import io
import json
import threading
import urllib.parse
from collections import Counter
from http.server import BaseHTTPRequestHandler
from typing import Any

import soundfile


class Aws(BaseHTTPRequestHandler):
    """Buckets and jobs in memory. Each job takes ``polls`` looks; failures are chosen by the recording's length."""

    protocol_version = "HTTP/1.1"
    objects: dict[str, bytes]
    jobs: dict[str, dict[str, Any]]
    calls: Counter[str]
    lock: threading.RLock
    bucket = "speech"
    polls = 2
    throttled = 0
    """So many of the coming starts, and as many looks, are refused as too many."""
    denied = False
    fails_at: frozenset[int] = frozenset()
    """Lengths in samples whose jobs fail."""
    lost_answers = False
    """Completed jobs have no answer in the bucket (somebody has tidied up)."""

    def log_message(self, *arguments: object) -> None:
        """Keep quiet."""

    # --- S3 ------------------------------------------------------------------------------------------------------

    def do_PUT(self) -> None:
        """Store an object."""
        with self.lock:
            self.calls["put"] += 1
            content = self.body()
            if self.path.strip("/").split("/")[0] != self.bucket:
                self.s3_error(404, "NoSuchBucket")
                return
            self.objects[self.key()] = content
            self.send(200, b"", {"ETag": '"1"'})

    def do_GET(self) -> None:
        """Hand an object out."""
        with self.lock:
            self.calls["get"] += 1
            found = self.objects.get(self.key())
            if found is None:
                self.s3_error(404, "NoSuchKey")
            else:
                self.send(200, found, {"Content-Type": "application/json"})

    def do_DELETE(self) -> None:
        """Remove an object."""
        with self.lock:
            self.calls["delete"] += 1
            self.objects.pop(self.key(), None)
            self.send(204, b"")

    def key(self) -> str:
        """The key in the bucket."""
        return urllib.parse.unquote(urllib.parse.urlsplit(self.path).path).split("/", 2)[2]

    def body(self) -> bytes:
        """The body, also where it comes in the chunks that AWS has made up for signing."""
        content = self.rfile.read(int(self.headers["Content-Length"]))
        if "aws-chunked" not in self.headers.get("Content-Encoding", ""):
            return content
        plain = b""
        while content:
            head, _, content = content.partition(b"\r\n")
            size = int(head.split(b";")[0], 16)
            if not size:
                break
            plain, content = plain + content[:size], content[size + 2 :]
        return plain

    def s3_error(self, status: int, code: str) -> None:
        """Answer with an error as S3 does."""
        self.send(status, f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode())

    # --- Transcribe ----------------------------------------------------------------------------------------------

    def do_POST(self) -> None:
        """Dispatch a call of Transcribe."""
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        action = self.headers["X-Amz-Target"].split(".")[1]
        with self.lock:
            self.calls[action] += 1
            if self.denied:
                self.refuse("AccessDeniedException")
            elif action == "StartTranscriptionJob":
                self.start(request)
            elif request["TranscriptionJobName"] not in self.jobs:
                self.refuse("BadRequestException" if action.startswith("Get") else "NotFoundException")
            elif action == "GetTranscriptionJob":
                self.look(self.jobs[request["TranscriptionJobName"]])
            else:
                del self.jobs[request["TranscriptionJobName"]]
                self.answer({})

    def start(self, request: dict[str, Any]) -> None:
        """Start a job, unless there is one of that name, or too many."""
        if type(self).throttled > 0:
            type(self).throttled -= 1
            self.refuse("LimitExceededException")
            return
        if request["TranscriptionJobName"] in self.jobs:
            self.refuse("ConflictException")
            return
        uri = request["Media"]["MediaFileUri"].removeprefix(f"s3://{self.bucket}/")
        samples, rate_hz = soundfile.read(io.BytesIO(self.objects[uri]), dtype="int16")
        assert request["MediaSampleRateHertz"] == rate_hz
        job = {"request": request, "left": self.polls, "status": "IN_PROGRESS", "samples": len(samples)}
        self.jobs[request["TranscriptionJobName"]] = job
        self.answer(self.shown(job))

    def look(self, job: dict[str, Any]) -> None:
        """Tell how a job stands; each look brings it on."""
        if job["left"] > 0:
            job["left"] -= 1
        elif job["status"] == "IN_PROGRESS":
            if job["samples"] in self.fails_at:
                job["status"] = "FAILED"
            else:
                job["status"] = "COMPLETED"
                if not self.lost_answers:
                    self.objects[job["request"]["OutputKey"]] = self.transcript(job["samples"])
        self.answer(self.shown(job))

    @staticmethod
    def transcript(samples: int) -> bytes:
        """The answer's file, as the service writes it."""
        alternatives = [{"confidence": "0.75", "content": f"w{samples}"}]
        word = {"type": "pronunciation", "start_time": "0.0", "end_time": "0.2", "alternatives": alternatives}
        stop = {"type": "punctuation", "alternatives": [{"confidence": "0.0", "content": "."}]}
        return json.dumps(
            {"results": {"transcripts": [{"transcript": f"w{samples}."}], "items": [word, stop]}}
        ).encode()

    @staticmethod
    def shown(job: dict[str, Any]) -> dict[str, Any]:
        """A job as the service describes it."""
        shown = {
            "TranscriptionJobName": job["request"]["TranscriptionJobName"],
            "TranscriptionJobStatus": job["status"],
        }
        if job["status"] == "FAILED":
            shown["FailureReason"] = "the audio is damaged"
        return {"TranscriptionJob": shown}

    def answer(self, content: dict[str, Any]) -> None:
        """Answer with JSON."""
        self.send(200, json.dumps(content).encode(), {"Content-Type": "application/x-amz-json-1.1"})

    def refuse(self, kind: str) -> None:
        """Answer with an error as the service does."""
        content = json.dumps({"__type": kind, "Message": f"refused: {kind}"}).encode()
        self.send(400, content, {"Content-Type": "application/x-amz-json-1.1", "x-amzn-ErrorType": kind})

    def send(self, status: int, content: bytes, headers: dict[str, str] | None = None) -> None:
        """Send a whole answer."""
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)


def aws(**settings: object) -> type[Aws]:
    """An empty AWS of its own for one test."""
    return type("Aws", (Aws,), {"objects": {}, "jobs": {}, "calls": Counter(), "lock": threading.RLock(), **settings})
