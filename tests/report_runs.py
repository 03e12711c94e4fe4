"""Makes run folders for the tests of the report: seeded counts, and tables in the shape of the file formats."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from asrfair.data.runfile import write_run_file
from asrfair.data.tablefile import write_csv, write_parquet

NOISES = ("clean", "floor@snr=20", "floor@snr=10", "floor@snr=5", "floor@snr=0")


def make_run(
    run: Path,
    *,
    groups: Mapping[str, Sequence[str]] | None = None,
    engines: Sequence[str] = ("small", "large"),
    conditions: Sequence[str] = NOISES,
    speakers: Sequence[int] = (8, 12, 6, 3),
    utterances: int = 4,
    findings: Sequence[Mapping[str, str]] = (),
    reference: str = "the patient in room nine",
    hypothesis: str = "the patient and room nine",
    name: str = "simulated",
    seed: int = 7,
    texts: bool = False,
) -> Path:
    """Write a run folder with every table that a report can show.

    Args:
        run: The folder.
        groups: Attribute → its groups; every speaker gets one group of each attribute.
        engines: Labels.
        conditions: Names; the further down, the noisier.
        speakers: Speakers of each group of the first attribute, repeated as needed.
        utterances: Utterances a speaker.
        findings: What ``findings.json`` holds; no file is written where there is none.
        reference: Text of every reference.
        hypothesis: Text of every hypothesis.
        name: Name of the suite.
        seed: Seed of the counts.
        texts: Whether ``scores.parquet`` holds the counts of the texts (one substitution of five words) instead of the
            drawn ones, so that utterances can be aligned.
    """
    run.mkdir(parents=True, exist_ok=True)
    groups = groups or {"accent": ("us", "scottish", "indian", "nigerian"), "gender": ("female", "male")}
    generator = np.random.default_rng(seed)
    people = _people(groups, speakers)
    rows = people.loc[people.index.repeat(utterances)].reset_index(drop=True)
    rows.insert(0, "utterance_id", [f"utt-{number:05d}" for number in range(len(rows))])
    rows["reference"], rows["exclude"], rows["duration_s"], rows["language"] = reference, "", 3.5, "en"
    write_parquet(rows, run / "utterances.parquet")
    first = next(iter(groups))
    hardness = {group: 0.08 + 0.16 * rank / max(len(groups[first]) - 1, 1) for rank, group in enumerate(groups[first])}
    own = dict(zip(people["speaker_id"], generator.gamma(6.0, 1 / 6.0, len(people)), strict=True))
    rate = rows[first].map(hardness).to_numpy(float) * rows["speaker_id"].map(own).to_numpy(float)
    scores = [
        _scores(generator, rows, engine, condition, rate * (0.6 if rank else 1.0) * (1 + 0.45 * noise))
        for rank, engine in enumerate(engines)
        for noise, condition in enumerate(conditions)
    ]
    score = pd.concat(scores, ignore_index=True)
    aligned = score.assign(hits=4, substitutions=1, deletions=0, insertions=0)
    write_parquet(aligned if texts else score, run / "scores.parquet")
    hypotheses = score[["engine", "condition", "utterance_id"]].assign(
        status="ok", hypothesis=hypothesis, error="", words="[]"
    )
    write_parquet(hypotheses, run / "hypotheses.parquet")
    ledger = pd.DataFrame(
        {
            "engine": engines[0],
            "condition": conditions[0],
            "utterance_id": rows["utterance_id"].head(2),
            "speaker_id": rows["speaker_id"].head(2),
            "reason": ["empty_reference", "repetition_loop"],
            "detail": "",
        }
    )
    write_csv(ledger, run / "ledger.csv")
    _tables(run, score, rows, list(groups), list(engines), list(conditions))
    write_run_file(run, _about(groups, engines, conditions, len(rows), name, seed))
    if findings:
        (run / "findings.json").write_text(json.dumps(list(findings)), encoding="utf-8")
    return run


def _people(groups: Mapping[str, Sequence[str]], speakers: Sequence[int]) -> pd.DataFrame:
    first, *others = groups
    rows: list[dict[str, str]] = []
    for rank, group in enumerate(groups[first]):
        for _ in range(speakers[rank % len(speakers)]):
            person = {"speaker_id": f"speaker-{len(rows):04d}", first: group}
            person.update({other: groups[other][len(rows) % len(groups[other])] for other in others})
            rows.append(person)
    return pd.DataFrame(rows)


def _scores(
    generator: np.random.Generator, rows: pd.DataFrame, engine: str, condition: str, rate: np.ndarray[Any, Any]
) -> pd.DataFrame:
    words = 12
    wrong = np.minimum(generator.poisson(words * rate), words)
    deleted = wrong // 4
    return pd.DataFrame(
        {
            "engine": engine,
            "condition": condition,
            "utterance_id": rows["utterance_id"],
            "status": "scored",
            "hits": (words - wrong).astype("int32"),
            "substitutions": (wrong - deleted).astype("int32"),
            "deletions": deleted.astype("int32"),
            "insertions": generator.binomial(1, 0.1, len(rows)).astype("int32"),
        }
    )


def _tables(
    run: Path, score: pd.DataFrame, rows: pd.DataFrame, attributes: list[str], engines: list[str], conditions: list[str]
) -> None:
    joined = score.merge(rows.drop(columns=["reference", "exclude", "duration_s", "language"]), on="utterance_id")
    joined["overall"] = "all"
    columns = ["overall", *attributes]
    if len(attributes) > 1:
        both = " × ".join(attributes[:2])
        joined[both] = joined[attributes[0]] + " × " + joined[attributes[1]]
        columns.append(both)
    parts = []
    for attribute in columns:
        keys = ["engine", "condition", attribute]
        counts = joined.groupby(keys, sort=False)[["hits", "substitutions", "deletions", "insertions"]].sum()
        found = joined.groupby(keys, sort=False).agg(
            utterances=("utterance_id", "size"), speakers=("speaker_id", "nunique")
        )
        table = found.join(counts).reset_index().rename(columns={attribute: "group"})
        table.insert(2, "attribute", attribute)
        parts.append(table)
    table = pd.concat(parts, ignore_index=True)
    table["ref_words"] = table["hits"] + table["substitutions"] + table["deletions"]
    table["wer"] = (table["substitutions"] + table["deletions"] + table["insertions"]) / table["ref_words"]
    table["effective_speakers"] = table["speakers"] * 0.9
    half = np.exp(2.0 / np.sqrt(table["ref_words"] * table["wer"].clip(lower=1e-3)) + 0.15)
    known = table["speakers"] >= 5
    table["ci_low"], table["ci_high"] = (table["wer"] / half).where(known), (table["wer"] * half).where(known)
    table["sim_low"], table["sim_high"] = (
        (table["wer"] / half**1.5).where(known),
        (table["wer"] * half**1.5).where(known),
    )
    table["failed"] = 0
    table["flag"] = np.where(known, "", "few_speakers")
    rank = {name: number for number, name in enumerate(engines)}
    noise = {name: number for number, name in enumerate(conditions)}
    table = table.assign(_e=table["engine"].map(rank), _c=table["condition"].map(noise))
    table = table.sort_values(["_e", "_c"], kind="stable").drop(columns=["_e", "_c"]).reset_index(drop=True)
    write_csv(table, run / "disparity.csv")
    alone = table[["engine", "condition", "attribute", "group", "utterances", "ref_words", "wer"]].head(6)
    alone = alone.assign(flips=1, wer_run=alone["wer"], wer_alone=alone["wer"] - 0.01, difference=0.01)
    write_csv(alone.drop(columns="wer"), run / "invariance.csv")
    made = {"gaps": _gaps(table), "differences": _differences(table)}
    if len(engines) > 1:
        made["comparisons"] = _comparisons(table, engines)
    if "clean" in conditions and len(conditions) > 1:
        made["interactions"] = _interactions(table)
    for name, frame in made.items():
        if len(frame):
            write_csv(frame, run / f"{name}.csv")
    _small_tables(run, table, joined)


def _comparable(table: pd.DataFrame) -> Any:
    groups = table[(table["attribute"] != "overall") & table["ci_low"].notna()]
    return groups.groupby(["engine", "condition", "attribute"], sort=False)


def _gaps(table: pd.DataFrame) -> pd.DataFrame:
    rows = []
    for (engine, condition, attribute), part in _comparable(table):
        worst, best = part.loc[part["wer"].idxmax()], part.loc[part["wer"].idxmin()]
        gap, ratio = worst["wer"] - best["wer"], worst["wer"] / max(best["wer"], 1e-3)
        rows.append(
            {
                "engine": engine,
                "condition": condition,
                "attribute": attribute,
                "groups": len(part),
                "best_group": best["group"],
                "worst_group": worst["group"],
                "best_wer": best["wer"],
                "worst_wer": worst["wer"],
                "worst_ci_low": worst["ci_low"],
                "worst_ci_high": worst["ci_high"],
                "gap": gap,
                "gap_ci_low": 0.6 * gap,
                "gap_ci_high": 1.5 * gap,
                "ratio": ratio,
                "ratio_ci_low": 0.7 * ratio,
                "ratio_ci_high": 1.4 * ratio,
                "macro_wer": part["wer"].mean(),
                "macro_ci_low": 0.8 * part["wer"].mean(),
                "macro_ci_high": 1.2 * part["wer"].mean(),
                "micro_wer": part["wer"].mean(),
                "micro_ci_low": 0.8 * part["wer"].mean(),
                "micro_ci_high": 1.2 * part["wer"].mean(),
                "spread_sd": part["wer"].std(ddof=0),
                "flag": "" if len(part) > 1 else "one_group",
            }
        )
    return pd.DataFrame(rows)


def _differences(table: pd.DataFrame) -> pd.DataFrame:
    rows = []
    for (engine, condition, attribute), part in _comparable(table):
        best = part.loc[part["wer"].idxmin()]
        for versus in ("best", "rest"):
            for _, row in part[part["group"] != best["group"]].iterrows():
                difference = row["wer"] - (best["wer"] if versus == "best" else part["wer"].mean())
                rows.append(
                    {
                        "engine": engine,
                        "condition": condition,
                        "attribute": attribute,
                        "group": row["group"],
                        "versus": versus,
                        "versus_group": best["group"] if versus == "best" else "all others",
                        "difference": difference,
                        "ci_low": difference - 0.05,
                        "ci_high": difference + 0.06,
                        "sim_low": difference - 0.08,
                        "sim_high": difference + 0.1,
                        "ratio": row["wer"] / max(best["wer"], 1e-3),
                        "ratio_ci_low": 0.7 * row["wer"] / max(best["wer"], 1e-3),
                        "ratio_ci_high": 1.5 * row["wer"] / max(best["wer"], 1e-3),
                        "mdd": 0.07,
                        "speakers_needed": 40,
                        "flag": "",
                    }
                )
    return pd.DataFrame(rows)


def _comparisons(table: pd.DataFrame, engines: Sequence[str]) -> pd.DataFrame:
    rows = []
    for a, b in combinations(engines, 2):
        both = table[table["engine"] == a].merge(
            table[table["engine"] == b], on=["condition", "attribute", "group"], suffixes=("", "_b"), sort=False
        )
        difference = both["wer"] - both["wer_b"]
        rows.append(
            pd.DataFrame(
                {
                    "engine_a": a,
                    "engine_b": b,
                    "condition": both["condition"],
                    "attribute": both["attribute"],
                    "group": both["group"],
                    "difference": difference,
                    "ci_low": difference - 0.03,
                    "ci_high": difference + 0.03,
                    "mapsswe_z": 2.0,
                    "mapsswe_p": 0.045,
                    "flag": both["flag"],
                }
            )
        )
    return pd.concat(rows, ignore_index=True)


def _interactions(table: pd.DataFrame) -> pd.DataFrame:
    groups = table[(table["attribute"] != "overall") & table["ci_low"].notna()]
    clean = groups[groups["condition"] == "clean"].set_index(["engine", "attribute", "group"])["wer"]
    rows = []
    for (engine, condition, attribute), part in _comparable(table):
        if condition == "clean":
            continue
        reference = part.iloc[0]
        base = reference["wer"] - clean[(engine, attribute, reference["group"])]
        for _, row in part.iloc[1:].iterrows():
            moved = row["wer"] - clean[(engine, attribute, row["group"])] - base
            rows.append(
                {
                    "engine": engine,
                    "condition": condition,
                    "attribute": attribute,
                    "group": row["group"],
                    "reference_group": reference["group"],
                    "difference_in_differences": moved,
                    "ci_low": moved - 0.04,
                    "ci_high": moved + 0.05,
                    "ratio_of_ratios": 1.1,
                    "ratio_ci_low": 0.9,
                    "ratio_ci_high": 1.4,
                    "scales_disagree": "",
                    "flag": "",
                }
            )
    return pd.DataFrame(rows)


def _small_tables(run: Path, table: pd.DataFrame, joined: pd.DataFrame) -> None:
    groups = table[table["attribute"] != "overall"]
    first = groups[
        (groups["engine"] == groups["engine"].iloc[0]) & (groups["condition"] == groups["condition"].iloc[0])
    ]
    coverage = first[["attribute", "group", "speakers", "utterances", "ref_words"]].assign(
        hours=first["utterances"] * 3.5 / 3600
    )
    write_csv(coverage, run / "coverage.csv")
    read = coverage[["attribute", "group", "utterances"]].assign(
        sentences=20, speakers_a_sentence=2.5, shared_share=0.5, flag=""
    )
    near = {"closest_group": "us", "closest_share": 0.5, "farthest_group": "us", "farthest_share": 0.25}
    write_csv(read.assign(**near), run / "prompts.csv")
    keys = first[["engine", "condition", "attribute", "group"]]
    write_csv(
        keys.assign(reason="repetition_loop", utterances=2, share=2 / first["utterances"]), run / "ledger_by_group.csv"
    )
    write_csv(
        keys.assign(
            reference_group="us",
            raw_ratio=1.8,
            adjusted_ratio=1.5,
            ci_low=1.1,
            ci_high=2.1,
            matched_ratio=1.4,
            p_likelihood_ratio=0.004,
            overdispersion=1.3,
            covariates="duration_s",
            flag="",
        ),
        run / "adjusted.csv",
    )
    parts = [
        keys.assign(
            normalizer=normalizer,
            wer=first["wer"] + shift,
            rank=range(1, len(first) + 1),
            rank_flip=flip,
            gap=0.12,
            best_group="us",
            worst_group="indian",
        )
        for normalizer, shift, flip in (("whisper-english", 0.0, False), ("basic", 0.01, True))
    ]
    write_csv(pd.concat(parts, ignore_index=True), run / "normalizers.csv")
    voices = (("voice-pitch@higher", "+2", "+1.98"), ("voice-pitch@lower", "-2", "-2.03"))
    changed = pd.concat(
        [keys.assign(condition=name, change="pitch, semitones", asked=by, achieved=got) for name, by, got in voices]
    ).assign(against="voice-pitch@unchanged")
    counts = {name: first[name] for name in ("utterances", "speakers", "ref_words")}
    rates = {
        "wer_against": first["wer"],
        "wer": first["wer"] + 0.03,
        "difference": 0.03,
        "ci_low": 0.01,
        "ci_high": 0.06,
    }
    write_csv(changed.assign(**counts, **rates, flag=""), run / "sensitivity.csv")
    write_csv(
        keys.assign(
            kind="speaker",
            id="speaker-0003",
            errors=31,
            ref_words=120,
            reason="largest share of the group's errors",
            gap_with=0.12,
            gap_without=0.09,
            wer_with=first["wer"],
            wer_without=first["wer"] * 0.9,
        ),
        run / "influence.csv",
    )
    write_csv(
        keys.assign(metric="word_f1", value=1 - first["wer"], ci_low=first["ci_low"], ci_high=np.nan, flag=""),
        run / "metrics.csv",
    )
    noisy = [name for name in dict.fromkeys(joined["condition"]) if name != "clean"]
    if noisy:
        achieved = pd.concat(
            [first[["attribute", "group", "utterances"]].assign(condition=name) for name in noisy], ignore_index=True
        )
        achieved = achieved.assign(quantity="snr_db", mean=9.7, sd=0.2, difference=0.1, flag="")
        write_csv(achieved, run / "achieved_by_group.csv")


def _about(
    groups: Mapping[str, Sequence[str]],
    engines: Sequence[str],
    conditions: Sequence[str],
    rows: int,
    name: str,
    seed: int,
) -> dict[str, Any]:
    return {
        "asrfair": "0.1.0",
        "suite": {"name": name},
        "seed": seed,
        "manifest": {
            "name": name,
            "version": "1",
            "licence": "CC0-1.0",
            "fingerprint": "0" * 64,
            "rows": rows,
            "attributes": {key: {"description": f"{key} as simulated", "provenance": "recorded"} for key in groups},
        },
        "engines": [{"label": label, "name": "precomputed", "options": {}, "fingerprint": {}} for label in engines],
        "conditions": [{"name": condition, "fingerprint": "f" * 64} for condition in conditions],
        "scoring": {"normalizer": "whisper-english", "characters": False, "errors_as": "excluded", "key_terms": []},
        "groups": {"by": [[key] for key in groups], "min_speakers": 5, "min_words": 100},
        "statistics": {"interval": "jackknife", "confidence": 0.95, "draws": 2000, "seed": 1},
        "packages": {"numpy": "2"},
        "git": None,
        "volatile": {"started": "2026-01-01T00:00:00Z", "finished": "2026-01-01T00:01:00Z"},
    }
