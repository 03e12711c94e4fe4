"""Who is told about a night: the ``[notify]`` table of a suite. Secrets stand in the environment; here only their names."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import pydantic

_Variable = Annotated[str, pydantic.Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,99}$")]
_Address = Annotated[str, pydantic.Field(pattern=r"^[^\s@,;<>]{1,100}@[^\s@,;<>]{1,200}$")]


class _Strict(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, frozen=True)


class Webhook(_Strict):
    """A webhook that takes JSON as Slack's do.

    Args:
        url_env: The variable that holds its address, which is a secret.
        key_env: The variable that holds the key by which messages are signed; empty for none.
    """

    url_env: _Variable
    key_env: _Variable | None = None


class Mail(_Strict):
    """A server that sends mail.

    Args:
        host: Its name.
        port: Its port.
        sender: From whom.
        to: To whom.
        tls: Whether the connection is encrypted (STARTTLS).
        user_env: The variable that holds the user's name, where one has to log in.
        password_env: The variable that holds the password.
    """

    host: str = pydantic.Field(min_length=1)
    port: int = pydantic.Field(default=587, ge=1, le=65535)
    sender: _Address
    to: list[_Address] = pydantic.Field(min_length=1, max_length=50)
    tls: bool = True
    user_env: _Variable | None = None
    password_env: _Variable = "ASRFAIR_SMTP_PASSWORD"  # noqa: S105 -- the name of a variable


class MLflow(_Strict):
    """An MLflow tracking server or store.

    Args:
        tracking_uri: Where; empty for MLflow's own default.
        experiment: The experiment's name; made if need be.
    """

    tracking_uri: str = ""
    experiment: str = pydantic.Field(default="asrfair", min_length=1)


class NotifyTable(_Strict):
    """The table as it stands in the file; unknown keys are errors."""

    when: str = pydantic.Field(default="always", pattern="^(always|bad)$")
    link: str = ""
    github: bool = False
    openmetrics: str | None = None
    webhook: Webhook | None = None
    email: Mail | None = None
    mlflow: MLflow | None = None

    def settings(self, folder: Path) -> NotifySettings:
        """Return what the stages work with; paths are relative to the suite's folder."""
        return NotifySettings(
            when=self.when,
            link=self.link,
            github=self.github,
            openmetrics=None if self.openmetrics is None else (folder / self.openmetrics).resolve(),
            webhook=self.webhook,
            email=self.email,
            mlflow=self.mlflow,
        )


@dataclass(frozen=True, kw_only=True)
class NotifySettings:
    """Who is told.

    Args:
        when: ``always``, or only if a night is ``bad``: a gate failed, or an outage. Files are always written.
        link: What the message links to; ``{night}`` and ``{suite}`` are filled in.
        github: Whether to write GitHub's job summary and annotations.
        openmetrics: A text file for Prometheus' node exporter.
        webhook: A webhook.
        email: A mail server.
        mlflow: An MLflow store.
    """

    when: str = "always"
    link: str = ""
    github: bool = False
    openmetrics: Path | None = None
    webhook: Webhook | None = None
    email: Mail | None = None
    mlflow: MLflow | None = None

    @property
    def channels(self) -> tuple[str, ...]:
        """The channels that a message is sent through, and tried again on."""
        return tuple(name for name in ("webhook", "email", "mlflow") if getattr(self, name) is not None)

    @property
    def secrets(self) -> tuple[str, ...]:
        """The variables that hold secrets."""
        found: list[str | None] = []
        if self.webhook is not None:
            found += [self.webhook.url_env, self.webhook.key_env]
        if self.email is not None:
            found += [self.email.user_env, self.email.password_env]
        return tuple(name for name in found if name)
