"""A night's verdict for programs (JSON), for CI (JUnit XML) and for people (Markdown)."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal
from xml.etree import ElementTree as ET

from asrfair.errors import printable
from asrfair.nightly.changes import Change
from asrfair.nightly.gate_outcome import Gate
from asrfair.report.tables import markdown_text

_NOT_XML = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
RULES = {
    "max_wer": "at most",
    "max_rate": "at most",
    "max_gap": "gap at most",
    "min_accuracy": "accuracy at least",
    "max_failed": "failed at most",
    "min_coverage": "compared at least",
    "max_increase": "increase at most",
    "max_threshold_db": "threshold at most",
    "max_threshold_gap_db": "difference of thresholds at most",
}
DECIBELS = ("max_threshold_db", "max_threshold_gap_db")
"""Rules whose values are levels and not shares; ``measure`` is then their unit."""

WORDS = {"pass": "passed", "warn": "passed with warnings", "fail": "failed", "outage": "outage"}
"""Verdicts as people read them."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What a night came to.

    Args:
        suite: The suite's name.
        night: Its number in the history; 0 before it has one.
        baseline: What it was held against, in words; empty where there was nothing yet.
        gates: All gates.
        changes: What changed since the baseline.
        since_last: What changed since the night before.
        counts: Rows transcribed, taken from the cache, and so on.
        warnings: Sentences that a reader should see.
    """

    suite: str
    night: int
    baseline: str
    gates: tuple[Gate, ...]
    changes: tuple[Change, ...] = ()
    since_last: tuple[Change, ...] = ()
    counts: dict[str, int]
    warnings: tuple[str, ...] = ()

    @property
    def failed(self) -> tuple[Gate, ...]:
        """The gates that failed."""
        return tuple(gate for gate in self.gates if gate.status == "fail")

    @property
    def warned(self) -> tuple[Gate, ...]:
        """The gates beyond their limit, but within chance."""
        return tuple(gate for gate in self.gates if gate.status == "warn")

    @property
    def word(self) -> Literal["pass", "warn", "fail", "outage"]:
        """What the night came to; an outage goes before all else, since its figures are of what survived."""
        if any(gate.rule == "max_failed" for gate in self.failed):
            return "outage"
        return "fail" if self.failed else "warn" if self.warned else "pass"

    @property
    def head(self) -> str:
        """The verdict as people read it."""
        return WORDS[self.word]

    @property
    def tally(self) -> str:
        """How many gates failed, warned and could not be tested, in words."""
        tested = sum(gate.status != "not_tested" for gate in self.gates)
        warned = f", {len(self.warned)} warned" if self.warned else ""
        against = f", against {self.baseline}" if self.baseline else ", with no baseline yet"
        skipped = len(self.gates) - tested
        return f"{len(self.failed)} of {tested} gates failed{warned}, {skipped} could not be tested{against}"

    @property
    def exit_code(self) -> int:
        """0 all gates hold, 1 one failed, 3 an outage."""
        return {"outage": 3, "fail": 1}.get(self.word, 0)

    def to_json(self) -> dict[str, Any]:
        """Return the content of ``verdict.json``."""
        return {
            "suite": self.suite,
            "night": self.night,
            "verdict": self.word,
            "baseline": self.baseline,
            "failed": [gate.to_json() for gate in self.failed],
            "warned": [gate.to_json() for gate in self.warned],
            "gates": [gate.to_json() for gate in self.gates],
            "changes": [asdict(change) for change in self.changes],
            "changes_since_last_night": [asdict(change) for change in self.since_last],
            "counts": self.counts,
            "warnings": list(self.warnings),
            "power": power_lines(self.gates),
        }


def rule_words(gate: Gate) -> str:
    """Return a gate's rule in words: ``WER at most``."""
    return f"{gate.measure} {RULES[gate.rule]}" if gate.rule in {"max_wer", "max_rate"} else RULES[gate.rule]


def sentence(gate: Gate) -> str:
    """Return one gate in words."""
    who = f"{gate.engine}, {gate.condition}, {gate.attribute} = {gate.group}"
    if gate.status == "not_tested":
        return f"{who}: not tested ({gate.note})"
    if gate.rule == "max_increase":
        text = f"{who}: {gate.measure} {_increase(gate, ' points')} against the baseline's {_percent(gate.baseline)}"
        text += f" (limit {_points(gate.limit)}"
        if math.isfinite(gate.p_holm):
            text += f", p = {gate.p_holm:.2g} after Holm, tonight's level {gate.level:.2g}"
        return text + ")" + (f"; {gate.note}" if gate.note else "")
    what = _WHAT.get(gate.rule, gate.measure)
    text = f"{who}: {what} {_value(gate, gate.value)} ({rule_words(gate)} {_value(gate, gate.limit)})"
    return text + (f"; {gate.note}" if gate.note else "")


_WHAT = {
    "max_gap": "gap", "min_accuracy": "accuracy", "max_failed": "failed", "min_coverage": "compared",
    "max_threshold_db": "threshold", "max_threshold_gap_db": "thresholds apart by",
}  # fmt: skip


def _increase(gate: Gate, unit: str = "") -> str:
    if gate.nights < 2:
        return _points(gate.value) + unit
    return f"{_points(gate.tonight)}{unit} tonight, {_points(gate.value)} over {gate.nights} nights"


def power_lines(gates: Sequence[Gate]) -> list[str]:
    """Return what the relative gates can see, one sentence for each number of nights."""
    found: dict[int, list[str]] = {}
    for gate in gates:
        if gate.power_nights is not None:
            found.setdefault(gate.power_nights, []).append(f"{gate.attribute} = {gate.group} ({gate.condition})")
    lines = []
    for nights in sorted(found, key=lambda n: (n == 0, n)):
        names = list(dict.fromkeys(found[nights]))
        listed = ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
        if nights == 0:
            lines.append(f"not found within the window, with probability 0.8: {listed}")
        else:
            lines.append(f"found within {nights} night{'s' * (nights > 1)}, with probability 0.8: {listed}")
    return lines


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A suite that came to no verdict: an engine, the machine or the input failed.

    Args:
        suite: The suite's name.
        message: What is wrong, and what to do.
        exit_code: The command's, had it been the only suite.
        untold: What of ``[notify]`` did not work, in sentences.
    """

    suite: str
    message: str
    exit_code: int
    untold: tuple[str, ...] = ()


def to_junit(verdicts: Sequence[Verdict], failures: Sequence[Failure] = ()) -> bytes:
    """Return JUnit XML: a test suite for each suite, a test case for each gate, engine, condition and group."""
    root = ET.Element("testsuites")
    for verdict in verdicts:
        skipped = sum(gate.status == "not_tested" for gate in verdict.gates)
        suite = _junit_suite(root, verdict.suite, len(verdict.gates), len(verdict.failed), skipped, 0)
        for gate in verdict.gates:
            place = {"classname": _xml(f"{verdict.suite}.{gate.engine}.{gate.condition}"), "name": _xml(gate.name)}
            case = ET.SubElement(suite, "testcase", {**place, "time": "0"})
            if gate.status == "fail":
                failure = ET.SubElement(case, "failure", {"message": _xml(sentence(gate)), "type": gate.rule})
                failure.text = _xml("\n".join(change.text for change in verdict.changes) or "No input changed.")
            elif gate.status == "warn":
                ET.SubElement(case, "system-out").text = _xml(f"WARN {sentence(gate)}")
            elif gate.status == "not_tested":
                ET.SubElement(case, "skipped", {"message": _xml(gate.note)})
    for failed in failures:
        suite = _junit_suite(root, failed.suite, 1, 0, 0, 1)
        case = ET.SubElement(suite, "testcase", {"classname": _xml(failed.suite), "name": "night", "time": "0"})
        ET.SubElement(case, "error", {"message": _xml(failed.message), "type": "asrfair"})
    for name in _JUNIT_COUNTS:
        root.set(name, str(sum(int(suite.get(name, "0")) for suite in root)))
    ET.indent(root)
    written: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return written + b"\n"


_JUNIT_COUNTS = ("tests", "failures", "skipped", "errors")


def _junit_suite(root: ET.Element, name: str, *counts: int) -> ET.Element:
    found = dict(zip(_JUNIT_COUNTS, map(str, counts), strict=True))
    return ET.SubElement(root, "testsuite", {"name": _xml(f"asrfair nightly {name}"), **found})


def overview_markdown(verdicts: Sequence[Verdict], failures: Sequence[Failure] = ()) -> str:
    """Return the summary of several suites: a table of all, then each; one suite alone needs no table."""
    parts = [to_markdown(verdict) for verdict in verdicts]
    if len(verdicts) + len(failures) == 1 and verdicts:
        return parts[0]
    bad = sum(bool(verdict.exit_code) for verdict in verdicts)
    total = len(verdicts) + len(failures)
    lines = [f"## asrfair nightly: {bad} of {total} suites failed, {len(failures)} came to no verdict", ""]
    lines += ["| Suite | Night | Verdict | Gates failed | Warned |", "|---|---:|---|---:|---:|"]
    for verdict in verdicts:
        counts = f"{len(verdict.failed)} | {len(verdict.warned)}"
        lines.append(f"| {_md(verdict.suite)} | {verdict.night} | {verdict.head} | {counts} |")
    lines += [f"| {_md(failed.suite)} |  | no verdict |  |  |" for failed in failures]
    lines += ["", *(f"**{_md(failed.suite)}**: {_md(failed.message)}\n" for failed in failures)]
    return "\n".join([*lines, *parts])


def to_markdown(verdict: Verdict) -> str:
    """Return the summary of one suite, fit for a comment on a pull request."""
    lines = [f"### asrfair nightly: {_md(verdict.suite)}, night {verdict.night}: {verdict.head}", ""]
    lines += [f"{_md(verdict.tally)}.", ""]
    lines += _gates("", verdict.failed)
    lines += _gates("Beyond the limit, but within chance", verdict.warned)
    lines += _listed("What changed since the baseline", [change.text for change in verdict.changes])
    if verdict.since_last != verdict.changes:
        lines += _listed("What changed since the night before", [change.text for change in verdict.since_last])
    if verdict.baseline and not verdict.changes:
        lines += ["No input changed since the baseline.", ""]
    lines += _listed("Warnings", verdict.warnings)
    lines += _listed("What these gates can see", power_lines(verdict.gates))
    lines.append(counted(verdict))
    return "\n".join(lines) + "\n"


def counted(verdict: Verdict) -> str:
    """Return in words what was transcribed, and what was lost."""
    counts = verdict.counts
    return (
        f"{counts.get('transcribed', 0):,} transcribed, {counts.get('cached', 0):,} from the cache, "
        f"{counts.get('resumed', 0):,} from a run that was cut off; {counts.get('lost', 0):,} lost to failures."
    )


def _gates(title: str, gates: Sequence[Gate]) -> list[str]:
    """Return gates as a table with a row each."""
    if not gates:
        return []
    lines = [f"**{title}**", ""] if title else []
    lines += [
        "| Engine | Condition | Group | Gate | Found | Limit | p (Holm) | |",
        "|---|---|---|---|---:|---:|---:|---|",
    ]
    for gate in gates:
        relative = gate.rule == "max_increase"
        shown = _increase(gate) if relative else _value(gate, gate.value)
        limit = _points(gate.limit) if relative else _value(gate, gate.limit)
        p = f"{gate.p_holm:.2g}" if math.isfinite(gate.p_holm) else ""
        who = f"{gate.attribute} = {gate.group}"
        cells = (gate.engine, gate.condition, who, rule_words(gate), shown, limit, p, gate.note)
        lines.append("| " + " | ".join(_md(cell) for cell in cells) + " |")
    return [*lines, ""]


def _listed(title: str, items: Sequence[str]) -> list[str]:
    return [f"**{title}**", "", *(f"- {_md(item)}" for item in items), ""] if items else []


def _md(text: str) -> str:
    """Text that Markdown shows as it is; ``@`` calls nobody where a verdict becomes a comment."""
    return markdown_text(printable(text, limit=600)).replace("@", "\\@")


def _xml(text: str) -> str:
    return _NOT_XML.sub("\ufffd", text)


def _value(gate: Gate, value: float) -> str:
    if gate.rule in DECIBELS:
        return f"{value:.1f} {gate.measure}".replace("-", "−") if math.isfinite(value) else "beyond what was heard"
    return _percent(value)


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %" if math.isfinite(value) else "not known"


def _points(value: float) -> str:
    return f"{100 * value:+.1f}".replace("-", "−")
