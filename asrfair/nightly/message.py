"""What a night has to say, in a few lines: the first claim, the gate that failed, what changed, where to read on."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd

from asrfair.nightly.verdict import Failure, Verdict, overview_markdown, sentence, to_markdown

NO_VERDICT = "none"
SHOWN = 3
"""Gates and changes that a message lists."""


@dataclass(frozen=True, kw_only=True)
class Message:
    """One night, for somebody who was asleep.

    Args:
        suite: The suite's name.
        night: Its number.
        verdict: ``pass``, ``warn``, ``fail``, ``outage``, or ``none`` where a night came to no verdict.
        title: One line.
        claim: The first claim of the night's run, where it makes one.
        failed: The gates that failed, in sentences.
        warned: The gates beyond their limit, but within chance.
        changed: What changed since the baseline.
        link: Where the night's page lies.
        lost: Utterances lost to failures.
        rates: ``engine``, ``condition``, ``attribute``, ``group`` and ``wer`` of every group.
        markdown: The whole verdict as Markdown.
    """

    suite: str
    night: int
    verdict: str
    title: str
    claim: str
    failed: tuple[str, ...]
    warned: tuple[str, ...]
    changed: tuple[str, ...]
    link: str
    lost: int
    rates: tuple[dict[str, Any], ...]
    markdown: str

    def text(self) -> str:
        """Return the message as plain lines."""
        lines = [self.title]
        lines += [self.claim] if self.claim else []
        lines += _listed("FAILED", self.failed)
        lines += _listed("WARN", self.warned) if not self.failed else []
        lines += _listed("changed", self.changed)
        return "\n".join([*lines, *([self.link] if self.link else [])])

    def to_json(self) -> dict[str, Any]:
        """Return the fields."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Message:
        """Read the fields back.

        Raises:
            TypeError: They are not those of a message.
        """
        lists = {name: tuple(content[name]) for name in ("failed", "warned", "changed", "rates")}
        return cls(**{**content, **lists})


def make_message(verdict: Verdict, groups: pd.DataFrame, claim: str, link: str) -> Message:
    """Return what a night has to say.

    Args:
        verdict: Its verdict.
        groups: ``disparity.csv`` of the night.
        claim: The first claim.
        link: Where the night's page lies.
    """
    columns = ["engine", "condition", "attribute", "group", "rate"]
    rates = [
        {**dict(zip(columns, map(str, row[:4]), strict=False)), "wer": float(row[4])}
        for row in groups[columns].itertuples(index=False)
        if row[4] is not None and math.isfinite(row[4])
    ]
    return Message(
        suite=verdict.suite,
        night=verdict.night,
        verdict=verdict.word,
        title=f"asrfair: {verdict.suite}, night {verdict.night}: {verdict.head}",
        claim=claim,
        failed=tuple(sentence(gate) for gate in verdict.failed),
        warned=tuple(sentence(gate) for gate in verdict.warned),
        changed=tuple(change.text for change in verdict.changes),
        link=link,
        lost=int(verdict.counts.get("lost", 0)),
        rates=tuple(rates),
        markdown=to_markdown(verdict),
    )


def failure_message(failure: Failure, night: int, link: str) -> Message:
    """Return what there is to say of a suite that came to no verdict.

    Args:
        failure: What kept it from one.
        night: The number of the newest night that it has in the history; 0 for none.
        link: Where to read on.
    """
    return Message(
        suite=failure.suite,
        night=night,
        verdict=NO_VERDICT,
        title=f"asrfair: {failure.suite}: no verdict",
        claim="",
        failed=(failure.message,),
        warned=(),
        changed=(),
        link=link,
        lost=0,
        rates=(),
        markdown=overview_markdown((), (failure,)),
    )


def _listed(word: str, items: tuple[str, ...]) -> list[str]:
    more = [f"… and {len(items) - SHOWN} more"] if len(items) > SHOWN else []
    return [*(f"{word}: {item}" for item in items[:SHOWN]), *more]


def workflow_commands(message: Message) -> list[str]:
    """Return GitHub's workflow commands: an error for a failed gate, a warning for what is within chance."""
    title = _property(f"asrfair {message.suite}")
    found = [f"::error title={title}::{_data(text)}" for text in message.failed]
    found += [f"::warning title={title}::{_data(text)}" for text in message.warned]
    return found or [f"::notice title={title}::{_data(message.title)}"]


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def open_metrics(message: Message) -> str:
    """Return the night in the text format of OpenMetrics, for a node exporter's folder of text files."""
    suite = f'suite="{_label(message.suite)}"'
    states = ("pass", "warn", "fail", "outage", NO_VERDICT)
    lines = [
        "# TYPE asrfair_night gauge",
        "# HELP asrfair_night Number of the newest night.",
        f"asrfair_night{{{suite}}} {message.night}",
        "# TYPE asrfair_verdict gauge",
        "# HELP asrfair_verdict 1 for what the newest night came to.",
        *(f'asrfair_verdict{{{suite},verdict="{state}"}} {int(state == message.verdict)}' for state in states),
        "# TYPE asrfair_gates_failed gauge",
        "# HELP asrfair_gates_failed Gates that failed.",
        f"asrfair_gates_failed{{{suite}}} {len(message.failed)}",
        "# TYPE asrfair_gates_warned gauge",
        "# HELP asrfair_gates_warned Gates beyond their limit, but within chance.",
        f"asrfair_gates_warned{{{suite}}} {len(message.warned)}",
        "# TYPE asrfair_utterances_lost gauge",
        "# HELP asrfair_utterances_lost Utterances lost to failures.",
        f"asrfair_utterances_lost{{{suite}}} {message.lost}",
        "# TYPE asrfair_wer_ratio gauge",
        "# UNIT asrfair_wer_ratio ratio",
        "# HELP asrfair_wer_ratio Word error rate of a group.",
    ]
    for row in message.rates:
        labels = ",".join(f'{name}="{_label(row[name])}"' for name in ("engine", "condition", "attribute", "group"))
        lines.append(f"asrfair_wer_ratio{{{suite},{labels}}} {row['wer']:.6g}")
    return "\n".join([*lines, "# EOF"]) + "\n"


def _label(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
