"""speechocean762: non-native English of Mandarin speakers, children and adults, as a Kaldi data directory a split."""

from __future__ import annotations

from asrfair.data.corpora.base import ImportedCorpus, Importer, ImportRequest, frame
from asrfair.data.corpora.kaldi import pipe_note, read_kaldi, rows_of
from asrfair.data.manifest import AttributeCard, Card

ADULT_FROM_YEARS = 16
"""The corpus says that half its speakers are children; in it nobody is 16 or 17 years old."""

CARD = Card(
    name="speechocean762",
    version="1.2.0",
    licence="Free for commercial and non-commercial use (as its README states)",
    citation=(
        "Zhang, J. et al. (2021). speechocean762: An Open-Source Non-native English Speech Corpus For Pronunciation "
        "Assessment. Proc. Interspeech 2021."
    ),
    description="5,000 English sentences read by 250 native speakers of Mandarin, half of them children",
    homepage="https://github.com/jimbozhang/speechocean762",
    language="en",
    attributes={
        "gender": AttributeCard(description="gender, from spk2gender", provenance="recorded"),
        "age": AttributeCard(description="age in years, from spk2age", provenance="recorded"),
        "age_band": AttributeCard(
            description=f"child: under {ADULT_FROM_YEARS} years; adult: the others; from spk2age",
            provenance="recorded",
            values=("child", "adult"),
        ),
        "native_language": AttributeCard(description="the same for all speakers", provenance="recorded"),
        "style": AttributeCard(
            description="sentences: read", provenance="recorded", level="utterance", values=("read",)
        ),
        "split": AttributeCard(description="train or test, as distributed", provenance="recorded"),
    },
)


def read(request: ImportRequest) -> ImportedCorpus:
    """Read the test split, the train split, or both."""
    split = request.option("split", "test", choices=("test", "train", "all"))
    records: list[dict[str, object]] = []
    notes: tuple[str, ...] = ()
    for name in ("train", "test") if split == "all" else (split,):
        data = read_kaldi(request.need(name))
        notes += pipe_note(data)
        for row in rows_of(data):
            age = str(row.get("age", ""))
            row["age_band"] = ("child" if int(age) < ADULT_FROM_YEARS else "adult") if age.isdigit() else ""
            row["native_language"] = "Mandarin Chinese"
            row["style"] = "read"
            row["split"] = name
            records.append(row)
    return ImportedCorpus(card=CARD, rows=frame(records, request=request), notes=notes)


IMPORTER = Importer(
    read=read,
    summary="speechocean762: Mandarin-native children and adults reading English",
    layout="the repository: WAVE/SPEAKER0001/*.WAV, test/{wav.scp,text,utt2spk,spk2gender,spk2age}, train/ likewise",
    options={"split": "test (default), train or all"},
)
