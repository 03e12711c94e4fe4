"""What a rate is called: sentences and headings speak of words wrong, unless the run compares groups by something else."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

_OF_WORDS: Final = (
    (
        re.compile(
            r"Words wrong in 100 \(word error rate, WER\): substituted, deleted and inserted words over the words spoken"
        ),
        "{0} in 100: a ratio of counts, pooled over a group",
    ),
    (re.compile("Words wrong in 100"), "{0} in 100"),
    (re.compile("Wrong in 100"), "In 100"),
    (re.compile("of words wrong"), "({0})"),
    (re.compile("(highest|lowest) error rate"), "{1} rate of {0}"),
    (re.compile("Word error rate(?! by)"), "{0}"),
    (re.compile("Word error(?:s| rate) by"), "{0} by"),
    # not within another word, nor within encoded data of a page
    (re.compile(r"(?<![A-Za-z0-9+/=])WER(?![A-Za-z0-9+/=])"), "{0}"),
)
"""What is said of the word error rate, and of any other metric."""


def called(text: str, about: Mapping[str, Any], label: str = "") -> str:
    """Return a text in which the rate has the name of the run's metric.

    Args:
        text: What would be said of WER.
        about: What ``run.json`` holds; its ``metric`` is absent for WER.
        label: The name, if it has to be escaped first.
    """
    metric = about.get("metric")
    if not isinstance(metric, Mapping):
        return text
    name = label or str(metric.get("label", ""))
    for phrase, own in _OF_WORDS:
        text = phrase.sub(lambda found, own=own: own.format(name, *found.groups()), text)  # type: ignore[misc]
    return text
