"""What was found: one object, whether it came from a DataFrame or from a run folder."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from asrfair.api.plots import Plots
from asrfair.api.scores import Scores, score
from asrfair.data.tomlfile import did_you_mean
from asrfair.data.wholefile import subfolder, write_whole
from asrfair.errors import InputError
from asrfair.report import RunData, all_tables, write_report, write_table
from asrfair.report import load_run as read_run
from asrfair.report.loading import metric_of
from asrfair.report.recordings import recordings_of
from asrfair.say.answer import Answer, make_answer
from asrfair.say.claims import worded
from asrfair.scoring.metric import column_of
from asrfair.stats import named
from asrfair.types import OVERALL_ATTRIBUTE, ErrorCounts

if TYPE_CHECKING:
    from asrfair.runs.in_memory import RunInMemory
    from asrfair.runs.pipeline import RunResult

_COUNTS = ("hits", "substitutions", "deletions", "insertions")


class Claims(pd.DataFrame):
    """The rows of ``claims.csv``; printed, the sentences of those that are affirmed."""

    @property
    def _constructor(self) -> type[pd.DataFrame]:
        return pd.DataFrame

    def __repr__(self) -> str:
        """The sentences, what matters most first."""
        if "affirmed" not in self or "text" not in self:
            return super().__repr__()
        said = [str(text) for text in self.loc[self["affirmed"].astype(bool), "text"]]
        rest = f"{len(said):,} of {len(self):,} claims that were tested are affirmed."
        return "\n".join([*said, rest])

    __str__ = __repr__

    def _repr_html_(self) -> str:
        return pd.DataFrame(self).to_html(index=False)


class Shown(str):
    """Markdown that a notebook renders."""

    __slots__ = ()

    def _repr_markdown_(self) -> str:
        return str(self)


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Result:
    """For whom recognition fails, and how sure that is.

    Made by :func:`asrfair.disparity`, :func:`asrfair.load_run` and :func:`asrfair.transcribe`. Rates are fractions of
    the reference words; intervals are over speakers.

    Attributes:
        about: What ``run.json`` says: settings, manifest, versions.
        made: What the call did that made it, times and files written among it; ``None`` of a run that was only read.

    Example:
        >>> import asrfair as af
        >>> result = af.load_run(getfixture("demo_run"))
        >>> result.conditions, len(result.utterances(accent="US"))
        (('clean',), 16)
    """

    about: Mapping[str, Any]
    made: RunResult | None = None
    _tables: Mapping[str, pd.DataFrame]
    _memory: RunInMemory | None = None
    _path: Path | None = None

    @cached_property
    def tables(self) -> dict[str, pd.DataFrame]:
        """Every table of the analysis as a DataFrame, by the name of its file without ``.csv``."""
        metric = metric_of(self.about)
        return {n: table if n == "claims" else named(table, metric) for n, table in self._tables.items()}

    # --- tables ------------------------------------------------------------------------------------------------

    @property
    def groups(self) -> pd.DataFrame:
        """A row an engine, condition, attribute and group: counts, ``wer``, interval and flags (``disparity.csv``)."""
        return self.tables["disparity"]

    @property
    def gaps(self) -> pd.DataFrame:
        """A row an engine, condition and attribute: best and worst group, gap and ratio (``gaps.csv``)."""
        return self.tables.get("gaps", pd.DataFrame())

    @property
    def claims(self) -> pd.DataFrame:
        """Every hypothesis that was tested, affirmed or not (``claims.csv``); printed, the sentences."""
        return Claims(self.tables.get("claims", pd.DataFrame()))

    @property
    def engines(self) -> tuple[str, ...]:
        """Labels of the engines."""
        return tuple(dict.fromkeys(self.groups["engine"]))

    @property
    def conditions(self) -> tuple[str, ...]:
        """Names of the conditions."""
        return tuple(dict.fromkeys(self.groups["condition"]))

    @property
    def attributes(self) -> tuple[str, ...]:
        """What people are grouped by; intersections are written ``accent × gender``."""
        return tuple(name for name in dict.fromkeys(self.groups["attribute"]) if name != OVERALL_ATTRIBUTE)

    @property
    def answer(self) -> Answer:
        """What is found in at most 120 words, how sure it is and what to do next."""
        return make_answer(self._tables, self.about)

    @property
    def counts(self) -> dict[tuple[str, str], ErrorCounts]:
        """Pooled word counts of everybody, by (engine, condition); they add up over runs scored by the same rules."""
        rules = f"words, {self.about.get('scoring', {}).get('normalizer_version', '')}"
        rows = self.groups[self.groups["attribute"] == OVERALL_ATTRIBUTE].to_dict("records")
        return {
            (str(row["engine"]), str(row["condition"])): ErrorCounts(
                of=rules, **{name: int(row[name]) for name in _COUNTS}
            )
            for row in rows
        }

    def utterances(self, *, engine: str | None = None, condition: str | None = None, **attributes: str) -> pd.DataFrame:
        """The utterances with their counts, the worst first.

        Args:
            engine: Only this engine's.
            condition: Only in this condition.
            **attributes: Only where an attribute has this value: ``accent="Vietnamese"``.

        Returns:
            A row an engine, condition and utterance: ``speaker_id``, ``reference``, ``hypothesis``, ``status``, counts,
            ``errors`` and ``wer`` (NaN unless scored with reference words), and the attributes.

        Raises:
            InputError: There is no such engine, condition or attribute.
        """
        people, heard, scores = self._rows
        for name in attributes:
            if name not in people:
                raise InputError("there is no such attribute", value=name, remedy=did_you_mean(name, people.columns))
        for wanted, known, what in ((engine, self.engines, "engine"), (condition, self.conditions, "condition")):
            if wanted is not None and wanted not in known:
                raise InputError(f"there is no such {what}", value=wanted, remedy=did_you_mean(wanted, known))
        keys = ["engine", "condition", "utterance_id"]
        table = scores.astype(dict.fromkeys([*keys, "status"], str))
        texts = heard[[*keys, "hypothesis"]].astype(str).drop_duplicates(keys)
        table = table.merge(texts, on=keys, how="left").merge(people, on="utterance_id", how="left")
        for name, value in {"engine": engine, "condition": condition, **attributes}.items():
            if value is not None:
                table = table[table[name] == value]
        errors = table[list(_COUNTS[1:])].sum(axis=1)
        words = table[list(_COUNTS[:3])].sum(axis=1)
        table = table.assign(errors=errors, wer=(errors / words.where(words > 0)).where(table["status"] == "scored"))
        attributes_of = [
            n for n in people if n not in {"utterance_id", "speaker_id", "reference", "exclude", "language"}
        ]
        shown = [*keys, "speaker_id", "reference", "hypothesis", "status", *_COUNTS, "errors", "wer", *attributes_of]
        return table.sort_values("errors", ascending=False, kind="stable", ignore_index=True)[shown]

    def align(self, utterance_id: str, *, engine: str | None = None, condition: str | None = None) -> Scores:
        """One utterance, word against word: ``print(result.align("u17").visualize())``.

        Args:
            utterance_id: Its id.
            engine: Whose hypothesis; the first engine's by default.
            condition: In which condition; the first by default.

        Raises:
            InputError: There is no such utterance, engine or condition.
        """
        rows = self.utterances(engine=engine or self.engines[0], condition=condition or self.conditions[0])
        row = rows[rows["utterance_id"] == utterance_id]
        if row.empty:
            raise InputError("there is no such utterance", value=utterance_id)
        rules = str(self.about["scoring"]["normalizer"])
        if ":" in rules and self._memory is None:
            raise InputError(
                "the run was scored by a normalizer that would have to be imported, and nothing is imported because a"
                " run folder names it",
                value=rules,
                remedy="If you trust it: af.score(reference, hypothesis, normalizer=…)",
            )
        return score(str(row["reference"].iloc[0]), str(row["hypothesis"].iloc[0]), normalizer=rules)

    # --- looking at it -----------------------------------------------------------------------------------------

    def show(self, name: str, *, rows: int | None = None, **where: str) -> Shown:
        """A table as people read it: headings in words, percent, intervals in brackets.

        Args:
            name: ``groups`` (engines side by side), ``gaps``, ``differences``, ``interactions``, ``influence``, ``ledger``
                … the tables of the page.
            rows: At most so many.
            **where: Only rows with this value: ``engine="whisper"``, ``attribute="accent"``, ``condition="clean"``.

        Returns:
            Markdown, which a notebook renders.

        Raises:
            InputError: The page has no such table.
        """
        from asrfair.report import side_by_side
        from asrfair.report.definitions import DEFINITIONS
        from asrfair.report.tables import to_markdown

        data = self.run
        if name == "groups":
            attribute = where.get("attribute", self.attributes[0] if self.attributes else OVERALL_ATTRIBUTE)
            table = side_by_side(data, attribute=attribute, condition=where.get("condition", data.main_condition))
        else:
            tables = all_tables(data)
            if name not in tables and name in DEFINITIONS:
                return Shown("The run has no rows for this table.")
            if name not in tables:
                known = ["groups", *DEFINITIONS]
                raise InputError("the page has no such table", value=name, remedy=did_you_mean(name, known))
            table = tables[name].where(**where).without(*where)
        return Shown(to_markdown(table if rows is None else table.head(rows)))

    @property
    def plot(self) -> Plots:
        """The plots: ``result.plot.forest()`` …; each returns a matplotlib figure."""
        return Plots(self)

    @cached_property
    def run(self) -> RunData:
        """What the pages and plots are made of."""
        return read_run(self.path)

    @cached_property
    def path(self) -> Path:
        """The run folder; of a result in memory, one that is written now and goes with the object."""
        if self._path is not None:
            return self._path
        folder = tempfile.mkdtemp(prefix="asrfair-")
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        return self.save(folder).path

    def save(self, folder: str | Path) -> Result:
        """Write a run folder, and return the result as it is read from there.

        Raises:
            InputError: The result has a folder already, or this one holds another run.
        """
        if self._memory is None:
            raise InputError("this result was read from a run folder", file=self._path, remedy="Copy the folder")
        target = Path(folder)
        if (target / "run.json").exists():
            raise InputError("the folder holds a run", file=target, remedy="Give another folder")
        self._memory.save(target)
        return load_run(target)

    def to_html(self, path: str | Path) -> Path:
        """Write the page: one file, everything in it.

        Returns:
            Where it is.
        """
        target = Path(path)
        with tempfile.TemporaryDirectory(prefix="asrfair-") as folder:
            write_report(self.path, plots=False, out=Path(folder))
            content = (Path(folder) / "report.html").read_bytes()
        write_whole(target, content)
        return target

    def report(
        self,
        out: str | Path | None = None,
        *,
        html: bool = True,
        plots: bool = True,
        tables: Sequence[str] = (),
        manifest: str | Path | None = None,
    ) -> list[Path]:
        """Write ``report.md``, ``report.html`` and ``plots/``.

        Args:
            out: Where to; into the run folder by default.
            html: Whether to write the page.
            plots: Whether to draw plots.
            tables: Formats (``csv``, ``markdown``, ``latex``, ``json``, ``parquet``) in which every table is written too.
            manifest: The run's manifest, to put recordings of the worst utterances into the page, if its suite allows it.

        Returns:
            The files written.
        """
        audio = None if manifest is None else recordings_of(self.run, Path(manifest))
        folder = self.path if out is None else Path(out)
        written = write_report(self.path, html=html, plots=plots, out=folder, audio=audio)
        for table in all_tables(self.run).values() if tables else ():
            written += write_table(table, subfolder(folder, "tables"), tuple(tables))
        return written

    def __repr__(self) -> str:
        """The answer in words."""
        answer = self.answer
        return "\n".join([answer.lead, *(sentence.text for sentence in answer.sentences), *answer.cautions])

    def _repr_html_(self) -> str:
        """For notebooks: the answer, then the groups."""
        from html import escape

        answer = self.answer
        said = "".join(f"<li>{escape(sentence.text)}</li>" for sentence in answer.sentences)
        rate = column_of("rate", metric_of(self.about))
        shown = ["engine", "condition", "attribute", "group", "speakers", rate, "ci_low", "ci_high", "flag"]
        table = self.groups[shown].to_html(index=False, escape=True, float_format="{:.3f}".format)
        return f"<p><strong>{escape(answer.lead)}</strong></p><ul>{said}</ul>{table}"

    @cached_property
    def _rows(self) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
        """Utterances, hypotheses and scores."""
        if self._memory is not None:
            tables = (self._memory.utterances, self._memory.hypotheses, self._memory.scored.scores)
            people, heard, scores = (table.to_pandas() for table in tables)
            return people, heard, scores
        people, heard, scores = (
            pd.read_parquet(self.path / f"{name}.parquet") for name in ("utterances", "hypotheses", "scores")
        )
        return people, heard, scores


def load_run(path: str | Path, *, made: RunResult | None = None) -> Result:
    """Read a run folder.

    Args:
        path: What ``asrfair run``, ``asrfair score`` or :meth:`Result.save` wrote, scored.
        made: What was just done there (``Result.made``).

    Raises:
        InputError: It is no run folder, or a table is missing or damaged.

    Example:
        >>> import asrfair as af
        >>> run = af.load_run(getfixture("demo_run"))
        >>> run.attributes[:2]
        ('accent', 'gender')
    """
    folder = Path(path)
    data = read_run(folder)
    result = Result(about=data.about, made=made, _tables=data.tables, _path=folder)
    result.__dict__["run"] = data  # read once
    return result


def result_of(memory: RunInMemory) -> Result:
    """Make the result of a run in memory."""
    tables = {**memory.tables, "claims": worded(memory.tables["claims"])}
    return Result(about=memory.content, _tables={k: v for k, v in tables.items() if len(v)}, _memory=memory)
