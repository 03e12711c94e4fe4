"""``amazon-transcribe``: Amazon Transcribe's batch jobs, through boto3.

Each clip is uploaded to your bucket, a job is started, polled and fetched, and what was left in the bucket and the
job list is removed. A job's name is a hash of the audio and of every setting that can change its text: when a run is
cut off and resumed, the same utterance finds its own job instead of paying for another.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

import pydantic
import soundfile

from asrfair.errors import EngineError, MissingExtraError
from asrfair.recognise.engines.base import EngineBase, EngineContext, EngineTraits, read_options
from asrfair.types import Clip, EngineSpec, Hypothesis, WordTime

FATAL = frozenset(
    {"AccessDeniedException", "UnrecognizedClientException", "InvalidClientTokenId", "ExpiredTokenException",
     "SignatureDoesNotMatch", "AccessDenied", "NoSuchBucket", "InvalidAccessKeyId"}
)  # fmt: skip
BUSY = frozenset(
    {"LimitExceededException", "ThrottlingException", "Throttling", "TooManyRequestsException", "SlowDown"}
)


class AmazonTranscribeOptions(pydantic.BaseModel):
    """Options of the ``amazon-transcribe`` engine. Credentials come from where boto3 finds them.

    Args:
        bucket: Your S3 bucket for audio and answers.
        prefix: Folder in it.
        region: AWS region; empty takes boto3's own setting.
        language_code: Such as ``en-US``.
        vocabulary: Name of a custom vocabulary.
        language_model: Name of a custom language model.
        concurrency: Jobs at once.
        poll_s: Seconds between two looks at a job.
        timeout_s: Longest wait for one job.
        keep: Leave audio, answers and jobs where they are.
        endpoint_url: Another address than AWS's (a local stand-in).
        version: Your word for what the service is now; a resumed run refuses when it has changed.
    """

    model_config = pydantic.ConfigDict(extra="forbid")
    bucket: str = pydantic.Field(min_length=3)
    prefix: str = "asrfair/"
    region: str | None = None
    language_code: str = "en-US"
    vocabulary: str | None = None
    language_model: str | None = None
    concurrency: int = pydantic.Field(default=16, ge=1, le=250)
    poll_s: float = pydantic.Field(default=3.0, gt=0, le=300)
    timeout_s: float = pydantic.Field(default=3600.0, gt=0)
    keep: bool = False
    endpoint_url: str | None = None
    version: str = ""


class AmazonTranscribe(EngineBase):
    """Runs one job a clip; ``transcribe`` may be called from several threads at once."""

    def __init__(self, spec: EngineSpec, context: EngineContext) -> None:
        super().__init__(spec, context)
        self.options = read_options(AmazonTranscribeOptions, spec)
        try:
            import boto3
            import botocore.config
            import botocore.exceptions
        except ImportError as error:
            raise MissingExtraError(
                extra="aws", package="boto3", needed_for="the engine 'amazon-transcribe'"
            ) from error
        self._client_error = botocore.exceptions.ClientError
        self._core_error = botocore.exceptions.BotoCoreError
        self._running: dict[str, threading.Lock] = {}
        self._guard = threading.Lock()

        def config(tries: int) -> Any:
            return botocore.config.Config(
                retries={"mode": "standard", "max_attempts": tries},
                max_pool_connections=max(self.options.concurrency, 10),
            )

        try:
            session = boto3.session.Session(region_name=self.options.region)
            self._s3: Any = session.client("s3", endpoint_url=self.options.endpoint_url, config=config(8))
            # Fewer tries: a busy service is waited for by this engine, up to timeout_s.
            self._transcribe: Any = session.client(
                "transcribe", endpoint_url=self.options.endpoint_url, config=config(3)
            )
        except (self._core_error, ValueError) as error:
            raise EngineError(f"boto3 cannot start: {error}", remedy="Set a region and credentials") from error

    @classmethod
    def traits_for(cls, spec: EngineSpec, context: EngineContext) -> EngineTraits:  # noqa: ARG003 -- same for every context
        """Return the traits: one job a clip, several at once; a service may change its mind."""
        options = read_options(AmazonTranscribeOptions, spec)
        return EngineTraits(
            parallel="threads",
            concurrency=options.concurrency,
            deterministic=False,
            paid=True,
            patience_s=3 * options.timeout_s + 600.0,
        )

    def transcribe(self, clips: Sequence[Clip]) -> list[Hypothesis]:
        """Run one job a clip."""
        return [self._guarded(clip) for clip in clips]

    def _guarded(self, clip: Clip) -> Hypothesis:
        try:
            return self._one(clip)
        except self._client_error as error:
            code = error.response.get("Error", {}).get("Code", "")
            if code in FATAL:
                raise EngineError(
                    f"{self.spec.label}: AWS refuses: {error}",
                    remedy="Mend credentials, bucket or rights, and start the same command again to resume",
                ) from error
            return _error(clip, str(error))
        except (self._core_error, TimeoutError, ValueError, KeyError) as error:
            return _error(clip, f"{type(error).__name__}: {error}")

    def _one(self, clip: Clip) -> Hypothesis:
        stream = io.BytesIO()
        soundfile.write(stream, clip.samples, clip.sample_rate_hz, format="FLAC", subtype="PCM_16")
        body = stream.getvalue()
        name = self._job_name(body)
        started = time.perf_counter()
        with self._alone(name):
            answer = self._answer(name, body, clip.sample_rate_hz)
        if isinstance(answer, str):
            return _error(clip, f"the job failed: {answer}")
        return _read_answer(clip, answer, time.perf_counter() - started)

    @contextlib.contextmanager
    def _alone(self, name: str) -> Iterator[None]:
        """Keep equal recordings apart: their jobs have one name, and one must not clean up what another waits for."""
        with self._guard:
            lock = self._running.setdefault(name, threading.Lock())
        with lock:
            yield

    def _answer(self, name: str, body: bytes, rate_hz: int) -> dict[str, Any] | str:
        """Return the service's answer, or why the job failed."""
        keys = (f"{self.options.prefix}{name}.flac", f"{self.options.prefix}{name}.json")
        if self._status(name) not in {"QUEUED", "IN_PROGRESS"} and not self._finished(name, keys[1]):
            self._forget(name)
            self._s3.put_object(Bucket=self.options.bucket, Key=keys[0], Body=body)
            try:
                self._start(name, *keys, rate_hz)
            except self._client_error:
                self._clean_up(name, *keys)
                raise
        reason = self._wait(name)
        if not reason:
            found = self._s3.get_object(Bucket=self.options.bucket, Key=keys[1])["Body"].read()
        if not self.options.keep:
            self._clean_up(name, *keys)
        return reason or dict(json.loads(found))

    def _finished(self, name: str, answer_key: str) -> bool:
        """Whether an earlier process has left a finished job with its answer."""
        if self._status(name) != "COMPLETED":
            return False
        try:
            self._s3.get_object(Bucket=self.options.bucket, Key=answer_key)["Body"].close()
        except self._client_error as error:
            if error.response.get("Error", {}).get("Code") != "NoSuchKey":
                raise
            return False
        return True

    def _job_name(self, body: bytes) -> str:
        settings = self.options.model_dump(
            include={"language_code", "vocabulary", "language_model", "version", "bucket", "prefix"}
        )
        digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode() + b"\0" + body)
        return f"asrfair-{digest.hexdigest()[:48]}"

    def _status(self, name: str) -> str | None:
        """Return the job's status, or ``None`` if there is no such job."""
        try:
            job = self._transcribe.get_transcription_job(TranscriptionJobName=name)
        except self._client_error as error:
            code = error.response.get("Error", {}).get("Code")
            if code in {"BadRequestException", "NotFoundException"}:
                return None
            raise
        return str(job["TranscriptionJob"]["TranscriptionJobStatus"])

    def _start(self, name: str, media_key: str, answer_key: str, rate_hz: int) -> None:
        keywords: dict[str, Any] = {
            "TranscriptionJobName": name,
            "LanguageCode": self.options.language_code,
            "MediaFormat": "flac",
            "MediaSampleRateHertz": rate_hz,
            "Media": {"MediaFileUri": f"s3://{self.options.bucket}/{media_key}"},
            "OutputBucketName": self.options.bucket,
            "OutputKey": answer_key,
        }
        if self.options.vocabulary:
            keywords["Settings"] = {"VocabularyName": self.options.vocabulary}
        if self.options.language_model:
            keywords["ModelSettings"] = {"LanguageModelName": self.options.language_model}
        deadline = time.monotonic() + self.options.timeout_s
        while True:
            try:
                self._transcribe.start_transcription_job(**keywords)
            except self._client_error as error:
                code = error.response.get("Error", {}).get("Code")
                if code == "ConflictException":  # another thread or an earlier run has started this very job
                    return
                if code not in BUSY or time.monotonic() > deadline:
                    raise
                time.sleep(self.options.poll_s)
            else:
                return

    def _wait(self, name: str) -> str:
        """Wait for the end of a job; return why it failed, or the empty string."""
        deadline = time.monotonic() + self.options.timeout_s
        while time.monotonic() < deadline:
            try:
                job = self._transcribe.get_transcription_job(TranscriptionJobName=name)["TranscriptionJob"]
            except self._client_error as error:
                if error.response.get("Error", {}).get("Code") not in BUSY:
                    raise
                job = {"TranscriptionJobStatus": "IN_PROGRESS"}
            if job["TranscriptionJobStatus"] == "COMPLETED":
                return ""
            if job["TranscriptionJobStatus"] == "FAILED":
                return str(job.get("FailureReason") or "no reason given")
            time.sleep(self.options.poll_s)
        raise TimeoutError(f"the job has not ended within {self.options.timeout_s:g} s; a resumed run will find it")

    def _forget(self, name: str) -> None:
        with contextlib.suppress(self._client_error):
            self._transcribe.delete_transcription_job(TranscriptionJobName=name)

    def _clean_up(self, name: str, *keys: str) -> None:
        self._forget(name)
        for key in keys:
            with contextlib.suppress(self._client_error):
                self._s3.delete_object(Bucket=self.options.bucket, Key=key)

    def fingerprint(self) -> dict[str, str]:
        """Return the library's version and the settings that can change a text; no credentials."""
        import boto3

        return {
            "boto3": boto3.__version__,
            "language_code": self.options.language_code,
            "vocabulary": self.options.vocabulary or "",
            "language_model": self.options.language_model or "",
            "version": self.options.version,
        }

    def close(self) -> None:
        """Close the connections."""
        self._s3.close()
        self._transcribe.close()


def _read_answer(clip: Clip, answer: dict[str, Any], latency_s: float) -> Hypothesis:
    results = answer["results"]
    text = " ".join(str(part["transcript"]) for part in results["transcripts"]).strip()
    words = []
    sureness = []
    for item in results.get("items", []):
        if item.get("type") != "pronunciation" or not item.get("alternatives"):
            continue
        best = item["alternatives"][0]
        confidence = float(best["confidence"]) if "confidence" in best else None
        if confidence is not None:
            sureness.append(confidence)
        words.append(
            WordTime(
                word=str(best["content"]),
                start_s=float(item["start_time"]),
                end_s=float(item["end_time"]),
                confidence=confidence,
            )
        )
    return Hypothesis(
        utterance_id=clip.utterance_id,
        text=text,
        status="ok" if text else "empty",
        confidence=sum(sureness) / len(sureness) if sureness else None,
        words=tuple(words),
        latency_s=latency_s,
    )


def _error(clip: Clip, message: str) -> Hypothesis:
    return Hypothesis(utterance_id=clip.utterance_id, status="error", error=message)
