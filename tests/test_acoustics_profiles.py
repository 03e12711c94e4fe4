"""Tests of ``asrfair.acoustics.profiles``: profile files, severities, names of conditions, fingerprints."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from acoustics_helpers import HEADER, condition, write_profile

from asrfair.acoustics import CLEAN_CONDITION, find_profile, list_profiles, parse_condition
from asrfair.acoustics.effects.noise import NoiseParams
from asrfair.acoustics.effects.parameters import Choice, Range, bounds, draw, number, text
from asrfair.acoustics.profiles import ProfileFile
from asrfair.acoustics.seeding import generator
from asrfair.errors import InputError

NOISE = '[[effect]]\nuse = "noise"\nsource = "pink"\nsnr_db = 10\n'
SEVERE = "[severity.near.noise]\nsnr_db = 20\n[severity.far.noise]\nsnr_db = 5\n"


def _profile(folder: Path, body: str, *, severity: str = "near", name: str = "place") -> Path:
    path = write_profile(folder, body, name=name)
    path.write_text(path.read_text().replace('source = "test"', f'source = "test"\nseverity = "{severity}"', 1))
    return path


def _snr(text_: str) -> float:
    params = parse_condition(text_).steps[0].params
    assert isinstance(params, NoiseParams)
    return number(params.snr_db)


# --- names of conditions ------------------------------------------------------------------------------------------


def test_clean_is_clean() -> None:
    """``clean`` has no profile and no steps."""
    assert CLEAN_CONDITION == parse_condition("clean")


def test_severities_and_changes_by_name(tmp_path: Path) -> None:
    """The default severity, a named one, an SNR, and single parameters."""
    path = _profile(tmp_path, NOISE + SEVERE)
    expected = [20.0, 5.0, 7.5, -5.0, 12.0, 12.0]
    suffixes = ["", "@far", "@snr=7.5", "@snr_db=-5", "@far,snr=12", "@noise.snr_db=12"]
    assert expected == [_snr(f"{path}{suffix}") for suffix in suffixes]


def test_names_of_conditions_say_what_was_asked(tmp_path: Path) -> None:
    """A path becomes the profile's name; what follows the @ stays."""
    path = _profile(tmp_path, NOISE + SEVERE)
    expected = ["place", "place@far", "place@far,snr=12"]
    assert expected == [parse_condition(f"{path}{s}").name for s in ("", "@far", "@far,snr=12")]


def test_own_folder_comes_before_the_shipped_one(tmp_path: Path) -> None:
    """A profile of the same name in the user's folder is the one that is used."""
    write_profile(tmp_path, NOISE, name="street")
    assert tmp_path / "street.toml" == find_profile("street", tmp_path)
    assert "noise_profiles" == find_profile("factory", tmp_path).parent.name
    found = parse_condition("street", profiles=tmp_path)
    assert "a test" == (found.profile.description if found.profile else "")


def test_a_file_and_its_profile_have_the_same_name(tmp_path: Path) -> None:
    """Found by name, a profile is the one that tables will show; by path it may be called anything."""
    write_profile(tmp_path, NOISE, name="other").rename(tmp_path / "lobby.toml")
    with pytest.raises(InputError, match="calls itself 'other'"):
        parse_condition("lobby", profiles=tmp_path)
    assert "other" == parse_condition(str(tmp_path / "lobby.toml")).name


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("imaging-flor", "Did you mean 'imaging-floor'"),
        ("imaging-floor@", "nothing follows"),
        ("imaging-floor@heavy", "no such severity"),
        ("imaging-floor@mild,severe", "two severities"),
        ("imaging-floor@snr=loud", "number of decibels"),
        ("imaging-floor@snr=1000", "between -40 and 100"),
        ("imaging-floor@noise.snr=5", "unknown key 'snr'"),
        ("imaging-floor@nose.snr_db=5", "Did you mean 'noise'"),
        ("voip-lossy@snr=5", "0 effects with an SNR"),
        ("nowhere/at-all.toml", "no such profile file"),
        ("../imaging-floor", "no such condition"),
        ("", "no such condition"),
        ("Imaging-Floor", "no such condition"),
        ("a\0b", "not a usable path"),
    ],
)
def test_wrong_names_are_refused_with_the_nearest(name: str, message: str) -> None:
    """Every mistake in a condition's name has its own sentence."""
    with pytest.raises(InputError) as caught:
        parse_condition(name)
    assert message in str(caught.value)


def test_two_noises_need_their_label(tmp_path: Path) -> None:
    """``snr=`` is refused where it could mean either of two noises."""
    second = NOISE.replace('use = "noise"', 'use = "noise"\nlabel = "second"')
    path = write_profile(tmp_path, NOISE + second)
    with pytest.raises(InputError, match=r"2 effects with an SNR.*noise, second"):
        parse_condition(f"{path}@snr=3")
    assert 3.0 == number(parse_condition(f"{path}@second.snr_db=3").steps[1].params.snr_db)  # type: ignore[attr-defined]


# --- the schema ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "line", "message"),
    [
        ("", None, "required key is missing"),
        ("[effect]\nuse = 'noise'", 7, "valid list"),
        ('[[effect]]\nuse = "nois"', 8, "Did you mean 'noise'"),
        ("[[effect]]\nlabel = 'x'", 7, "needs a 'use'"),
        (NOISE + NOISE, 12, "two effects are called 'noise'"),
        (NOISE.replace('use = "noise"', 'use = "noise"\nlabel = "a b"'), 9, "a label is"),
        (NOISE.replace("snr_db", "snr"), 10, "Did you mean 'snr_db'"),
        (NOISE.replace("10", "'loud'"), 10, "expected a number"),
        (NOISE.replace("10", "true"), 10, "expected a number"),
        (NOISE.replace("10", "nan"), 10, "must be finite"),
        (NOISE.replace("10", "1" + "0" * 400), 10, "too large"),
        (NOISE.replace("10", "[]"), 10, "choices is empty"),
        (NOISE.replace("10", "{ min = 5, max = 1 }"), 10, "min is larger"),
        (NOISE.replace("10", "{ min = 5 }"), 10, "a range is written"),
        (NOISE.replace("10", "{ min = -5, max = 1, scale = 'log' }"), 10, "above zero"),
        (NOISE.replace("10", "[0, 200]"), 10, "between -40 and 100"),
        (NOISE.replace("pink", "pnik"), 9, "Did you mean 'pink'"),
        (NOISE + "hz = 3", 11, "unknown key 'hz'"),
        (NOISE.replace('source = "pink"\n', ""), 7, "needs a source"),
        (NOISE + '[[effect.layer]]\nsource = "pink"', 9, "either one source or layers"),
        (NOISE.replace('source = "pink"\n', "") + "[[effect.layer]]\nlevel_db = 1", 10, "names no source"),
        (NOISE + "[severity.near.nose]\nsnr_db = 1", 2, "default"),
        (NOISE + "[severity]\nnear = 3", 12, "valid dictionary"),
        ("[[effect]]\nuse = 'band'\nlow_hz = 4000", 7, "low_hz must lie below high_hz"),
    ],
)  # fmt: skip
def test_mistakes_are_named_with_their_line(tmp_path: Path, body: str, line: int | None, message: str) -> None:
    """Every mistake in a file names the line and says what would be right."""
    with pytest.raises(InputError) as caught:
        condition(tmp_path, body)
    assert message in str(caught.value)
    if line is not None:
        assert line == caught.value.line


def test_mistakes_in_a_severity_name_it(tmp_path: Path) -> None:
    """A severity that nobody asked for is checked too."""
    path = _profile(tmp_path, NOISE + SEVERE.replace("5", "500"))
    with pytest.raises(InputError, match="severity 'far'"):
        parse_condition(f"{path}@near")
    path = _profile(tmp_path, NOISE + SEVERE + "[severity.far.nose]\nsnr_db = 3\n")
    with pytest.raises(InputError, match="Did you mean 'noise'"):
        parse_condition(f"{path}@near")
    path = _profile(tmp_path, NOISE + SEVERE + "[severity.odd.noise]\nuse = 'band'\n")
    with pytest.raises(InputError, match="not which effect"):
        parse_condition(f"{path}@near")


def test_a_profile_with_severities_needs_a_default(tmp_path: Path) -> None:
    """Which severity holds when none is named is written down, not guessed."""
    with pytest.raises(InputError, match='severity = "near"'):
        condition(tmp_path, NOISE + SEVERE)
    with pytest.raises(InputError, match="has no severities"):
        parse_condition(str(_profile(tmp_path, NOISE)))


@pytest.mark.parametrize("name", ["Street", "a b", "", "x" * 70, "-a", "é"])
def test_names_of_profiles_are_plain(tmp_path: Path, name: str) -> None:
    """A profile's name is fit for a file name, a table and a command line."""
    path = tmp_path / "p.toml"
    path.write_text(HEADER.format(name=name) + NOISE, encoding="utf-8")
    with pytest.raises(InputError, match=r"profile\.name"):
        parse_condition(str(path))


# --- draws --------------------------------------------------------------------------------------------------------


def test_ranges_and_choices_are_drawn_within_their_bounds(tmp_path: Path) -> None:
    """Numbers stay in the range, choices among the choices, over many utterances; every choice comes."""
    place = condition(
        tmp_path, '[[effect]]\nuse = "codec"\ncodec = ["mulaw", "gsm"]\n' + NOISE.replace("10", "{ min = 2, max = 4 }")
    )
    codecs, ratios = set(), []
    for i in range(60):
        seeded = _seeded(i)
        codecs.add(text(draw(place.steps[0].params, seeded, "draw").codec))
        ratios.append(number(draw(place.steps[1].params, seeded, "draw").snr_db))
    assert {"mulaw", "gsm"} == codecs
    assert 2 <= min(ratios) < 2.3
    assert 3.7 < max(ratios) <= 4


def _seeded(i: int):
    return lambda *purpose: generator(1, "place", str(i), *purpose)


def test_a_range_on_the_log_scale_has_its_median_in_the_geometric_middle() -> None:
    """Between 1 and 100 half of the draws lie below 10."""
    params = NoiseParams.model_construct(snr_db=Range(1, 100, log=True), layer=(), restore_level=None)
    drawn = [number(draw(params, _seeded(i)).snr_db) for i in range(400)]
    assert 10.0 == pytest.approx(float(np.median(drawn)), rel=0.25)


def test_fixing_one_parameter_leaves_the_others_draws() -> None:
    """Each parameter has dice of its own."""
    from asrfair.acoustics.effects.packet_loss import PacketLossParams

    free = PacketLossParams.model_validate({"loss": {"min": 0.01, "max": 0.1}, "burst_packets": {"min": 2, "max": 5}})
    fixed = PacketLossParams.model_validate({"loss": 0.05, "burst_packets": {"min": 2, "max": 5}})
    assert draw(free, _seeded(1)).burst_packets == draw(fixed, _seeded(1)).burst_packets


def test_bounds_of_numbers() -> None:
    """The smallest and the largest value that can come."""
    assert [(1.0, 1.0), (1.0, 3.0), (2.0, 5.0)] == [bounds(v) for v in (1.0, Choice((3.0, 1.0)), Range(2.0, 5.0))]


def test_an_undrawn_parameter_is_a_programming_error() -> None:
    """Reading a range as a number fails loudly."""
    with pytest.raises(TypeError):
        number(Range(1, 2))
    with pytest.raises(TypeError):
        text(Choice(("a", "b")))


# --- fingerprints -------------------------------------------------------------------------------------------------


def test_the_fingerprint_follows_what_decides_the_samples(tmp_path: Path) -> None:
    """Another number, file content or profile name changes it; a comment, description or key order does not."""
    soundfile.write(tmp_path / "n.wav", np.random.default_rng(0).standard_normal(16_000) * 0.1, 16_000)
    body = '[[effect]]\nuse = "noise"\nsource = "file"\nfile = "n.wav"\nsnr_db = 10\n'
    base = condition(tmp_path, body).fingerprint
    swapped = '[[effect]]\n# a comment\nsnr_db = 10\nuse = "noise"\nfile = "n.wav"\nsource = "file"\n'
    assert base == condition(tmp_path, swapped).fingerprint
    assert base != condition(tmp_path, body.replace("10", "11")).fingerprint
    assert base != condition(tmp_path, body, name="other").fingerprint
    soundfile.write(tmp_path / "n.wav", np.random.default_rng(1).standard_normal(16_000) * 0.1, 16_000)
    assert base != condition(tmp_path, body).fingerprint


def test_the_default_severity_is_the_same_condition_by_either_name() -> None:
    """``imaging-floor`` and ``imaging-floor@moderate`` differ in name only."""
    first, second = parse_condition("imaging-floor"), parse_condition("imaging-floor@moderate")
    assert first.fingerprint == second.fingerprint
    assert ("imaging-floor", "imaging-floor@moderate") == (first.name, second.name)


# --- the shipped library ------------------------------------------------------------------------------------------

NEEDED = {
    "imaging-floor", "ward-at-night", "operating-theatre", "call-centre", "car-highway", "car-city", "cafe-babble",
    "street", "kitchen-far-field", "meeting-room", "hands-free-office", "factory", "wind-outdoors",
    "telephone-narrowband", "mobile-gsm", "voip-lossy", "cheap-handset", "hearing-the-tv",
}  # fmt: skip


def test_the_library_has_the_places_that_were_promised() -> None:
    """At least the 18 of the issue ship."""
    assert NEEDED <= {path.stem for path in list_profiles()}


@pytest.mark.parametrize("path", list_profiles(), ids=lambda p: p.stem)
def test_every_shipped_profile_is_reasoned(path: Path) -> None:
    """Name, place, reasons, references, licence and three severities; no recording of anybody; no machine's path."""
    profile = ProfileFile(path).profile
    assert path.stem == profile.name
    assert ("mild", "moderate", "severe") == profile.severities
    assert "moderate" == profile.severity
    assert len(profile.reasons) > 150
    assert len(profile.place) > 20
    assert profile.references
    assert profile.licence
    prints = set()
    for severity in profile.severities:
        place = parse_condition(f"{path}@{severity}")
        prints.add(place.fingerprint)
        assert () == place.warnings
        assert not any(Path(file).exists() for step in place.steps for file in step.inspection.files)
    assert 3 == len(prints)


@pytest.mark.parametrize("path", list_profiles(), ids=lambda p: p.stem)
def test_severities_of_shipped_profiles_rise(path: Path) -> None:
    """Mild, moderate, severe: less signal over noise, or more loss, in that order."""
    values = []
    for severity in ("mild", "moderate", "severe"):
        row = {}
        for step in parse_condition(f"{path}@{severity}").steps:
            for key, sign in (("snr_db", -1), ("loss", 1), ("self_noise_db", -1), ("before_s", 1)):
                value = getattr(step.params, key, None)
                if value is not None:
                    row[key] = sign * number(value)
        values.append(row)
    keys = set(values[0]) & set(values[2])
    assert any(values[0][k] < values[1][k] < values[2][k] for k in keys)


# --- the documentation --------------------------------------------------------------------------------------------


def test_the_profile_in_the_documentation_is_one(repository: Path, tmp_path: Path) -> None:
    """docs/profiles.md's example parses at every severity and by every name that the page gives."""
    import re

    page = (repository / "docs" / "profiles.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```toml\n(.*?)```", page, flags=re.DOTALL)
    (tmp_path / "lobby.toml").write_text(example, encoding="utf-8")
    for suffix in ("", "@mild", "@severe", "@snr=5", "@severe,room.rt60_s=0.9"):
        assert f"lobby{suffix}" == parse_condition(f"lobby{suffix}", profiles=tmp_path).name


def test_the_documentation_names_every_source_and_parameter(repository: Path) -> None:
    """docs/conditions.md lists what the code takes, no more and no less."""
    import re

    from asrfair.acoustics.sources.base import SOURCES, source_of

    page = (repository / "docs" / "conditions.md").read_text(encoding="utf-8")
    table = page.split("## Sources of noise")[1].split("Every source has unit power")[0]
    rows = {}
    for line in table.splitlines():
        cells = line.split("|")
        if line.startswith("| `"):
            for name in re.findall(r"`(\w+)`", cells[1]):
                rows[name] = set(re.findall(r"`(\w+)`", cells[2]))
    expected = {name: set(source_of(name).params.model_fields) - {"source", "level_db"} for name in SOURCES}
    assert expected == rows


def test_the_documentation_names_every_shipped_profile(repository: Path) -> None:
    """The table of the library is complete."""
    page = (repository / "docs" / "profiles.md").read_text(encoding="utf-8")
    missing = [path.stem for path in list_profiles() if f"`{path.stem}`" not in page]
    assert [] == missing
    assert f"{len(list_profiles())} ship with asrfair" in page
