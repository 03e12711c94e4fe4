"""``openai-http``: any service or server that speaks OpenAI's ``POST /v1/audio/transcriptions``.

Retried, with exponentially growing waits and full jitter (Brooker, "Exponential backoff and jitter", AWS 2015), or as
long as ``Retry-After`` asks: 408, 409, 425, 429, 5xx, time-outs, broken connections, bodies that are cut off or no
JSON. A refused key or an unknown address ends the run, which can be resumed; any other refusal is an error of that
utterance.
"""

from __future__ import annotations

import datetime as dt
import email.utils
import io
import ipaddress
import math
import os
import random
import re
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal
from urllib.parse import urlsplit

import pydantic
import soundfile

from asrfair.errors import EngineError, InputError, MissingExtraError
from asrfair.recognise.engines.base import EngineBase, EngineContext, EngineTraits, read_options
from asrfair.types import Clip, EngineSpec, Hypothesis, WordTime

RETRIED = frozenset({408, 409, 425, 429})
FATAL = {
    401: "the key was refused",
    403: "access was refused",
    404: "there is no such address or model",
    405: "wrong address",
}
MAX_WAIT_S = 120.0
"""Longest wait that grows by itself."""
MAX_ASKED_WAIT_S = 3600.0
"""Longest wait that a service may ask for with ``Retry-After``; one that asks for more is tried after this."""
MAX_BODY_BYTES = 8_000_000


class OpenAiHttpOptions(pydantic.BaseModel):
    """Options of the ``openai-http`` engine.

    Args:
        base_url: Such as ``https://api.openai.com/v1`` or ``http://localhost:8000/v1``.
        model: The service's name for the model.
        api_key_env: The environment variable that holds the key; the key itself never stands in a file. Empty: no key.
        language, prompt, temperature: Sent as they are.
        response_format: ``json``, ``verbose_json`` (word times and confidence, where
            the service gives them) or ``text``.
        concurrency: Requests at once.
        requests_per_minute: Limit over all requests; ``None`` is none.
        timeout_s: Longest wait for one answer.
        max_retries: Tries after the first one.
        audio_format: ``flac`` (half the bytes, the same samples) or ``wav``.
        allow_http: Send audio unencrypted to a host that is not this machine.
        version: Your word for what the service is now; a resumed run refuses when it has changed.
    """

    model_config = pydantic.ConfigDict(extra="forbid", protected_namespaces=())
    base_url: str = "https://api.openai.com/v1"
    model: str
    api_key_env: str = "OPENAI_API_KEY"
    language: str | None = None
    prompt: str | None = None
    temperature: float | None = pydantic.Field(default=None, ge=0, le=1)
    response_format: Literal["json", "verbose_json", "text"] = "json"
    concurrency: int = pydantic.Field(default=4, ge=1, le=256)
    requests_per_minute: float | None = pydantic.Field(default=None, gt=0)
    timeout_s: float = pydantic.Field(default=120.0, gt=0)
    max_retries: int = pydantic.Field(default=6, ge=0, le=50)
    first_wait_s: float = pydantic.Field(default=0.5, gt=0, le=60)
    audio_format: Literal["flac", "wav"] = "flac"
    allow_http: bool = False
    version: str = ""


_ESCAPE = re.compile(r"\\u([0-9a-fA-F]{4})|\\([/\"\\])")


class _TryAgainError(Exception):
    """This try failed in a way that the next may not."""

    def __init__(self, reason: str, wait_s: float | None = None) -> None:
        super().__init__(reason)
        self.wait_s = wait_s


class OpenAiHttp(EngineBase):
    """Sends each clip as a file; ``transcribe`` may be called from several threads at once."""

    def __init__(self, spec: EngineSpec, context: EngineContext) -> None:
        super().__init__(spec, context)
        self.options = read_options(OpenAiHttpOptions, spec)
        try:
            import httpx

            from asrfair.recognise.engines import deadline_http
        except ImportError as error:
            raise MissingExtraError(extra="http", package="httpx", needed_for="the engine 'openai-http'") from error
        self._http = deadline_http
        self._key = self._read_key()
        _check_url(self.options.base_url, allow_http=self.options.allow_http)
        self._limiter = _Limiter(self.options.requests_per_minute)
        self._random = random.Random()  # noqa: S311 -- jitter of waits; no result depends on it
        self._client = httpx.Client(
            timeout=self.options.timeout_s,
            headers={
                "Accept-Encoding": "identity",
                **({"Authorization": f"Bearer {self._key}"} if self._key else {}),
            },
            transport=deadline_http.DeadlineTransport(self.options.base_url, connections=self.options.concurrency),
            follow_redirects=False,
        )
        self._counted = threading.Lock()
        self._retries = 0

    @classmethod
    def traits_for(cls, spec: EngineSpec, context: EngineContext) -> EngineTraits:  # noqa: ARG003 -- same for every context
        """Return the traits: one file a request, several requests at once; a service may change its mind."""
        options = read_options(OpenAiHttpOptions, spec)
        return EngineTraits(
            parallel="threads",
            concurrency=options.concurrency,
            deterministic=False,
            paid=True,
            patience_s=(options.max_retries + 1) * (options.timeout_s + MAX_ASKED_WAIT_S),
        )

    def _read_key(self) -> str:
        name = self.options.api_key_env
        if not name:
            return ""
        key = os.environ.get(name, "").strip()
        if not key:
            raise EngineError(
                f"the environment variable {name} holds no key for the engine {self.spec.label!r}",
                remedy=f'Run: export {name}=…  (or set api_key_env = "" for a server that wants none)',
            )
        if not key.isascii() or not key.isprintable():
            raise EngineError(f"the key in {name} has characters that no HTTP header can carry")
        return key

    def transcribe(self, clips: Sequence[Clip]) -> list[Hypothesis]:
        """Send each clip and wait for its text."""
        return [self._one(clip) for clip in clips]

    def _one(self, clip: Clip) -> Hypothesis:
        body = _encode(clip, self.options.audio_format)
        last = ""
        started = time.perf_counter()
        for attempt in range(self.options.max_retries + 1):
            self._limiter.wait()
            try:
                answer = self._send(clip, body)
            except _TryAgainError as error:
                last = self._clean(str(error))
                if attempt < self.options.max_retries:
                    with self._counted:
                        self._retries += 1
                    time.sleep(self._wait_s(attempt, error.wait_s))
                continue
            if isinstance(answer, str):
                return Hypothesis(utterance_id=clip.utterance_id, status="error", error=self._clean(answer))
            return self._hypothesis(clip, answer, time.perf_counter() - started)
        return Hypothesis(
            utterance_id=clip.utterance_id,
            status="error",
            error=f"gave up after {self.options.max_retries + 1} tries: {last}",
        )

    def _wait_s(self, attempt: int, asked_s: float | None) -> float:
        if asked_s is not None:
            return min(max(asked_s, 0.0), MAX_ASKED_WAIT_S) + self._random.uniform(0, self.options.first_wait_s)
        return self._random.uniform(0, min(self.options.first_wait_s * 2.0**attempt, MAX_WAIT_S))

    def _send(self, clip: Clip, body: bytes) -> dict[str, Any] | str:
        """Return the answer as a mapping with ``text``, or the reason why this utterance has none."""
        data = {"model": self.options.model, "response_format": self.options.response_format}
        for name in ("language", "prompt", "temperature"):
            value = getattr(self.options, name)
            if value is not None:
                data[name] = str(value)
        if "language" not in data and clip.language:
            data["language"] = clip.language
        url = self.options.base_url.rstrip("/") + "/audio/transcriptions"
        files = {"file": (f"audio.{self.options.audio_format}", body, f"audio/{self.options.audio_format}")}
        try:
            with (
                self._http.deadline(self.options.timeout_s),
                self._client.stream("POST", url, data=data, files=files) as response,
            ):
                content = self._http.read_body(response, MAX_BODY_BYTES)
                status, headers = response.status_code, response.headers
        except self._http.LATE:
            raise _TryAgainError(f"no answer within {self.options.timeout_s:g} s") from None
        except self._http.BROKEN as error:
            raise _TryAgainError(f"the connection failed: {type(error).__name__}: {error}") from None
        except ValueError as error:
            raise _TryAgainError(str(error)) from None
        text = self._clean(content.decode("utf-8", "replace"))  # before it is cut: half a key is no better
        if status in FATAL:
            raise EngineError(
                f"{self.spec.label}: {FATAL[status]} (HTTP {status}): {text[:300]}",
                remedy="Mend base_url, model or the key, and start the same command again to resume",
            )
        if status in RETRIED or status >= 500:
            raise _TryAgainError(f"HTTP {status}: {text[:200]}", _retry_after_s(headers.get("retry-after")))
        if status != 200:
            return f"HTTP {status}: {text[:300]}"
        return self._parse(text)

    def _parse(self, text: str) -> dict[str, Any]:
        if self.options.response_format == "text":
            return {"text": text}
        import json

        try:
            # A number of 400 digits and more is none, and no reason to lose the text beside it.
            answer = json.loads(text, parse_int=lambda digits: int(digits) if len(digits) < 300 else math.inf)
        except (ValueError, RecursionError):
            raise _TryAgainError("the answer is not JSON") from None
        if not isinstance(answer, dict) or not isinstance(answer.get("text"), str):
            raise _TryAgainError("the answer has no text")
        return answer

    def _hypothesis(self, clip: Clip, answer: dict[str, Any], latency_s: float) -> Hypothesis:
        text = self._clean(answer["text"]).strip()  # once more: JSON may have hidden a key in escapes
        language = answer.get("language")
        return Hypothesis(
            utterance_id=clip.utterance_id,
            text=text,
            status="ok" if text else "empty",
            language=self._clean(language) if isinstance(language, str) else None,
            confidence=_confidence(answer.get("segments")),
            words=tuple(replace(word, word=self._clean(word.word)) for word in _words(answer.get("words"))),
            latency_s=latency_s,
        )

    def _clean(self, text: str) -> str:
        """Take the key out of anything that will be shown or stored, also where JSON's escapes hide it."""
        if not self._key:
            return text
        plain = _ESCAPE.sub(lambda match: chr(int(match[1], 16)) if match[1] else match[2], text)
        return (plain if self._key in plain else text).replace(self._key, "***")

    def statistics(self) -> dict[str, float]:
        """Return how often a request was tried again."""
        return {"retries": float(self._retries)}

    def fingerprint(self) -> dict[str, str]:
        """Return the host, the model and the version that the user states; never the key."""
        return {
            "host": urlsplit(self.options.base_url).hostname or "",
            "model": self.options.model,
            "version": self.options.version,
        }

    def close(self) -> None:
        """Close the connections."""
        self._client.close()


class _Limiter:
    """Lets one call through every ``60 / per_minute`` seconds, over all threads."""

    def __init__(self, per_minute: float | None) -> None:
        self._gap_s = 60.0 / per_minute if per_minute else 0.0
        self._next = 0.0
        self._lock = threading.Lock()

    def wait(self) -> None:
        if not self._gap_s:
            return
        with self._lock:
            now = time.monotonic()
            turn = max(now, self._next)
            self._next = turn + self._gap_s
        time.sleep(max(turn - now, 0.0))


def _check_url(url: str, *, allow_http: bool) -> None:
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        host, parts = "", None
    if parts is None or parts.scheme not in {"http", "https"} or not host:
        raise InputError("base_url is no http or https address", column="base_url", value=url)
    if parts.username or parts.password:
        raise InputError("base_url must hold no user or password", column="base_url", remedy="Use api_key_env")
    if parts.scheme == "http" and not allow_http and not _is_this_machine(host):
        raise InputError(
            f"audio would go unencrypted to {host}", column="base_url",
            remedy="Use https, or set allow_http = true for a host that you trust on a network that you trust",
        )  # fmt: skip


def _is_this_machine(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _encode(clip: Clip, audio_format: str) -> bytes:
    stream = io.BytesIO()
    soundfile.write(stream, clip.samples, clip.sample_rate_hz, format=audio_format.upper(), subtype="PCM_16")
    return stream.getvalue()


def _retry_after_s(value: str | None) -> float | None:
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            when = email.utils.parsedate_to_datetime(value)
        except (TypeError, ValueError):
            return None
        if when.tzinfo is None:
            when = when.replace(tzinfo=dt.UTC)
        return (when - dt.datetime.now(dt.UTC)).total_seconds()
    return seconds if math.isfinite(seconds) else None


def _number(value: object) -> float | None:
    try:
        return float(value) if isinstance(value, int | float) and math.isfinite(value) else None
    except OverflowError:
        return None


def _confidence(segments: object) -> float | None:
    """Return exp of the mean log probability over segments, which is how Whisper-type services state confidence."""
    if not isinstance(segments, list):
        return None
    values = [_number(item.get("avg_logprob")) for item in segments if isinstance(item, dict)]
    known = [value for value in values if value is not None]
    return math.exp(min(sum(known) / len(known), 0.0)) if known else None


def _words(words: object) -> tuple[WordTime, ...]:
    found = []
    for item in words if isinstance(words, list) else []:
        if isinstance(item, dict) and isinstance(item.get("word"), str):
            start_s, end_s = _number(item.get("start")), _number(item.get("end"))
            if start_s is not None and end_s is not None:
                found.append(WordTime(word=item["word"], start_s=start_s, end_s=end_s))
    return tuple(found)
