"""What is measured, as a value: two counts of an utterance, the numerator and the denominator, which pool by adding.

Everything after scoring (groups, intervals, tests, plots, cards, nights) takes a :class:`Metric` and knows nothing
else of what it measures. docs/metrics.md says how to write one.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Literal, overload

from asrfair.data.tomlfile import did_you_mean
from asrfair.data.trust import is_named, name_code
from asrfair.errors import InputError, printable

ENTRY_POINTS = "asrfair.metrics"
"""The group of entry points through which installed packages offer metrics."""

WORDS = ("hits", "substitutions", "deletions", "insertions")
CHARACTERS = ("char_hits", "char_substitutions", "char_deletions", "char_insertions")
TERMS = ("key_terms", "key_term_hits")
QUANTITIES = (*WORDS, *CHARACTERS, *TERMS)
"""Counts of an utterance that scoring always makes; metrics of one's own add two each."""

RESOLUTION = 1_000_000
"""Numerators and denominators that are no whole numbers are kept in millionths: counts stay integers, ratios exact."""

Count = Callable[[Sequence[str], Sequence[str]], tuple[float, float]]
"""From the normalized words of reference and hypothesis to numerator and denominator."""

_RATE_PART = re.compile(r"(?<![a-z0-9])rate(?![a-z0-9])")
_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A ratio of counts that pool: of a group, the sum of the numerators over the sum of the denominators.

    Args:
        name: In files: lower case, digits and underscores; the column that holds it.
        label: For people: ``WER``, ``Character error rate``.
        numerator: Quantities of an utterance whose sum is the numerator; one with a minus before its name is subtracted.
        denominator: Quantities whose sum is the denominator.
        unit: ``share`` is shown in percent; anything else as a number with this unit behind it (``s``, ``$``, ``""``).
        better: Whether ``lower`` or ``higher`` is better. Groups are compared by what goes wrong: of a metric of which
            more is better, one minus its value (see :meth:`as_errors`).
        events: Whether the numerator counts events, and so varies at least as a Poisson count does.
        most: The largest value that there can be; bounds are cut there.
        count: How an utterance is counted, where scoring does not do so anyway.
        source: ``module:attribute`` from which a worker process can import it, or the empty string.

    Example:
        >>> import asrfair as af
        >>> wrong_first = af.Metric(name="wrong_first", count=lambda said, heard: (said[:1] != heard[:1], 1))
        >>> wrong_first.counts(["take", "two"], ["make", "two"])
        (1, 1)
    """

    name: str
    label: str = ""
    numerator: tuple[str, ...] = ()
    denominator: tuple[str, ...] = ()
    unit: str = "share"
    better: Literal["lower", "higher"] = "lower"
    events: bool = True
    most: float = float("inf")
    count: Count | None = None
    source: str = ""

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise InputError(
                "a metric's name is lower-case letters, digits and underscores",
                value=self.name,
                remedy="Such as number_errors",
            )
        if not self.label:
            object.__setattr__(self, "label", self.name.replace("_", " "))
        for side in ("numerator", "denominator"):
            if not getattr(self, side):
                object.__setattr__(self, side, (f"{self.name}_{side}",))

    @property
    def quantities(self) -> tuple[str, ...]:
        """The quantities that it is made of, each once."""
        return tuple(dict.fromkeys(name.removeprefix("-") for name in (*self.numerator, *self.denominator)))

    def counts(self, reference: Sequence[str], hypothesis: Sequence[str]) -> tuple[int, int]:
        """Count one utterance by :attr:`count`, in whole :data:`RESOLUTION`-ths where the metric is not of events.

        Raises:
            MetricFailedError: The function raises an error, or returns something else than two finite numbers of which
                none is negative.
        """
        assert self.count is not None
        try:
            above, below = (float(value) for value in self.count(reference, hypothesis))
            numerator, denominator = (round(value * self.per_unit) for value in (above, below))
        except Exception as error:
            raise MetricFailedError(
                f"the metric {self.name} failed: {type(error).__name__}: {printable(str(error), limit=120)}",
                remedy="It takes the words of reference and hypothesis and returns (numerator, denominator)",
            ) from error
        if numerator < 0 or denominator < 0:
            raise MetricFailedError(
                f"the metric {self.name} returned a negative count",
                value=(above, below),
                remedy="Counts are not negative",
            )
        return numerator, denominator

    @property
    def per_unit(self) -> int:
        """How many stored units make one: 1 for counts of events, :data:`RESOLUTION` for measures."""
        return 1 if self.events else RESOLUTION

    def as_errors(self) -> Metric:
        """The metric of what goes wrong: itself, or one minus a share of which more is better.

        Raises:
            InputError: More is better, and the metric is no share (``most`` is above 1).
        """
        if self.better == "lower":
            return self
        if self.most > 1:
            raise InputError(
                "groups are compared by what goes wrong, and of this metric more is better",
                value=self.name,
                remedy="Count what goes wrong instead: errors over all",
            )
        wrong = (*self.denominator, *(f"-{name}" for name in self.numerator))
        return replace(self, name=f"{self.name}_missed", label=f"1 − {self.label}", numerator=wrong, better="lower")

    def to_json(self) -> dict[str, Any]:
        """What ``run.json`` says of it: everything but the function."""
        return {
            "name": self.name,
            "label": self.label,
            "numerator": list(self.numerator),
            "denominator": list(self.denominator),
            "unit": self.unit,
            "better": self.better,
            "events": self.events,
            "most": None if self.most == float("inf") else self.most,
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Metric:
        """Read a metric back out of ``run.json``: it can be analysed and shown, and nothing is imported.

        Raises:
            InputError: It is not what :meth:`to_json` writes.
        """
        try:
            return cls(
                name=str(content["name"]),
                label=str(content["label"]),
                numerator=tuple(map(str, content["numerator"])),
                denominator=tuple(map(str, content["denominator"])),
                unit=str(content["unit"]),
                better="higher" if content["better"] == "higher" else "lower",
                events=bool(content["events"]),
                most=float("inf") if content.get("most") is None else float(content["most"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"run.json has a damaged metric: {error}", remedy="Run the suite again") from error


def summed(names: Sequence[str], counts: Mapping[str, Any] | Any) -> Any:
    """Add the named quantities of a table up, row by row; one with a minus before its name is subtracted."""
    signed = [-counts[name[1:]] if name.startswith("-") else counts[name] for name in names]
    return sum(signed[1:], signed[0])


def column_of(column: str, metric: Metric) -> str:
    """What a column is called in files and for people: ``worst_rate`` is ``worst_wer``, or ``worst_numbers_wrong``.

    Inside, the columns of every metric are called alike, so that a table is handled in one way.
    """
    return _RATE_PART.sub(metric.name, column)


def column_inside(column: str, metric: Metric) -> str:
    """Undo :func:`column_of`."""
    return re.sub(rf"(?<![a-z0-9]){re.escape(metric.name)}(?![a-z0-9])", "rate", column)


class MetricFailedError(InputError):
    """A metric raised an error for one utterance, which can therefore not be scored."""


_ERRORS, _REFERENCE, _HYPOTHESIS = WORDS[1:], WORDS[:3], (WORDS[0], WORDS[1], WORDS[3])

WER = Metric(name="wer", label="WER", numerator=_ERRORS, denominator=_REFERENCE)
CER = Metric(name="cer", label="CER", numerator=CHARACTERS[1:], denominator=CHARACTERS[:3])

METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        WER,
        CER,
        Metric(
            name="word_precision", numerator=("hits",), denominator=_HYPOTHESIS, better="higher", events=False, most=1.0
        ),
        Metric(
            name="word_recall", numerator=("hits",), denominator=_REFERENCE, better="higher", events=False, most=1.0
        ),
        # the harmonic mean of precision and recall, 2 hits / (reference words + hypothesis words)
        Metric(
            name="word_f1",
            label="word F1",
            numerator=("hits", "hits"),
            denominator=(*_REFERENCE, *_HYPOTHESIS),
            better="higher",
            events=False,
            most=1.0,
        ),
        Metric(name="substitution_rate", numerator=("substitutions",), denominator=_REFERENCE),
        Metric(name="deletion_rate", numerator=("deletions",), denominator=_REFERENCE),
        Metric(name="insertion_rate", numerator=("insertions",), denominator=_REFERENCE),
        Metric(
            name="key_term_recall",
            numerator=("key_term_hits",),
            denominator=("key_terms",),
            better="higher",
            events=False,
            most=1.0,
        ),
    )
}
"""The metrics that scoring makes of every utterance (word precision, recall and F1 as AWS AI Service Cards do)."""

NOT_COUNTED = frozenset({"latency"})
"""Names that stand for metrics of times, which scoring has nothing to do with."""

_own: dict[str, Metric] = {}


@overload
def metric(function: Count, /) -> Metric: ...


@overload
def metric(
    *,
    name: str | None = None,
    label: str = "",
    unit: str = "share",
    better: Literal["lower", "higher"] = "lower",
    events: bool = True,
    most: float = float("inf"),
) -> Callable[[Count], Metric]: ...


def metric(function: Count | None = None, /, *, name: str | None = None, **about: Any) -> Any:
    """Make a metric of a function that counts one utterance.

    The function takes the normalized words of reference and hypothesis, two lists of str, and returns numerator and
    denominator, neither negative. The metric is known by its name from here on.

    Args:
        function: The function.
        name: In files; the function's name by default.
        **about: ``label``, ``unit``, ``better``, ``events`` and ``most`` as in :class:`Metric`. Give ``events=False``
            where the numerator is a measure (seconds, a distance between 0 and 1) and no count.

    Raises:
        InputError: The name is not one for files, or one of asrfair's own.

    Example:
        >>> import asrfair as af
        >>> @af.metric(label="Numbers wrong")
        ... def numbers_wrong(reference, hypothesis):
        ...     numbers = [word for word in reference if word.isdecimal()]
        ...     return sum(word not in hypothesis for word in numbers), len(numbers)
        >>> numbers_wrong.counts("take 20 of 30".split(), "take 20 of 13".split())
        (1, 2)
    """

    def make(count: Count) -> Metric:
        given = str(getattr(count, "__name__", "metric"))
        module = str(getattr(count, "__module__", ""))
        source = "" if module == "__main__" or "<" in getattr(count, "__qualname__", "<") else f"{module}:{given}"
        made = Metric(name=name or given, count=count, source=source, **about)
        if made.name in METRICS:
            raise InputError("asrfair has a metric of this name", value=made.name, remedy="Give another name")
        _own[made.name] = made
        return made

    return make if function is None else make(function)


def allow_metric(name: str) -> None:
    """Note that the user named a metric: :func:`get_metric` may import it."""
    name_code([name])


def use_metric(name: str | Metric) -> Metric:
    """Look a metric up that the user named, on the command line, in a suite or through the library.

    Raises:
        InputError: There is no such metric.
    """
    if isinstance(name, str):
        allow_metric(name)
    return get_metric(name)


def get_metric(name: str | Metric) -> Metric:
    """Look a metric up; ``module:attribute`` is imported only if :func:`use_metric` was given it.

    A run folder may come from somebody else: what its ``run.json`` names is never imported for that reason.

    Args:
        name: A name of :data:`METRICS`, of a metric made in this process, or of an entry point in the group
            ``asrfair.metrics``; or ``module:attribute``.

    Raises:
        InputError: There is no such metric, or only the run folder names it.

    Example:
        >>> get_metric("cer").label
        'CER'
    """
    if isinstance(name, Metric):
        return name
    found = METRICS.get(name) or _own.get(name)
    if found is not None:
        return found
    if ":" in name and not is_named(name):
        raise InputError(
            "this run was counted by a metric that would have to be imported, and nothing is imported because a run"
            " folder names it",
            value=name,
            remedy=f"If you trust it, name it yourself: --metric {name}, or --main-metric {name}",
        )
    points = {point.name: point for point in importlib.metadata.entry_points(group=ENTRY_POINTS)}
    return _load(points[name].value if name in points else name, tuple(points))


def counted_by(names: Sequence[str]) -> tuple[str, ...]:
    """Return those of the named metrics that scoring has to count utterance by utterance."""
    known = [name for name in dict.fromkeys(names) if name not in NOT_COUNTED]
    return tuple(name for name in known if get_metric(name).count is not None)


@cache
def _load(source: str, offered: tuple[str, ...]) -> Metric:
    module, colon, attribute = source.partition(":")
    if not colon:
        known = [*METRICS, *_own, *offered]
        raise InputError(
            "unknown metric", value=source, remedy=f"{did_you_mean(source, known)}, or your own 'module:attribute'"
        )
    try:
        found = getattr(importlib.import_module(module), attribute)
    except Exception as error:
        raise InputError(
            f"the metric cannot be imported: {type(error).__name__}: {error}",
            value=source,
            remedy="Give 'module:attribute', with the module's folder on PYTHONPATH",
        ) from error
    if not isinstance(found, Metric):
        raise InputError("this is no metric", value=source, remedy="Put @asrfair.metric above the function")
    return replace(found, source=source)
