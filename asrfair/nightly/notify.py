"""Tells people and programs what a night came to: ``[notify]`` of a suite.

Whatever happens here changes neither the verdict nor the exit code: a channel that fails is named, what it did not take
lies in ``HISTORY/unsent/`` and is tried again the next night. Secrets come from the environment only, by the names that
the suite states, and are never written anywhere.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import smtplib
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from email.message import EmailMessage
from email.utils import formatdate
from pathlib import Path
from typing import Any

from asrfair.data.wholefile import write_whole
from asrfair.errors import AsrfairError, MissingExtraError, printable
from asrfair.nightly.history import History
from asrfair.nightly.message import NO_VERDICT, Message, open_metrics, workflow_commands
from asrfair.runs.notify_settings import Mail, MLflow, NotifySettings, Webhook

TIMEOUT_S = 15.0
MOST_UNSENT = 50
"""Messages that are kept for the next night; older ones are dropped."""
UNSENT = "unsent"


class _NotSentError(Exception):
    """A channel did not take a message; the text says why, and holds no secret."""


def notify(settings: NotifySettings, history: History, message: Message) -> list[str]:
    """Send a night's message through every channel of its suite, and again what was not taken before.

    Args:
        settings: The suite's ``[notify]``.
        history: Where what was not taken is kept.
        message: What there is to say.

    Returns:
        What did not work, in sentences.
    """
    problems: list[str] = []
    if settings.channels:
        waiting = [item for item in _unsent(history, message.suite) if item["channel"] in settings.channels]
        tell = settings.when == "always" or message.verdict in ("fail", "outage", NO_VERDICT)
        for channel in settings.channels:
            old = [item for item in waiting if item["channel"] == channel]
            fresh = [{"channel": channel, "message": message.to_json()}] if tell else []
            for item in [*old, *fresh]:
                try:
                    _send(settings, channel, Message.from_json(item["message"]))
                except _NotSentError as error:
                    problems.append(f"{channel}: night {item['message']['night']} was not sent: {error}")
                    _keep(history, item)
                else:
                    _drop(history, item)
    for what, write in _FILES.items():
        try:
            write(settings, message)
        except (OSError, AsrfairError) as error:
            problems.append(f"{what}: {printable(str(error), limit=300)}")
    return problems


def _send(settings: NotifySettings, channel: str, message: Message) -> None:
    try:
        if channel == "webhook" and settings.webhook is not None:
            post(settings.webhook, message)
        elif channel == "email" and settings.email is not None:
            mail(settings.email, message)
        elif channel == "mlflow" and settings.mlflow is not None:
            log_to_mlflow(settings.mlflow, message)
    except _NotSentError:
        raise
    except MissingExtraError as error:
        raise _NotSentError(printable(str(error), limit=300)) from error
    except Exception as error:
        raise _NotSentError(f"{type(error).__name__}: {_clean(settings, str(error))}") from error


def _clean(settings: NotifySettings, text: str) -> str:
    """Take secrets out of what a library says."""
    for name in settings.secrets:
        value = os.environ.get(name, "")
        if value:
            text = text.replace(value, "…")
    return printable(text, limit=300)


def secret(name: str) -> str:
    """Return a secret from the environment.

    Raises:
        _NotSentError: It is not set.
    """
    value = os.environ.get(name, "")
    if not value:
        raise _NotSentError(f"the environment variable {name} is not set")
    return value


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A signed message goes where it was meant to, or nowhere."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


def post(hook: Webhook, message: Message) -> None:
    """Post the message as JSON that Slack and its like understand, signed if there is a key for it.

    The signature is ``sha256=`` and the HMAC-SHA256 of the body, in ``X-Asrfair-Signature``, as GitHub signs its own.
    """
    body = json.dumps(
        {"text": message.text(), "asrfair": message.to_json()}, ensure_ascii=False, separators=(",", ":")
    ).encode()
    url = secret(hook.url_env)
    if not url.startswith(("http://", "https://")):
        raise _NotSentError(f"{hook.url_env} holds no address of the web")
    headers = {"Content-Type": "application/json; charset=utf-8", "User-Agent": "asrfair"}
    if hook.key_env:
        digest = hmac.new(secret(hook.key_env).encode(), body, hashlib.sha256).hexdigest()
        headers["X-Asrfair-Signature"] = f"sha256={digest}"
    request = urllib.request.Request(url, data=body, headers=headers, method="POST")  # noqa: S310 -- checked above
    try:
        with urllib.request.build_opener(_NoRedirect).open(request, timeout=TIMEOUT_S) as answer:
            answer.read(1000)
    except urllib.error.HTTPError as error:
        raise _NotSentError(f"the server answered {error.code}") from error
    except urllib.error.URLError as error:
        raise _NotSentError(f"the server cannot be reached ({type(error.reason).__name__})") from error


def mail(settings: Mail, message: Message) -> None:
    """Send the message by the SMTP server that the suite names."""
    letter = EmailMessage()
    letter["Subject"] = printable(message.title, limit=150)
    letter["From"] = settings.sender
    letter["To"] = ", ".join(settings.to)
    letter["Date"] = formatdate(usegmt=True)
    letter.set_content(message.text())
    with smtplib.SMTP(settings.host, settings.port, timeout=TIMEOUT_S) as server:
        if settings.tls:
            server.starttls(context=ssl.create_default_context())
        if settings.user_env:
            server.login(secret(settings.user_env), secret(settings.password_env))
        server.send_message(letter)


def log_to_mlflow(settings: MLflow, message: Message) -> None:
    """Log the night as a run of MLflow: the verdict as tags, each group's WER as a metric.

    Raises:
        MissingExtraError: MLflow is not installed.
    """
    try:
        from mlflow.tracking import MlflowClient
    except ImportError as error:
        raise MissingExtraError(extra="mlflow", package="mlflow", needed_for="[notify.mlflow]") from error
    client = MlflowClient(tracking_uri=settings.tracking_uri or None)
    found = client.get_experiment_by_name(settings.experiment)
    experiment = found.experiment_id if found is not None else client.create_experiment(settings.experiment)
    tags = {"suite": message.suite, "night": str(message.night), "verdict": message.verdict}
    run = client.create_run(experiment, tags=tags, run_name=f"{message.suite} night {message.night}")
    name = run.info.run_id
    for row in message.rates:
        key = f"{row['engine']}/{row['condition']}/{row['attribute']}/{row['group']}".translate(_MLFLOW)
        client.log_metric(name, f"wer/{key}"[:250], row["wer"], step=message.night)
    client.log_metric(name, "gates_failed", len(message.failed), step=message.night)
    client.set_terminated(name)


_ALLOWED = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-. /")


class _Signs(dict[int, str]):
    def __missing__(self, code: int) -> str:
        return chr(code) if chr(code) in _ALLOWED else "_"


_MLFLOW = _Signs()
"""MLflow's names of metrics hold letters, digits and a few signs."""


def _write_metrics(settings: NotifySettings, message: Message) -> None:
    if settings.openmetrics is not None:
        write_whole(settings.openmetrics, open_metrics(message))


def _write_summary(settings: NotifySettings, message: Message) -> None:
    """Append to the page of GitHub's job, and print what it shows beside the code."""
    if not settings.github:
        return
    path = os.environ.get("GITHUB_STEP_SUMMARY", "")
    if path:
        with Path(path).open("a", encoding="utf-8") as stream:
            stream.write(message.markdown)
    if os.environ.get("GITHUB_ACTIONS") == "true":
        print("\n".join(workflow_commands(message)), flush=True)  # noqa: T201 -- GitHub reads them from the output


_FILES: Mapping[str, Callable[[NotifySettings, Message], None]] = {
    "openmetrics": _write_metrics,
    "github": _write_summary,
}


# --- what was not taken --------------------------------------------------------------------------------------------


def _name(item: Mapping[str, Any]) -> str:
    own = [NO_VERDICT] if item["message"]["verdict"] == NO_VERDICT else []  # its number is the last verdict's
    text = json.dumps([item["message"]["suite"], item["channel"], *own])
    return f"{item['message']['night']:06}-{hashlib.sha256(text.encode()).hexdigest()[:12]}.json"


def _unsent(history: History, suite: str) -> list[dict[str, Any]]:
    found = []
    for path in sorted((history.folder / UNSENT).glob("*.json")):
        try:
            item = json.loads(path.read_text(encoding="utf-8"))
            if item["message"]["suite"] == suite:
                Message.from_json(item["message"])
                found.append(item)
        except (OSError, ValueError, KeyError, TypeError):
            continue  # a damaged message is nobody's verdict
    return found


def _keep(history: History, item: Mapping[str, Any]) -> None:
    folder = history.folder / UNSENT
    with suppress(OSError):
        write_whole(folder / _name(item), json.dumps(item, ensure_ascii=False, indent=1) + "\n", private=True)
        _trim(sorted(folder.glob("*.json")))


def _trim(paths: Sequence[Path]) -> None:
    for path in paths[: max(len(paths) - MOST_UNSENT, 0)]:
        path.unlink(missing_ok=True)


def _drop(history: History, item: Mapping[str, Any]) -> None:
    with suppress(OSError):
        (history.folder / UNSENT / _name(item)).unlink(missing_ok=True)
