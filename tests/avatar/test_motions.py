from pathlib import Path

import pytest

from avatar.motions import POSTURES, read_motions
from avatar.pose import ParameterTable
from avatar.puppet.rigfile import RigFile
from avatar.rig import CharacterError
from dialogue.ticks import TICKS_PER_S

TABLE = ParameterTable()
HOSTS = Path(__file__).parents[2] / "characters"
KOHAKU = HOSTS / "kohaku" / "motions"
EXPRESSIONS = set("neutral happy amused surprised sad annoyed shy thinking".split())
GESTURES = set(
    "wave nod shake tilt bow laugh shrug point cheer think clap look_at_chat".split()
)  # fmt: skip


def write(folder: Path, name: str, text: str) -> Path:
    (folder / name).write_text(text, "utf-8")
    return folder


@pytest.mark.parametrize("folder", [None, KOHAKU])
def test_all_promised_expressions_and_gestures_are_there(folder: Path | None) -> None:
    motions = read_motions(folder, TABLE)
    assert set(motions.expressions) >= EXPRESSIONS
    assert set(motions.gestures) >= GESTURES
    assert set(motions.postures) <= set(POSTURES)
    for gesture in motions.gestures.values():
        assert 0.3 * TICKS_PER_S < gesture.length < 4 * TICKS_PER_S
        for curve in gesture.curves.values():
            assert curve.value(0) == 0
            assert abs(curve.value(gesture.length)) < 1e-9


@pytest.mark.parametrize("host", ["kohaku", "pon"])
def test_every_offset_fits_its_parameter(host: str) -> None:
    motions = read_motions(HOSTS / host / "motions", TABLE)
    rest = RigFile(HOSTS / host / "rig.toml").spec.rest
    for entry in (*motions.expressions.values(), *motions.postures.values()):
        for name, offset in entry.offsets.items():
            i = TABLE.index[name]
            assert (
                TABLE.min[i] - 1e-6
                <= rest.get(name, TABLE.default[i]) + offset
                <= TABLE.max[i] + 1e-6
            )
    for gesture in motions.gestures.values():
        for name, curve in gesture.curves.items():
            i = TABLE.index[name]
            for at in range(0, gesture.length, 480):
                value = rest.get(name, TABLE.default[i]) + curve.value(at)
                assert TABLE.min[i] - 1e-6 <= value <= TABLE.max[i] + 1e-6, (gesture.name, name)


def test_a_character_overrides_by_name_and_adds_its_own(tmp_path: Path) -> None:
    write(tmp_path, "expressions.toml", "[happy]\nParamCheek = 0.5\n[smug]\nalso = ['hehe']\n")
    motions = read_motions(tmp_path, TABLE)
    assert dict(motions.expressions["happy"].offsets) == {"ParamCheek": 0.5}
    assert motions.resolve("hehe") == "smug"
    assert motions.resolve("smile") == "happy"
    assert (
        motions.expressions["sad"].offsets == read_motions(None, TABLE).expressions["sad"].offsets
    )


@pytest.mark.parametrize(
    ("name", "text", "line", "words"),
    [
        ("expressions.toml", "[happy]\nParamMouthFrom = 1\n", 2, "did you mean ParamMouthForm"),
        ("expressions.toml", "[happy]\nViseme_sil = 1\n", 2, "the voice moves this"),
        ("expressions.toml", "[happy]\nParamMouthOpenY = 1\n", 2, "the voice moves this"),
        ("expressions.toml", "[happy]\nViseme_aa = 0.7\nViseme_oh = 0.6\n", 1, "no shares"),
        ("postures.toml", "[speaking]\nViseme_aa = 1\n", 2, "the voice moves this"),
        ("expressions.toml", "[happy]\nParamCheek = 'x'\n", 2, "is no number"),
        ("expressions.toml", "[happy]\nease_s = -1\n", 2, "is no length of time"),
        ("expressions.toml", "[happy]\nalso = 'joy'\n", 2, "list of names"),
        ("expressions.toml", "happy = 1\n", 1, "stands outside a table"),
        ("expressions.toml", "[happy\n", 1, "not TOML"),
        ("gestures.toml", "[hop]\n", 1, "moves nothing"),
        ("gestures.toml", "[hop]\nParamAngleX = 3\n", 2, "is no curve"),
        ("gestures.toml", "[hop]\nParamAngleX = [[0, 0], [1, 5], [1, 0]]\n", 2, "must rise"),
        ("gestures.toml", "[hop]\nParamAngleX = [[0, 0], [1, 5], [2, 1]]\n", 2, "at rest"),
        ("gestures.toml",
         "[hop]\nface = 'x'\nParamAngleX = [[0, 0], [1, 5], [2, 0]]\n", 2, "no expression"),
        ("gestures.toml",
         "[hop]\nidle_every_s = 3\nParamAngleX = [[0, 0], [1, 5], [2, 0]]\n", 2, "is no range"),
        ("gestures.toml",
         "[hop]\ntalk_every_s = [9, 3]\nParamAngleX = [[0, 0], [1, 5], [2, 0]]\n", 2, "no range"),
        ("postures.toml", "[flying]\nParamAngleX = 3\n", 1, "no such state"),
        ("moves.toml", "[hop]\n", None, "none of our motion files"),
    ],
)  # fmt: skip
def test_a_broken_file_is_named_with_its_line_and_the_remedy(
    tmp_path: Path, name: str, text: str, line: int | None, words: str
) -> None:
    with pytest.raises(CharacterError, match=words) as error:
        read_motions(write(tmp_path, name, text), TABLE)
    assert error.value.line == line
    assert name in str(error.value)
    assert "\n" not in str(error.value)
