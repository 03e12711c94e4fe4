"""The stages as functions: transcribe, score, compare, render, make a card. The command line calls these."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from asrfair.acoustics import Renderer, parse_condition
from asrfair.api.result import Claims, Result, load_run
from asrfair.cards import SMALLEST, write_card
from asrfair.data.runfile import read_run_file, settings_from_json
from asrfair.runs import pipeline
from asrfair.runs.pipeline import run_suite
from asrfair.runs.suite import read_suite
from asrfair.runs.transcripts import hypothesis_files
from asrfair.say.claims import worded
from asrfair.stats.compare.runs import Comparison as RunComparison
from asrfair.stats.compare.runs import compare_runs
from asrfair.types import Clip, GroupSettings, ScoringSettings, StatisticsSettings


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Comparison:
    """Two runs on the same speakers.

    Attributes:
        table: A row a pair of engines, condition, attribute and group; ``difference`` is first minus second.
        claims: The hypotheses that were tested; printed, the sentences.
        found: How many utterances were compared, and what was left out.

    Example:
        >>> import asrfair as af
        >>> result = af.disparity(getfixture("answers"), by="accent")
        >>> af.compare(result, result).found.shared
        32
    """

    table: pd.DataFrame
    claims: pd.DataFrame
    found: RunComparison

    def __repr__(self) -> str:
        """The sentences."""
        return repr(self.claims)


def compare(
    first: Result | str | Path,
    second: Result | str | Path,
    *,
    by: str | Sequence[str | Sequence[str]] | None = None,
    pairs: Mapping[str, str] | None = None,
    **settings: Any,
) -> Comparison:
    """Compare two results on the same speakers, paired, group by group.

    Args:
        first: A result or a run folder.
        second: Another; both must have been scored by the same rules.
        by: Group by this instead of as the first does.
        pairs: Which engine of the first is compared with which of the second; by default those of the same label.
        **settings: ``min_speakers``, ``min_words``, ``where``, ``allow_inferred``, ``confidence``, ``draws``, ``seed``
            instead of the first's.

    Raises:
        InputError: They share no utterance, engine or condition, or were scored by different rules.

    Example:
        >>> import asrfair as af
        >>> data = getfixture("answers")
        >>> perfect = data.assign(hypothesis=data["reference"])
        >>> found = af.compare(af.disparity(data, by="accent"), af.disparity(perfect, by="accent"))
        >>> float(found.table["difference"].iloc[0])
        0.175
    """
    paths = [item.path if isinstance(item, Result) else Path(item) for item in (first, second)]
    groups, _, statistics = settings_from_json(read_run_file(paths[0]))
    if by is not None:
        wanted = (by,) if isinstance(by, str) else tuple(by)
        settings["by"] = tuple((item,) if isinstance(item, str) else tuple(item) for item in wanted)
    mine = {name: settings.pop(name) for name in ("confidence", "draws", "seed") if name in settings}
    groups, statistics = replace(groups, **settings), replace(statistics, **mine)
    found = compare_runs(paths[0], paths[1], groups, statistics, pairs=list((pairs or {}).items()))
    claims = worded(found.claims)
    return Comparison(table=found.table, claims=Claims(claims), found=found)


def transcribe(
    suite: str | Path,
    *,
    out: str | Path,
    workers: int | None = None,
    on: str = "",
    progress: bool = False,
    fresh: bool = False,
    retry_errors: bool = False,
    invariance: int = 0,
    report: bool = False,
    html: bool = True,
) -> Result:
    """Run a suite: transcribe, score, analyse. What was cut off goes on where it stopped.

    Args:
        suite: The suite's TOML file.
        out: The run folder, made if need be.
        workers: Worker processes; one a core by default.
        on: ``ray`` or ``ray://HOST:PORT``: transcribe on a cluster that Ray runs.
        progress: Whether to show a progress bar.
        fresh: Whether to throw away what the folder holds of the run.
        retry_errors: Whether a run that goes on tries those utterances again that ended in an error.
        invariance: So many utterances are transcribed again one at a time: do batches change transcripts?
        report: Whether to write ``report.md`` and plots into the folder.
        html: Whether to write ``report.html`` too.

    Raises:
        InputError: The suite is wrong, or the folder holds another run.
        EngineError: An engine cannot start or failed as a whole.

    Example:
        >>> import asrfair as af
        >>> suite = getfixture("small_suite")  # the fake engine on a small manifest
        >>> af.transcribe(suite, out=suite.parent / "run").engines
        ('fake',)
    """
    made = run_suite(
        read_suite(Path(suite)),
        Path(out),
        workers=workers,
        on=on,
        progress=progress,
        fresh=fresh,
        retry_errors=retry_errors,
        invariance=invariance,
        html=html,
        report=report,
    )
    return load_run(out, made=made)


def score_files(
    manifest: str | Path,
    hypotheses: str | Sequence[str],
    *,
    out: str | Path,
    groups: GroupSettings | None = None,
    scoring: ScoringSettings | None = None,
    statistics: StatisticsSettings | None = None,
    workers: int | None = None,
    report: bool = False,
    html: bool = True,
) -> Result:
    """Score transcripts that stand in files, as ``asrfair score`` does: no audio, no engine.

    Args:
        manifest: The manifest's card (TOML) or table.
        hypotheses: ``LABEL[@CONDITION]=FILE``, one or several; a folder or pattern with a file an engine.
        out: The run folder, made if need be.
        groups: For whom: :class:`asrfair.types.GroupSettings`.
        scoring: How texts are compared.
        statistics: How sure.
        workers: Processes for normalizing; one a core by default.
        report: Whether to write ``report.md`` and plots into the folder.
        html: Whether to write ``report.html`` too.

    Raises:
        InputError: A file or a setting is wrong, or the folder holds a transcribed run.

    Example:
        >>> import asrfair as af
        >>> from asrfair.types import GroupSettings
        >>> folder = getfixture("files")  # manifest.csv with accents, heard.csv with transcripts
        >>> by_accent = GroupSettings(by=(("accent",),))
        >>> made = af.score_files(folder / "manifest.csv", f"mine={folder / 'heard.csv'}", out=folder / "run", groups=by_accent)
        >>> made.engines, made.attributes
        (('mine',), ('accent',))
    """
    given = [hypotheses] if isinstance(hypotheses, str) else hypotheses
    made = pipeline.score_files(
        Path(manifest),
        [file for text in given for file in hypothesis_files(text)],
        Path(out),
        groups=groups or GroupSettings(),
        scoring=scoring or ScoringSettings(),
        statistics=statistics or StatisticsSettings(),
        workers=workers,
        html=html,
        report=report,
    )
    return load_run(out, made=made)


def rescore(
    run: Result | str | Path,
    *,
    out: str | Path | None = None,
    groups: GroupSettings | None = None,
    scoring: ScoringSettings | None = None,
    statistics: StatisticsSettings | None = None,
    workers: int | None = None,
    report: bool = False,
    html: bool = True,
) -> Result:
    """Score and analyse a run again with other settings; what is not given stays as the run had it.

    Args:
        run: A result or run folder.
        out: Another folder, which leaves the run as it is.
        groups: For whom: :class:`asrfair.types.GroupSettings`.
        scoring: How texts are compared.
        statistics: How sure.
        workers: Processes for normalizing; one a core by default.
        report: Whether to write ``report.md`` and plots into the folder.
        html: Whether to write ``report.html`` too.

    Raises:
        InputError: The folder is no run, or a setting does not fit it.

    Example:
        >>> import asrfair as af
        >>> from asrfair.types import GroupSettings
        >>> again = af.rescore(getfixture("demo_run"), groups=GroupSettings(by=(("gender",),)))
        >>> again.attributes
        ('gender',)
    """
    made = pipeline.rescore(
        run.path if isinstance(run, Result) else Path(run),
        out=None if out is None else Path(out),
        groups=groups,
        scoring=scoring,
        statistics=statistics,
        workers=workers,
        html=html,
        report=report,
    )
    return load_run(made.run, made=made)


def render(
    samples: npt.ArrayLike,
    sample_rate_hz: int,
    condition: str,
    *,
    seed: int = 1,
    utterance_id: str = "utterance",
    profiles: str | Path | None = None,
) -> tuple[npt.NDArray[np.float32], dict[str, float | str]]:
    """Put clean speech into a place. The same samples, condition, seed and id give the same bytes.

    Args:
        samples: Mono, in [-1, 1], shape (samples,).
        sample_rate_hz: Their rate.
        condition: ``clean``, ``NAME@SEVERITY``, ``NAME@snr=5`` or the path of a profile (``asrfair profile list``).
        seed: What is drawn depends on it, and on the utterance's id.
        utterance_id: The id.
        profiles: A folder of your own profiles.

    Returns:
        The samples, float32, and what was achieved: ``snr_db``, ``clipped_fraction`` … by effect.

    Raises:
        InputError: There is no such condition, or it needs the other speakers of a corpus.

    Example:
        >>> import asrfair as af
        >>> import numpy as np
        >>> speech = 0.1 * np.sin(np.arange(16_000) / 20)
        >>> noisy, achieved = af.render(speech, 16_000, "imaging-floor@severe", seed=1)
        >>> noisy.shape, noisy.dtype
        ((16000,), dtype('float32'))
    """
    parsed = parse_condition(condition, profiles=None if profiles is None else Path(profiles))
    clip = Clip(
        utterance_id=utterance_id, samples=np.asarray(samples, dtype=np.float32), sample_rate_hz=int(sample_rate_hz)
    )
    rendered = Renderer([parsed], seed).render(clip, parsed, speaker_id="")
    return rendered.clip.samples, dict(rendered.achieved)


def card(
    runs: Result | str | Path | Sequence[Result | str | Path],
    *,
    prose: str | Path,
    out: str | Path,
    template: str = "aws",
    form: str = "",
    smallest_cell: int = SMALLEST,
    per_group: bool = False,
) -> Path:
    """Write a service card: your prose, every number from the runs, small groups suppressed.

    Args:
        runs: A result or run folder, or several.
        prose: What the author writes, TOML or Markdown (``asrfair card RUN --init``).
        out: The file: ``.html``, ``.md``, ``.pdf`` or ``.json``.
        template: ``aws``, ``model-card``, ``hf`` or ``json``.
        form: ``html``, ``md``, ``pdf`` or ``json``; what ``out`` ends with by default.
        smallest_cell: Speakers below which a group is suppressed.
        per_group: Whether the metadata of ``hf`` has every group, not only everybody and the worst.

    Returns:
        Where the card is.

    Raises:
        InputError: The prose claims what the runs do not support, or a run is too small to publish anything of it.

    Example:
        >>> import asrfair as af
        >>> prose = getfixture("card_prose")  # TOML: [card] service = "Scribe" … [prose] overview = "…"
        >>> page = af.card(getfixture("demo_run"), prose=prose, out=prose.with_name("card.md"))
        >>> page.read_text(encoding="utf-8").splitlines()[0]
        '# Scribe'
    """
    several = [runs] if isinstance(runs, Result | str | Path) else list(runs)
    paths = [item.path if isinstance(item, Result) else Path(item) for item in several]
    return write_card(
        paths, Path(prose), Path(out), template=template, form=form, smallest=smallest_cell, every_group=per_group
    )
