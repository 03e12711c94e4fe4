"""``amazon-transcribe`` with the real boto3 against a local server that speaks S3 and Transcribe."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from aws_server import Aws, aws
from http_servers import serving
from transcribe_child import go, make_manifest, spec

from asrfair.errors import EngineError
from asrfair.recognise.engines.amazon_transcribe import AmazonTranscribe
from asrfair.recognise.engines.base import EngineContext
from asrfair.types import Clip, EngineSpec

pytest.importorskip("boto3", reason="boto3 is not installed")
SECRET = "canary/secret/9d1f77c2"


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIACANARY0000")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "no-config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "no-credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


def amazon(url: str, **options: object) -> EngineSpec:
    """The engine, pointed at the local server, with short waits."""
    fixed = {"bucket": "speech", "region": "eu-west-1", "endpoint_url": url, "poll_s": 0.01, "concurrency": 4}
    return spec("amazon-transcribe", "aws", **{**fixed, **options})


def clip(samples: int, utterance_id: str = "a") -> Clip:
    """A clip whose length is its text."""
    return Clip(utterance_id=utterance_id, samples=np.full(samples, 0.1, np.float32), sample_rate_hz=16_000)


@pytest.mark.slow
def test_a_run_uses_jobs_and_leaves_nothing_behind(tmp_path: Path) -> None:
    """Each utterance gets its own job's text; a failed job is an error row; bucket and job list end empty."""
    manifest = make_manifest(tmp_path, 10, audio=True)
    import soundfile

    lengths = {f"u{n:04}": soundfile.info(tmp_path / f"u{n:04}.wav").frames for n in range(10)}
    handler = aws(throttled=3, fails_at=frozenset({lengths["u0003"]}))
    with serving(handler) as url:
        go(manifest, tmp_path / "run", [amazon(url)])
    table = pd.read_parquet(tmp_path / "run" / "hypotheses.parquet").set_index("utterance_id")
    failed = [name for name, length in lengths.items() if length == lengths["u0003"]]
    assert failed == table[table["status"] == "error"].index.tolist()
    assert {"the job failed: the audio is damaged"} == set(table.loc[failed, "error"])
    good = table.drop(index=failed)
    assert [f"w{lengths[name]}." for name in good.index] == good["hypothesis"].tolist()
    assert {0.75} == set(good["confidence"])
    assert ({}, {}) == (handler.objects, handler.jobs)
    assert not [p for p in tmp_path.rglob("*") if p.is_file() and SECRET.encode() in p.read_bytes()]


def test_a_resumed_run_finds_the_job_that_was_started() -> None:
    """The job of an interrupted process is waited for, not started (and paid for) again."""
    handler = aws()
    with serving(handler) as url:
        first = AmazonTranscribe(amazon(url, timeout_s=1e-9), EngineContext())
        (lost,) = first.transcribe([clip(1600)])
        first.close()
        assert "has not ended within" in lost.error
        assert 1 == len(handler.jobs)
        second = AmazonTranscribe(amazon(url), EngineContext())
        (found,) = second.transcribe([clip(1600)])
        second.close()
    assert ("ok", "w1600.") == (found.status, found.text)
    assert 1 == handler.calls["StartTranscriptionJob"]
    assert ({}, {}) == (handler.objects, handler.jobs)


def test_equal_recordings_at_once_share_no_fate() -> None:
    """Two threads with the same samples, whose jobs have one name, both get the text."""
    from concurrent.futures import ThreadPoolExecutor

    handler = aws()
    with serving(handler) as url:
        engine = AmazonTranscribe(amazon(url), EngineContext())
        with ThreadPoolExecutor(4) as threads:
            found = list(threads.map(lambda name: engine.transcribe([clip(1600, name)])[0], "abcd"))
        engine.close()
    assert [("ok", "w1600.")] * 4 == [(item.status, item.text) for item in found]
    assert ({}, {}) == (handler.objects, handler.jobs)


def test_a_job_whose_answer_is_gone_is_done_again() -> None:
    """A job that an earlier process had finished and half cleaned up does not stay an error for ever."""
    handler = aws(lost_answers=True)
    with serving(handler) as url:
        engine = AmazonTranscribe(amazon(url, keep=True), EngineContext())
        (lost,) = engine.transcribe([clip(1600)])
        assert "error" == lost.status
        handler.lost_answers = False
        (found,) = engine.transcribe([clip(1600)])
        engine.close()
    assert ("ok", "w1600.") == (found.status, found.text)


def test_keep_leaves_audio_answers_and_jobs() -> None:
    """With keep = true, everything stays under the prefix."""
    handler = aws()
    with serving(handler) as url:
        engine = AmazonTranscribe(amazon(url, keep=True, prefix="study/"), EngineContext())
        engine.transcribe([clip(1600)])
        engine.close()
    assert [".flac", ".json"] == sorted(Path(key).suffix for key in handler.objects)
    assert all(key.startswith("study/") for key in handler.objects)
    assert 1 == len(handler.jobs)


def test_vocabularies_are_asked_for_and_change_the_jobs_name() -> None:
    """A custom vocabulary reaches the service, and a job without it is another job."""
    handler = aws()
    with serving(handler) as url:
        for vocabulary in (None, "drugs"):
            engine = AmazonTranscribe(amazon(url, keep=True, vocabulary=vocabulary), EngineContext())
            engine.transcribe([clip(1600)])
            engine.close()
    settings = [job["request"].get("Settings") for job in handler.jobs.values()]
    assert [None, {"VocabularyName": "drugs"}] == settings


def test_refused_rights_end_the_run() -> None:
    """A lack of rights, or of the bucket, is an EngineError: every other utterance would fail as well."""
    with serving(aws(denied=True)) as url, pytest.raises(EngineError, match="AWS refuses"):
        AmazonTranscribe(amazon(url), EngineContext()).transcribe([clip(1600)])
    with serving(aws()) as url, pytest.raises(EngineError, match="NoSuchBucket"):
        AmazonTranscribe(amazon(url, bucket="other"), EngineContext()).transcribe([clip(1600)])


@pytest.mark.slow
def test_a_service_that_stays_busy_is_an_error_row() -> None:
    """Throttling beyond the time-out costs this utterance only, and leaves no audio in the bucket."""
    handler: type[Aws] = aws(throttled=10**6)
    with serving(handler) as url:
        engine = AmazonTranscribe(amazon(url, timeout_s=0.2), EngineContext())
        (found,) = engine.transcribe([clip(1600)])
        engine.close()
    assert ("error", True) == (found.status, "LimitExceeded" in found.error)
    assert {} == handler.objects
