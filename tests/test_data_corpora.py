"""Every importer on a small corpus laid out as the real one is distributed, with real audio where there is some."""

from __future__ import annotations

import gzip
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from asrfair.data.corpora import import_corpus, importer_names
from asrfair.data.manifest import Manifest, Problem, problems, read_manifest
from asrfair.errors import InputError


def _write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def _tone(path: Path, seconds: float = 0.5, *, rate: int = 16_000, channels: int = 1) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = 0.1 * np.sin(np.arange(int(seconds * rate)) / 5)
    soundfile.write(path, np.repeat(samples[:, None], channels, axis=1), rate)
    return path


def _imported(name: str, source: Path, **options: str) -> Manifest:
    """Import into the corpus' own folder and read the result strictly."""
    folder = source if source.is_dir() else source.parent
    result = import_corpus(name, source, folder, options=options, overwrite=True)
    manifest = read_manifest(result.card)
    assert result.rows == len(manifest)
    return manifest


def _errors(manifest: Manifest) -> list[Problem]:
    return [problem for problem in problems(manifest) if problem.severity == "error"]


def _rows(manifest: Manifest, *columns: str) -> list[tuple[object, ...]]:
    return [tuple(row) for row in manifest.table[list(columns)].itertuples(index=False)]


def test_common_voice(tmp_path: Path) -> None:
    """clips/ beside a TSV without quoting; durations in milliseconds; what contributors declined is not stated."""
    columns = ["client_id", "path", "sentence_id", "sentence", "up_votes", "down_votes", "age", "gender"]
    columns += ["accents", "variant", "locale", "segment"]
    lines = [
        [
            "c1",
            "cv_1.mp3",
            "s1",
            'He said "hello',
            "2",
            "0",
            "twenties",
            "male_masculine",
            "United States English",
            "",
            "en",
            "",
        ],
        ["c2", "cv_2.mp3", "s2", 'Bye"', "2", "1", "", "do_not_wish_to_say", "India,Hindi", "", "en", ""],
    ]
    _write(tmp_path / "test.tsv", "\n".join("\t".join(row) for row in [columns, *lines]) + "\n")
    _write(tmp_path / "clip_durations.tsv", "clip\tduration[ms]\ncv_1.mp3\t500\ncv_2.mp3\t750\n")
    for number, seconds in ((1, 0.5), (2, 0.75)):
        _tone(tmp_path / "clips" / f"cv_{number}.mp3", seconds)
    manifest = _imported("common_voice", tmp_path)
    expected = [
        ("cv_1", "c1", 'He said "hello', 0.5, "en", "United States English", "male_masculine", "twenties"),
        ("cv_2", "c2", 'Bye"', 0.75, "en", "India,Hindi", "not_stated", "not_stated"),
    ]
    columns = ["utterance_id", "speaker_id", "reference", "duration_s", "language", "accent", "gender", "age"]
    assert expected == _rows(manifest, *columns)
    assert "self-reported" == manifest.card.attributes["accent"].provenance
    assert "CC0-1.0" == manifest.card.licence
    assert [] == _errors(manifest)


def test_common_voice_keeps_invalidated_clips_unscored(tmp_path: Path) -> None:
    """Clips that contributors rejected stay in the table with a reason."""
    _write(tmp_path / "invalidated.tsv", "client_id\tpath\tsentence\taccent\nc\tx\thello\tus\n")
    manifest = _imported("common_voice", tmp_path, split="invalidated")
    assert [("x", "invalidated by the contributors", "us")] == _rows(manifest, "utterance_id", "exclude", "accent")
    assert str(tmp_path / "clips" / "x.mp3") == manifest.table["audio"][0]


def _edacc(folder: Path) -> Path:
    _write(folder / "test" / "text", "EDACC-C06-0 C ELEVEN DASH P ONE\nEDACC-C06-1 HELLO <OVERLAP> THERE\n")
    _write(folder / "test" / "segments", "EDACC-C06-0 EDACC-C06 0.00 0.50\nEDACC-C06-1 EDACC-C06 0.50 1.25\n")
    _write(folder / "test" / "utt2spk", "EDACC-C06-0 EDACC-C06-A\nEDACC-C06-1 EDACC-C06-B\n")
    _write(
        folder / "test" / "stm",
        ";; CATEGORY\nEDACC-C06 1 EDACC-C06-A 0.00 0.50 <male,l1> IGNORE_TIME_SEGMENT_IN_SCORING\n"
        "EDACC-C06 1 EDACC-C06-B 0.50 1.25 <female,l2> HELLO <OVERLAP> THERE\n",
    )
    _write(
        folder / "linguistic_background.csv",
        "TIMESTAMP,PARTICIPANT_ID,What is your gender?,What’s your ethnic background? ,"
        "What is your higher level of education?,What’s your year of birth? (e.g. 1992),"
        '"How would you describe your accent in English? (e.g. Italian, Glaswegian)"\n'
        "1,EDACC-C06-A,Male,White,MSc,1990,Southern British\n2,EDACC-C06-B,Female,,PhD,1992,Glaswegian\n",
    )
    _tone(folder / "data" / "EDACC-C06.wav", 1.5, rate=32_000)
    return folder


def test_edacc(tmp_path: Path) -> None:
    """Segments of conversations, the speakers' own words for their accents, read passages kept and not scored."""
    manifest = _imported("edacc", _edacc(tmp_path))
    expected = [
        ("EDACC-C06-0", "EDACC-C06-A", "C ELEVEN DASH P ONE", 0.0, 0.5, "Southern British", "Male", "White"),
        ("EDACC-C06-1", "EDACC-C06-B", "HELLO THERE", 0.5, 1.25, "Glaswegian", "Female", "not_stated"),
    ]
    columns = ["utterance_id", "speaker_id", "reference", "start_s", "end_s", "accent", "gender", "ethnicity"]
    assert expected == _rows(manifest, *columns)
    assert ["read passage (the corpus' own scoring ignores it)", ""] == manifest.table["exclude"].tolist()
    assert ["read", "conversational"] == manifest.table["style"].tolist()
    assert "recorded" == manifest.card.attributes["style"].provenance
    assert [] == _errors(manifest)


def test_kaldi_never_runs_a_command(tmp_path: Path) -> None:
    """A pipe in wav.scp is left without audio; every spk2… and utt2… file is an attribute."""
    _write(tmp_path / "text", "u1 hello\nu2\tgood bye\n")
    _write(tmp_path / "utt2spk", "u1 s1\nu2 s2\nu3 s2\n")
    _write(tmp_path / "wav.scp", f"u1 wav/u1.wav\nu2 touch {tmp_path}/pwned; sox x -t wav - |\n")
    _write(tmp_path / "spk2gender", "s1 f\ns2 m\n")
    _write(tmp_path / "utt2noise", "u1 quiet\nu2 loud\nu3 loud\n")
    _tone(tmp_path / "wav" / "u1.wav")
    manifest = _imported("kaldi", tmp_path)
    expected = [
        ("u1", "hello", "female", "quiet", "", 0.5),
        ("u2", "good bye", "male", "loud", "", None),
        ("u3", "", "male", "loud", "no transcript in text", None),
    ]
    rows = _rows(manifest, "utterance_id", "reference", "gender", "noise", "exclude", "duration_s")
    assert expected == [(*row[:-1], None if np.isnan(row[-1]) else row[-1]) for row in rows]
    assert ["wav/u1.wav", "", ""] == [path.removeprefix(f"{tmp_path}/") for path in manifest.table["audio"]]
    assert "utterance" == manifest.card.attributes["noise"].level
    assert not (tmp_path / "pwned").exists()


@pytest.mark.shared
def test_speechocean762(shared_data: Path, tmp_path: Path) -> None:
    """The real recordings in the repository's layout: tabs in the maps, ages banded, everything readable."""
    source = read_manifest(shared_data / "speechocean762" / "manifest.csv").table
    source = source[source["speaker_id"].isin(source["speaker_id"].unique()[:6])]
    maps: dict[str, list[str]] = {name: [] for name in ("wav.scp", "text", "utt2spk")}
    for row in source.itertuples():
        target = tmp_path / "WAVE" / f"SPEAKER{row.speaker_id}" / f"{row.utterance_id}.WAV"
        target.parent.mkdir(parents=True, exist_ok=True)
        samples, rate = soundfile.read(row.audio)
        soundfile.write(target, samples, rate, format="WAV")
        maps["wav.scp"].append(f"{row.utterance_id}\t{target.relative_to(tmp_path)}")
        maps["text"].append(f"{row.utterance_id}\t{row.reference}")
        maps["utt2spk"].append(f"{row.utterance_id}\t{row.speaker_id}")
    people = source.drop_duplicates("speaker_id")
    maps["spk2gender"] = [f"{row.speaker_id}\t{row.gender[0]}" for row in people.itertuples()]
    maps["spk2age"] = [f"{row.speaker_id}\t{row.age}" for row in people.itertuples()]
    for name, lines in maps.items():
        _write(tmp_path / "test" / name, "\n".join(lines) + "\n")
    manifest = _imported("speechocean762", tmp_path)
    assert [] == _errors(manifest)
    assert source["reference"].tolist() == manifest.table["reference"].tolist()
    assert source["gender"].tolist() == manifest.table["gender"].tolist()
    assert ["adult" if int(age) >= 16 else "child" for age in source["age"]] == manifest.table["age_band"].tolist()
    assert np.allclose(source["duration_s"], manifest.table["duration_s"], atol=0.001)


@pytest.mark.shared
def test_fsdd(shared_data: Path, tmp_path: Path) -> None:
    """The real recordings with a metadata.py like the repository's, which is read and never run."""
    shutil.copytree(shared_data / "fsdd" / "recordings", tmp_path / "recordings")
    _write(tmp_path / "recordings" / "notes.wav", "")
    _write(
        tmp_path / "metadata.py",
        '"""A python dictionary."""\n\nmetadata = {\n    "jackson": {"gender": "male", "accent": "USA/neutral"},\n'
        '    "george": {"gender": "male", "accent": "GRC/Greek", "language": "english"},\n}\nraise SystemExit\n',
    )
    result = import_corpus("fsdd", tmp_path, tmp_path)
    manifest = read_manifest(result.card)
    assert (300, 6) == (result.rows, result.speakers)
    source = read_manifest(shared_data / "fsdd" / "manifest.csv").table.set_index("utterance_id")
    table = manifest.table.set_index("utterance_id")
    assert source["reference"].to_dict() == table["reference"].to_dict()
    known = table["speaker_id"].isin(["jackson", "george"])
    assert source["accent"][table.index[known]].tolist() == table["accent"][known].tolist()
    assert {"not_stated"} == set(table["accent"][~known])
    assert any("lucas, nicolas, theo, yweweler" in note for note in result.notes)
    assert any("1 files" in note for note in result.notes)
    assert [] == _errors(manifest)


def test_fsdd_metadata_that_is_code_is_refused(tmp_path: Path) -> None:
    """A metadata.py that computes something is an error, not a program that runs."""
    _tone(tmp_path / "recordings" / "0_ann_0.wav")
    _write(tmp_path / "metadata.py", f"metadata = dict(open({str(tmp_path / 'pwned')!r}, 'w').write('x') or [])\n")
    with pytest.raises(InputError, match="not a plain dictionary"):
        import_corpus("fsdd", tmp_path, tmp_path)
    assert not (tmp_path / "pwned").exists()


@pytest.mark.shared
def test_librispeech(shared_data: Path, tmp_path: Path) -> None:
    """split/speaker/chapter with .trans.txt and SPEAKERS.TXT, around a real LibriSpeech utterance."""
    real = shared_data / "small_speech" / "lhotse" / "mix_cut_test" / "audio" / "storage" / "2412-153948-0000.flac"
    folder = tmp_path / "LibriSpeech" / "test-clean" / "2412" / "153948"
    folder.mkdir(parents=True)
    shutil.copy(real, folder / "2412-153948-0000.flac")
    _write(folder / "2412-153948.trans.txt", "2412-153948-0000 IF THE READER WILL EXCUSE ME I WILL SAY NOTHING\n")
    _tone(tmp_path / "LibriSpeech" / "test-other" / "367" / "1" / "367-1-0000.flac")
    _write(tmp_path / "LibriSpeech" / "test-other" / "367" / "1" / "367-1.trans.txt", "367-1-0000 YES\n")
    _write(
        tmp_path / "LibriSpeech" / "SPEAKERS.TXT",
        ";ID  |SEX| SUBSET           |MINUTES| NAME\n"
        "2412 | F | test-clean       | 8.05  | A | B\n367  | M | test-other | 8 | C\n",
    )
    manifest = _imported("librispeech", tmp_path / "LibriSpeech")
    assert [("2412-153948-0000", "2412", "female", "test-clean"), ("367-1-0000", "367", "male", "test-other")] == _rows(
        manifest, "utterance_id", "speaker_id", "gender", "split"
    )
    assert soundfile.info(real).duration == pytest.approx(manifest.table["duration_s"][0], abs=1e-4)
    assert [] == _errors(manifest)
    assert 1 == len(_imported("librispeech", tmp_path / "LibriSpeech", split="test-other"))


def test_vctk(tmp_path: Path) -> None:
    """One microphone, accents with comments taken out, a speaker without transcripts kept and not scored."""
    _write(
        tmp_path / "speaker-info.txt",
        "ID  AGE  GENDER  ACCENTS  REGION COMMENTS \np225  23  F    English    Southern  England\n"
        "p280  25  F    Unknown    France (mic2 files unavailable)\n"
        "p315  18  M    American    New  England (Text unavailable)\n",
    )
    for speaker in ("p225", "p280", "p315"):
        for mic in ("mic1", "mic2")[: 1 if speaker == "p280" else 2]:
            _tone(tmp_path / "wav48_silence_trimmed" / speaker / f"{speaker}_001_{mic}.flac")
        if speaker != "p315":
            _write(tmp_path / "txt" / speaker / f"{speaker}_001.txt", "Please call Stella.\n")
    _write(tmp_path / "wav48_silence_trimmed" / "log.txt", "x")
    manifest = _imported("vctk", tmp_path)
    expected = [
        ("p225_001", "Please call Stella.", "English", "Southern England", "female", "23", ""),
        ("p280_001", "Please call Stella.", "not_stated", "France", "female", "25", ""),
        ("p315_001", "", "American", "New England", "male", "18", "no transcript"),
    ]
    assert expected == _rows(manifest, "utterance_id", "reference", "accent", "region", "gender", "age", "exclude")
    assert {"mic1"} == set(manifest.table["microphone"])
    assert {"read"} == set(manifest.table["style"])
    assert ["p225_001", "p315_001"] == _imported("vctk", tmp_path, mic="mic2").table["utterance_id"].tolist()


def test_l2_arctic(tmp_path: Path) -> None:
    """A folder a speaker, native languages from the README's table, the suitcase stories on request."""
    root = tmp_path / "l2arctic_release_v5.0"
    _write(
        root / "README.md",
        "|Speaker|Gender|Native Language|\n|---|---|---|\n|ABA|M|Arabic|1129|150|\n|SKA|F|Arabic|974|150|\n",
    )
    for speaker in ("ABA", "SKA"):
        _write(root / speaker / "transcript" / "arctic_a0001.txt", "Author of the danger trail, Philip Steels, etc")
        _tone(root / speaker / "wav" / "arctic_a0001.wav")
    _write(root / "suitcase_corpus" / "transcript" / "aba.txt", "so there was a suitcase")
    _tone(root / "suitcase_corpus" / "wav" / "aba.wav")
    manifest = _imported("l2_arctic", root)
    assert [
        ("ABA-arctic_a0001", "ABA", "Arabic", "male", "read"),
        ("SKA-arctic_a0001", "SKA", "Arabic", "female", "read"),
    ] == _rows(manifest, "utterance_id", "speaker_id", "native_language", "gender", "style")
    assert [] == _errors(manifest)
    spoken = _imported("l2_arctic", root, suitcase="yes").table.set_index("utterance_id")
    assert ("ABA", "spontaneous") == tuple(spoken.loc["suitcase-ABA", ["speaker_id", "style"]])


def test_coraal(tmp_path: Path) -> None:
    """Lines of the interviewee joined across pauses; interviewer, overlap and unclear speech kept and not scored."""
    name = "DCB_se1_ag1_f_01_1"
    _write(
        tmp_path / "DCB" / "DCB_metadata_2018.10.06.txt",
        "CORAAL.Sub\tCORAAL.Spkr\tCORAAL.File\tGender\tAge\tAge.Group\tCORAAL.SEC.Group\tEdu.Group\n"
        f"DCB\tDCB_se1_ag1_f_01\t{name}\tFemale\t19\t-19\tNA\tSome College\n"
        "DCB\tDCB_se1_ag1_f_02\tDCB_se1_ag1_f_02_1\tFemale\t18\t-19\t1\tCollege\n",
    )
    lines = [
        ("DCB_int_01", 0.0, "So where are you from?", 1.0),
        ("DCB_se1_ag1_f_01", 1.0, "I'm from D.C.", 2.0),
        ("DCB_se1_ag1_f_01", 2.0, "(pause 0.50)", 2.5),
        ("DCB_se1_ag1_f_01", 2.5, "<laugh> Born and /raised/ here.", 4.0),
        ("DCB_se1_ag1_f_01", 4.0, "[Right.]", 4.5),
        ("DCB_int_01", 4.2, "[Okay.]", 4.6),
        ("DCB_se1_ag1_f_01", 5.0, "And /unintelligible/ school.", 6.0),
        ("DCB_se1_ag1_f_01", 6.0, "Yeah.", 6.5),
    ]
    header = "Line\tSpkr\tStTime\tContent\tEnTime\n"
    body = "".join(f"{i}\t{s}\t{start}\t{text}\t{end}\n" for i, (s, start, text, end) in enumerate(lines, start=1))
    _write(tmp_path / "DCB" / "DCB_textfiles" / f"{name}.txt", header + body)
    _tone(tmp_path / "DCB" / "DCB_audio_part01" / f"{name}.wav", 7.0)
    result = import_corpus("coraal", tmp_path, tmp_path)
    manifest = read_manifest(result.card)
    expected = [
        ("DCB_int_01", "So where are you from?", 0.0, 1.0, "not the interviewee", "not_stated"),
        ("DCB_se1_ag1_f_01", "I'm from D.C. Born and raised here.", 1.0, 4.0, "", "Female"),
        ("DCB_se1_ag1_f_01", "Right.", 4.0, 4.5, "overlapping speech", "Female"),
        ("DCB_int_01", "Okay.", 4.2, 4.6, "not the interviewee", "not_stated"),
        ("DCB_se1_ag1_f_01", "And unintelligible school.", 5.0, 6.0, "not understood by the transcriber", "Female"),
        ("DCB_se1_ag1_f_01", "Yeah.", 6.0, 6.5, "", "Female"),
    ]
    assert expected == _rows(manifest, "speaker_id", "reference", "start_s", "end_s", "exclude", "gender")
    assert "not_stated" == manifest.table["socioeconomic_group"][1]
    assert any("1 lines are pauses" in note for note in result.notes)
    assert any("DCB_se1_ag1_f_02_1" in note for note in result.notes)
    assert [] == _errors(manifest)
    assert 7 == len(_imported("coraal", tmp_path, longest_s="0"))


def test_afrispeech(tmp_path: Path) -> None:
    """CSVs by accent and split; audio found by the last two parts of a path that is nobody's."""
    header = "idx,user_ids,accent,age_group,country,transcript,nchars,audio_ids,audio_paths,duration,origin,domain,"
    header += "split,gender\n"
    row = "{i},u{i},{accent},26-40,NG,{text},9,a{i},/AfriSpeech-100/test/d{i}/f{i}.wav,0.5,x,clinical,test,Female\n"
    one = row.format(i=1, accent="yoruba", text='"Give 5 mg, now"')
    _write(tmp_path / "transcripts" / "yoruba" / "test.csv", header + one)
    _write(tmp_path / "transcripts" / "all" / "test.csv", header + one + row.format(i=2, accent="igbo", text="Stop"))
    _tone(tmp_path / "audio" / "yoruba" / "test" / "d1" / "f1.wav")
    _tone(tmp_path / "audio" / "igbo" / "test" / "d2" / "f2.wav")
    manifest = _imported("afrispeech", tmp_path)
    expected = [("a1", "u1", "Give 5 mg, now", "yoruba", "clinical"), ("a2", "u2", "Stop", "igbo", "clinical")]
    assert sorted(_rows(manifest, "utterance_id", "speaker_id", "reference", "accent", "domain")) == expected
    assert [] == _errors(manifest)
    assert 1 == len(_imported("afrispeech", tmp_path, accent="yoruba"))
    with pytest.raises(InputError, match="There are: all, yoruba"):
        _imported("afrispeech", tmp_path, accent="hausa")


def test_nemo(tmp_path: Path) -> None:
    """Offsets are segments, predictions are no attributes, and a manifest without speakers is refused."""
    items = [
        {
            "audio_filepath": "long.wav",
            "duration": 0.4,
            "text": "one",
            "offset": 0.0,
            "speaker": 7,
            "room": "a",
            "pred_text": "x",
        },
        {
            "audio_filepath": "long.wav",
            "duration": 0.5,
            "text": "two",
            "offset": 0.4,
            "speaker": 8,
            "room": "b",
            "pred_text": "y",
        },
    ]
    path = _write(tmp_path / "test_manifest.json", "\n".join(map(json.dumps, items)))
    _tone(tmp_path / "long.wav", 1.0)
    manifest = _imported("nemo", path)
    assert [("long@0.000", "7", "one", 0.0, 0.4, "a"), ("long@0.400", "8", "two", 0.4, 0.9, "b")] == _rows(
        manifest, "utterance_id", "speaker_id", "reference", "start_s", "end_s", "room"
    )
    assert ("room",) == manifest.attributes
    assert [] == _errors(manifest)
    path = _write(tmp_path / "other.json", json.dumps({"audio_filepath": "a.wav", "text": "x", "who": "s"}))
    with pytest.raises(InputError, match="who speaks"):
        _imported("nemo", path)
    assert ["s"] == _imported("nemo", path, speaker="who").table["speaker_id"].tolist()


def _recording(name: str, *, channels: int = 1) -> dict[str, object]:
    source = {"type": "file", "channels": list(range(channels)), "source": f"{name}.wav"}
    return {"id": name, "sources": [source], "sampling_rate": 16_000, "num_samples": 32_000, "duration": 2.0}


def test_lhotse_cuts(tmp_path: Path) -> None:
    """A row a supervision, times of the recording, custom fields as attributes, mixed cuts left out and told."""
    supervision = {
        "id": "s1",
        "recording_id": "r",
        "start": 0.25,
        "duration": 0.5,
        "channel": 0,
        "text": "hi",
        "speaker": "ann",
    }
    supervision |= {"language": "en", "gender": "F", "custom": {"accent": "Scots", "snr": 12.5}}
    nobody = {"id": "s2", "recording_id": "r2", "start": 0.0, "duration": 0.5, "channel": 1, "text": "yo"}
    cuts = [
        {"id": "c1", "type": "MonoCut", "start": 0.5, "duration": 1.0, "channel": 0}
        | {"supervisions": [supervision], "recording": _recording("r")},
        {"id": "c2", "type": "MonoCut", "start": 0.0, "duration": 1.0, "channel": 1}
        | {"supervisions": [nobody], "recording": _recording("r2", channels=2)},
        {"id": "c3", "type": "MixedCut", "tracks": [], "supervisions": []},
    ]  # fmt: skip
    path = tmp_path / "cuts.jsonl.gz"
    path.write_bytes(gzip.compress("\n".join(map(json.dumps, cuts)).encode()))
    _tone(tmp_path / "r.wav", 2.0)
    _tone(tmp_path / "r2.wav", 2.0, channels=2)
    result = import_corpus("lhotse", path, tmp_path)
    manifest = read_manifest(result.card)
    expected = [
        ("s1", "ann", "hi", 0.75, 1.25, "Scots", "12.5", ""),
        ("s2", "", "yo", 0.0, 0.5, "not_stated", "not_stated", "no speaker"),
    ]
    columns = ["utterance_id", "speaker_id", "reference", "start_s", "end_s", "accent", "snr", "exclude"]
    assert expected == _rows(manifest, *columns)
    assert [None, 1] == [utterance.channel for utterance in manifest.utterances()]
    assert any("1 cuts are mixed" in note for note in result.notes)
    assert [] == _errors(manifest)


def test_lhotse_supervisions_with_recordings(tmp_path: Path) -> None:
    """Supervisions take their audio from the recordings' file; a recording that a command makes has none."""
    command = {
        "id": "r2",
        "sources": [{"type": "command", "channels": [0], "source": "touch pwned |"}],
        "duration": 1.0,
    }
    _write(tmp_path / "recordings.jsonl", json.dumps(_recording("r")) + "\n" + json.dumps(command))
    supervisions = [
        {"id": f"s{i}", "recording_id": name, "start": 0.5, "duration": 1.0, "text": "a", "speaker": "x"}
        for i, name in enumerate(["r", "r2"])
    ]
    path = _write(tmp_path / "supervisions.jsonl", "\n".join(map(json.dumps, supervisions)))
    manifest = _imported("lhotse", path, recordings="recordings.jsonl")
    assert [str(tmp_path / "r.wav"), ""] == manifest.table["audio"].tolist()
    assert [0.5, 0.5] == manifest.table["start_s"].tolist()
    path = _write(tmp_path / "broken.jsonl", '{"id": 1}\n')
    with pytest.raises(InputError, match="neither a cut nor a supervision") as caught:
        _imported("lhotse", path)
    assert 1 == caught.value.line


def test_hugging_face_dataset(tmp_path: Path) -> None:
    """A saved dataset with EdAcc's columns: audio bytes are written out unchanged, plain columns are attributes."""
    datasets = pytest.importorskip("datasets", reason="the extra 'hf' is not installed")
    one, two = _tone(tmp_path / "in" / "a.wav"), _tone(tmp_path / "in" / "b.flac", 0.75)
    content = {
        "speaker": ["EDACC-C06-A", "EDACC-C06-B"],
        "text": ["HELLO", "BYE"],
        "accent": ["Scottish English", None],
        "audio": [{"bytes": one.read_bytes(), "path": None}, {"bytes": two.read_bytes(), "path": None}],
        "tokens": [[1], [2]],
    }
    features = datasets.Features(
        {name: datasets.Value("string") for name in ("speaker", "text", "accent")}
        | {"audio": {"bytes": datasets.Value("binary"), "path": datasets.Value("string")}}
        | {"tokens": [datasets.Value("int64")]}
    )
    dataset = datasets.Dataset.from_dict(content, features=features)
    dataset = dataset.cast_column("audio", datasets.Audio(decode=False))
    datasets.DatasetDict({"test": dataset}).save_to_disk(str(tmp_path / "saved"))
    result = import_corpus("hf", tmp_path / "saved", tmp_path / "out")
    manifest = read_manifest(result.card)
    expected = [
        ("test-0", "EDACC-C06-A", "HELLO", "Scottish English", 0.5),
        ("test-1", "EDACC-C06-B", "BYE", "not_stated", 0.75),
    ]
    assert expected == _rows(manifest, "utterance_id", "speaker_id", "reference", "accent", "duration_s")
    assert [one.read_bytes(), two.read_bytes()] == [Path(path).read_bytes() for path in manifest.table["audio"]]
    assert [] == _errors(manifest)
    with pytest.raises(InputError, match="no split 'train'"):
        import_corpus("hf", tmp_path / "saved", tmp_path / "other", options={"split": "train"})


def test_every_importer_says_what_it_expects(tmp_path: Path) -> None:
    """Each has a summary and a layout, and on an empty folder an error that a person can act upon."""
    from asrfair.data.corpora import find_importer

    (tmp_path / "empty").mkdir()
    for name in importer_names():
        importer = find_importer(name)
        assert importer.summary
        assert importer.layout
        with pytest.raises(InputError) as caught:
            import_corpus(name, tmp_path / "empty", tmp_path / "out")
        assert caught.value.remedy, name
    assert not (tmp_path / "out").exists()
