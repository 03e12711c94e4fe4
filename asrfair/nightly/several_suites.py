"""Several suites in one night: each its own series of the same history, one verdict over all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

from asrfair.data.wholefile import write_whole
from asrfair.errors import AsrfairError, InputError
from asrfair.nightly.baseline import find_baseline
from asrfair.nightly.history import History, explained, write_json
from asrfair.nightly.message import failure_message
from asrfair.nightly.night import NightResult
from asrfair.nightly.notify import notify
from asrfair.nightly.verdict import Failure, Verdict, overview_markdown, to_junit
from asrfair.runs.notify_settings import NotifySettings
from asrfair.runs.suite import Suite


@dataclass(frozen=True, kw_only=True)
class NightlyResult:
    """What came of all suites.

    Args:
        nights: The nights that were committed, in the order of the suites.
        failures: The suites that came to no verdict.
    """

    nights: tuple[NightResult, ...]
    failures: tuple[Failure, ...]

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """The verdict of each night."""
        return tuple(night.verdict for night in self.nights)

    @property
    def exit_code(self) -> int:
        """0 all gates hold, 1 a gate failed, 3 an outage; or what kept a suite from its verdict, if that is more."""
        return max([verdict.exit_code for verdict in self.verdicts] + [f.exit_code for f in self.failures])

    @property
    def word(self) -> str:
        """The worst that any suite came to."""
        words = {verdict.word for verdict in self.verdicts}
        worst = next((word for word in ("outage", "fail", "warn") if word in words), "pass")
        return "no verdict" if self.failures else worst

    def to_json(self) -> dict[str, Any]:
        """Return the content of ``verdict.json`` over all suites."""
        return {
            "verdict": self.word,
            "suites": [verdict.to_json() for verdict in self.verdicts],
            "no_verdict": [{"suite": failed.suite, "message": failed.message} for failed in self.failures],
        }

    def write(self, folder: Path) -> None:
        """Write ``verdict.json``, ``junit.xml`` and ``verdict.md`` over all suites."""
        with explained(folder):
            folder.mkdir(parents=True, exist_ok=True)
            write_whole(folder / "junit.xml", to_junit(self.verdicts, self.failures))
            write_whole(folder / "verdict.md", overview_markdown(self.verdicts, self.failures))
        write_json(folder / "verdict.json", self.to_json())


def run_suites(
    suites: Sequence[Suite], folder: Path, baseline: str, run: Callable[[Suite], NightResult]
) -> NightlyResult:
    """Run one suite after the other; one that fails does not keep the others from their night.

    Args:
        suites: Suites with names of their own.
        folder: The history.
        baseline: What each is compared with; looked up for all before anything runs.
        run: Runs one suite as the next night of the history.

    Raises:
        InputError: Two suites have one name, or a baseline is wrong.
    """
    names = [suite.name for suite in suites]
    for suite in suites:
        if names.count(suite.name) > 1:
            raise InputError(
                "two suites have one name", file=suite.path, value=suite.name, remedy="A name is a series of nights"
            )
        find_baseline(History(folder), suite.name, baseline)
    nights, failures = [], []
    for suite in suites:
        try:
            nights.append(run(suite))
        except AsrfairError as error:
            failed = Failure(suite=suite.name, message=str(error), exit_code=error.exit_code)
            failures.append(replace(failed, untold=_tell(suite, folder, failed)))
    return NightlyResult(nights=tuple(nights), failures=tuple(failures))


def _tell(suite: Suite, folder: Path, failed: Failure) -> tuple[str, ...]:
    """Say that a suite came to no verdict; return what of that did not work."""
    if suite.notify == NotifySettings():
        return ()
    try:
        history = History(folder)
        night = max((one.number for one in history.nights(suite.name)), default=0)
        link = suite.notify.link.replace("{night}", str(night)).replace("{suite}", quote(suite.name))
        return tuple(notify(suite.notify, history, failure_message(failed, night, link)))
    except AsrfairError as error:  # such as a damaged history, which is why there is no verdict
        return (f"nobody was told: {error.message}",)
