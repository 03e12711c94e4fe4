"""EdAcc, the Edinburgh International Accents of English Corpus: conversations, a Kaldi directory a split."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asrfair.data.corpora.base import ImportedCorpus, Importer, ImportRequest, frame, read_text
from asrfair.data.corpora.kaldi import read_kaldi, rows_of
from asrfair.data.manifest import AttributeCard, Card
from asrfair.data.tablefile import read_table
from asrfair.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

_QUESTIONS = {
    "accent": "describe your accent in english",
    "gender": "what is your gender",
    "ethnicity": "ethnic background",
    "education": "level of education",
    "year_of_birth": "year of birth",
}
"""Attribute → words of the question in linguistic_background.csv that it answers."""

_READ_SPEECH = "IGNORE_TIME_SEGMENT_IN_SCORING"

CARD = Card(
    name="edacc",
    version="1.0",
    licence="CC-BY-SA-4.0",
    citation=(
        "Sanabria, R. et al. (2023). The Edinburgh International Accents of English Corpus: Towards the "
        "Democratization of English ASR. ICASSP 2023. https://doi.org/10.7488/ds/3832"
    ),
    description="Dyadic video calls between friends, first- and second-language speakers of English",
    homepage="https://groups.inf.ed.ac.uk/edacc",
    language="en",
    reference_remove=("<[A-Za-z_-]+>",),
    attributes={
        "accent": AttributeCard(
            description="accent as the speaker described it, free text", provenance="self-reported"
        ),
        "gender": AttributeCard(description="gender as the speaker stated it", provenance="self-reported"),
        "ethnicity": AttributeCard(
            description="ethnic background as the speaker stated it", provenance="self-reported"
        ),
        "education": AttributeCard(description="highest level of education", provenance="self-reported"),
        "year_of_birth": AttributeCard(description="year of birth", provenance="self-reported"),
        "style": AttributeCard(
            description="video calls: conversational; the passages that the corpus' own scoring ignores: read",
            provenance="recorded",
            level="utterance",
            values=("conversational", "read"),
        ),
        "split": AttributeCard(description="dev or test, as distributed", provenance="recorded"),
    },
)


def read(request: ImportRequest) -> ImportedCorpus:
    """Read a split; the read passages, which the corpus' own scoring ignores, are kept and not scored."""
    split = request.option("split", "test", choices=("test", "dev"))
    data = read_kaldi(request.need(split))
    stm = request.source / split / "stm"
    ignored = _ignored(stm) if stm.is_file() else set()
    speakers, missing = _questionnaire(request.source / "linguistic_background.csv")
    records = []
    for row in rows_of(data):
        recording, start, _ = data.segments.get(str(row["utterance_id"]), (str(row["utterance_id"]), 0.0, 0.0))
        row["audio"] = f"data/{recording}.wav"
        row["style"] = "conversational"
        if (recording, round(start, 2)) in ignored:
            row["style"] = "read"
            row["exclude"] = "read passage (the corpus' own scoring ignores it)"
        answers = dict.fromkeys(_QUESTIONS, "") | speakers.get(str(row["speaker_id"]), {})
        records.append(row | answers | {"split": split})
    rows = frame(records, request=request).drop(columns=missing)
    notes = [f"linguistic_background.csv has no question about: {', '.join(missing)}."] if missing and speakers else []
    if not speakers:
        notes.append("linguistic_background.csv is not there: nothing is stated about the speakers.")
    notes.append(
        "Accents are free text: groups such as those of published audits need a column that maps them "
        "(see docs/importers.md)."
    )
    return ImportedCorpus(card=CARD, rows=rows, notes=tuple(notes))


def _ignored(stm: Path) -> set[tuple[str, float]]:
    """Return (recording, start) of segments whose text in the STM says that scoring ignores them."""
    found = set()
    for number, line in enumerate(read_text(stm).splitlines(), start=1):
        if line.startswith(";;") or _READ_SPEECH not in line:
            continue
        cells = line.split(maxsplit=5)
        try:
            found.add((cells[0], round(float(cells[3]), 2)))
        except (IndexError, ValueError) as error:
            raise InputError(
                "a line of stm is: file channel speaker start end <labels> text", file=stm, line=number
            ) from error
    return found


def _questionnaire(path: Path) -> tuple[dict[str, dict[str, str]], list[str]]:
    """Return speaker → attribute → answer, and the attributes that no question of the file asks for."""
    if not path.is_file():
        return {}, list(_QUESTIONS)
    table = read_table(path)
    if "PARTICIPANT_ID" not in table:
        raise InputError("the table has no column PARTICIPANT_ID", file=path, line=1, remedy="Is it EdAcc's own?")
    columns = {}
    for name, words in _QUESTIONS.items():
        asked = [column for column in table.columns if words in column.casefold()]
        if asked:
            columns[name] = table[asked[0]].str.strip().tolist()
    answers = {
        str(speaker): {name: values[row] for name, values in columns.items()}
        for row, speaker in enumerate(table["PARTICIPANT_ID"].str.strip())
    }
    return answers, [name for name in _QUESTIONS if name not in columns]


IMPORTER = Importer(
    read=read,
    summary="EdAcc: English conversations in many accents",
    layout="edacc_v1.0/: data/*.wav, test/{text,segments,utt2spk,stm}, dev/ likewise, linguistic_background.csv",
    options={"split": "test (default) or dev"},
)
