import shutil
from pathlib import Path

import numpy as np
import pytest

from avatar.pose import VISEMES, Pose
from avatar.puppet.puppet import Puppet
from avatar.puppet.svg import Points
from avatar.rig import CharacterError
from dialogue.ticks import TICKS_PER_S

FOLDER = Path(__file__).parents[2] / "characters" / "kohaku"

SLEEVES = ("sleeve_l", "sleeve_l_lining", "sleeve_r_up", "sleeve_r_lining_up")


@pytest.fixture(scope="module")
def puppet() -> Puppet:
    return Puppet(FOLDER)


def posed(puppet: Puppet, values: dict[str, float], at_s: float = 0.0) -> Points:
    """Return all points after one pose long after any other."""
    pose = puppet.table.default.copy()
    for name, value in values.items():
        pose[puppet.table.index[name]] = value
    puppet.move(Pose(round(at_s * TICKS_PER_S), pose))
    return puppet.exact()


def centre(puppet: Puppet, points: Points, group: str) -> Points:
    return points[puppet.indices(puppet.drawing.group(group))].mean(0)


def test_the_drawing_at_rest_is_the_drawing(puppet: Puppet) -> None:
    # Both hands are drawn raised, and the rig raises them a little higher, each as one piece.
    moved = posed(puppet, {"ParamArmLA": 0.9, "ParamArmRA": 0.9}) - puppet.drawing.points
    arms = {name: puppet.indices(puppet.drawing.group(name)) for name in ("hand_l", "hand_r_up")}
    for arm in arms.values():
        assert np.ptp(moved[arm], axis=0).max() < 0.01
        assert -200 < moved[arm][0, 1] < 0
    raised = (*SLEEVES, *arms, "hand_r_")
    shown = puppet.indices(
        [s for s in puppet.drawing.shapes
         if not s.hidden and not any(group.startswith(raised) for group in s.groups)]
    )  # fmt: skip
    assert np.abs(moved[shown]).max() < 0.01


def test_a_head_turn_leads_with_the_nose_and_leaves_the_back_hair(puppet: Puppet) -> None:
    rest, turned = posed(puppet, {}), posed(puppet, {"ParamAngleX": 30.0}, 10)

    def way(group: str) -> float:
        return float((centre(puppet, turned, group) - centre(puppet, rest, group))[0])

    assert way("nose") > way("eye_l_iris") > way("ear_l")
    assert way("fringe") > 30
    assert way("hair_back") < 0


def test_the_far_eye_narrows(puppet: Puppet) -> None:
    def width(points: Points, eye: str) -> float:
        return float(np.ptp(points[puppet.indices(puppet.drawing.group(eye))][:, 0]))

    rest, turned = posed(puppet, {}), posed(puppet, {"ParamAngleX": 30.0}, 10)
    assert width(turned, "eye_l") < 0.85 * width(rest, "eye_l")
    assert width(turned, "eye_r") > 0.98 * width(rest, "eye_r")


def test_signs_follow_the_table(puppet: Puppet) -> None:
    rest = posed(puppet, {"ParamArmLA": 0.9, "ParamArmRA": 0.9})
    for parameter, value, group, axis, sign in (
        ("ParamAngleY", 30.0, "nose", 1, -1),
        ("ParamAngleZ", 20.0, "hair_cap", 0, 1),
        ("ParamEyeBallX", 1.0, "eye_l_iris", 0, 1),
        ("ParamEyeBallY", 1.0, "eye_r_pupil", 1, -1),
        ("ParamBrowLY", 1.0, "brow_l", 1, -1),
        ("ParamBodyAngleX", 10.0, "hoodie", 0, 1),
        ("ParamBreath", 1.0, "hoodie", 1, -1),
        ("ParamShoulderY", 1.0, "sleeve_l_upper", 1, -1),
        ("ParamHandL", 1.0, "hand_l", 0, 1),
        ("ParamEarR", -1.0, "ear_r", 0, -1),
    ):
        way = centre(puppet, posed(puppet, {"ParamArmLA": 0.9, parameter: value}, 10), group)
        way = way - centre(puppet, rest, group)
        assert sign * way[axis] > 1, parameter


def outline(puppet: Puppet, points: Points, label: str) -> Points:
    shape = next(s for s in puppet.drawing.group("mouth") if s.label == label)
    return points[shape.start : shape.stop]


def test_lips_meet_at_pp_and_in_silence_only(puppet: Puppet) -> None:
    gap = {}
    for i, name in enumerate(VISEMES):
        values = {f"Viseme_{name}": 1.0, "Viseme_sil": float(name == "sil")}
        cavity = outline(puppet, posed(puppet, values, 10 * i), "cavity")
        x, y = cavity[:, 0], cavity[:, 1]
        # Area by the joints of the outline.
        gap[name] = abs(float(np.sum(x * np.roll(y, 1) - y * np.roll(x, 1)))) / 2
    assert max(gap["PP"], gap["sil"]) < 0.06 * gap["aa"], gap
    assert min(area for name, area in gap.items() if name not in ("PP", "sil")) > 4 * gap["PP"]


def test_visemes_blend_in_proportion(puppet: Puppet) -> None:
    shut = outline(puppet, posed(puppet, {}, 0), "lip_lower").copy()
    wide = outline(puppet, posed(puppet, {"Viseme_aa": 1.0, "Viseme_sil": 0}, 10), "lip_lower")
    half = outline(puppet, posed(puppet, {"Viseme_aa": 0.5, "Viseme_sil": 0.5}, 20), "lip_lower")
    assert np.allclose(half, (shut + wide) / 2, atol=0.01)


def test_smiling_raises_the_corners_and_frowning_lowers_them(puppet: Puppet) -> None:
    rest, smile, frown = (
        outline(puppet, posed(puppet, {"ParamMouthForm": form}, 10 * i), "lip_upper")[0, 1]
        for i, form in enumerate((0.0, 1.0, -1.0))
    )
    assert smile < rest - 4
    assert frown > rest + 4


def test_lids_move_without_a_jump(puppet: Puppet) -> None:
    lash = next(s for s in puppet.drawing.group("eye_l") if s.label == "lash_upper")
    heights = [
        posed(puppet, {"ParamEyeLOpen": i / 20}, 10 * i)[lash.start : lash.stop, 1].min()
        for i in range(27)
    ]
    steps = -np.diff(heights)
    assert (steps > 0).all()
    assert steps.max() < 3 * steps.min() + 5


def test_springs_are_late_and_come_to_rest(puppet: Puppet) -> None:
    def tip(values: dict[str, float], at_s: float) -> float:
        return float(centre(puppet, posed(puppet, values, at_s), "ponytail_4")[0])

    still = tip({}, 1000)
    there = {"ParamAngleZ": 15.0}
    settled = tip(there, 1010)
    assert tip({}, 1020) == pytest.approx(still, abs=0.01)
    moving = [tip(there, 1020 + i / 30) for i in range(1, 200)]
    assert abs(moving[0] - settled) > 3
    assert moving[-1] == pytest.approx(settled, abs=1.0)


def test_springs_step_alike_at_any_frame_rate() -> None:
    def end(fps: int) -> Points:
        puppet = Puppet(FOLDER)
        for i in range(2 * fps + 1):
            t = i / fps
            p = posed(puppet, {"ParamAngleX": 20 * min(1.0, t)}, t)
        return p

    assert np.abs(end(60) - end(30)).max() < 1.5


def test_parts_never_tear(puppet: Puppet) -> None:
    # Pairs of layers and a place where they touch: both must carry it alike.
    rng = np.random.default_rng(5)
    near = []
    for first, second, place in (
        ("hair_tie", "ponytail_3", (562, 345)),
        ("face", "neck", (818, 780)),
        ("neck", "hood", (740, 830)),
        ("hair_cap", "ear_l", (985, 262)),
    ):
        pair = []
        for group in (first, second):
            where = np.array(puppet.indices(puppet.drawing.group(group)))
            far = np.hypot(*(puppet.drawing.points[where] - place).T)
            pair.append(where[np.argsort(far)[:6]])
        near.append((first, second, *pair))
    rest = posed(puppet, {"ParamBreath": 0.0}, 5000)
    head = ["ParamAngleX", "ParamAngleY", "ParamAngleZ", "ParamBodyAngleX", "ParamBodyAngleZ"]
    for k in range(12):
        values = {
            name: float(rng.uniform(-0.7, 0.7) * puppet.table.max[puppet.table.index[name]])
            for name in head
        }
        p = posed(puppet, values, 5010 + 10 * k)
        for first, second, a, b in near:
            before = rest[a].mean(0) - rest[b].mean(0)
            after = p[a].mean(0) - p[b].mean(0)
            assert np.abs(after - before).max() < 34, (first, second, values)


def test_fades_and_a_swap_of_one_group_multiply(tmp_path: Path) -> None:
    folder = shutil.copytree(FOLDER, tmp_path / "host")
    fades = "".join(
        f'[[fade]]\ngroups = ["hand_l_point"]\nparameter = "{name}"\nkeys = [[0, 0], [1, 1]]\n'
        for name in ("ParamArmLA", "ParamCheek")
    )
    rig = (folder / "rig.toml").read_text("utf-8")
    (folder / "rig.toml").write_text(rig + fades, "utf-8")
    puppet = Puppet(folder)
    posed(puppet, {"ParamHandLPoint": 1.0, "ParamArmLA": 0.5, "ParamCheek": 0.5})
    assert puppet.fades()["hand_l_point"] == pytest.approx(0.25)
    posed(puppet, {"ParamHandLPeace": 1.0, "ParamArmLA": 0.5, "ParamCheek": 0.5}, 10)
    assert puppet.fades()["hand_l_point"] == 0.0


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('name = "hood_back"', 'name = "hod_back"', r"rig.toml:\d+: puppet.svg has no group 'hod"),
        (
            "depth = -75.0",
            "dept = -75.0",
            r"rig.toml:\d+: \[\[layer\]\] has no key 'dept'; did you mean depth",
        ),
        ('parameter = "ParamHandL"', 'parameter = "ParamHand"', "no parameter is called 'ParamH"),
        ('Viseme_FF = "mouth_FF"', 'Viseme_FF = "mouth_F"', "has no group 'mouth_F'"),
        (
            'layers = ["bell"]',
            'layers = ["bells"]',
            r"spring 'bell' swings layer 'bells', .* mean bell\?",
        ),
        ('layers = ["bell"]', "layers = []", r"rig.toml:\d+: spring 'bell' names no layers"),
        (
            "turn_deg = 24.0",
            'turn_deg = "far"',
            r"rig.toml:\d+: \[head\] turn_deg: Expected `float`",
        ),
        ("[head]", "[heads]", "the rig has no key 'heads'; did you mean head"),
        ("turn_deg = 24.0", "", r"\[head\] has no turn_deg; write turn_deg"),
        ("limit = 30.0", "limit = 0", r"\[\[spring\]\] limit: Expected .* > 0"),
        ("keys = [[-1.0, -1.0], [1.0, 1.0]]", "keys = []", r"\[\[slide\]\] keys: .* length >= 1"),
        ("[rest]", "[rest", r"rig.toml:\d+: not TOML"),
        (
            "ParamCheek = 0.35",
            "ParamCheeck = 0.35",
            r"rig.toml:\d+: no parameter is called .*ParamCheek\?",
        ),
    ],
)
def test_a_broken_rig_is_named_with_its_line(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    folder = tmp_path / "kohaku"
    folder.mkdir()
    shutil.copy(FOLDER / "puppet.svg", folder)
    text = (FOLDER / "rig.toml").read_text()
    assert old in text
    (folder / "rig.toml").write_text(text.replace(old, new))
    with pytest.raises(CharacterError, match=message):
        Puppet(folder)


def test_unequal_nodes_name_both_drawings(tmp_path: Path) -> None:
    folder = tmp_path / "kohaku"
    folder.mkdir()
    shutil.copy(FOLDER / "rig.toml", folder)
    text = (FOLDER / "puppet.svg").read_text()
    start = text.index('id="mouth_aa"')
    path = text.index(' d="M', start)
    end = text.index("C", path)
    (folder / "puppet.svg").write_text(text[:end] + "L800 700" + text[end:])
    with pytest.raises(CharacterError, match=r"'cavity' has 12 nodes in mouth_aa \(line \d+ of"):
        Puppet(folder)


def _host(tmp_path: Path, old: str, new: str) -> Path:
    folder = Path(shutil.copytree(FOLDER, tmp_path / "host"))
    text = (folder / "puppet.svg").read_text("utf-8")
    assert old in text
    (folder / "puppet.svg").write_text(text.replace(old, new, 1), "utf-8")
    return folder


GLASSES = '<g id="layer1" inkscape:groupmode="layer" inkscape:label="my glasses">'


def test_a_layer_that_inkscape_named_is_told_with_its_label(tmp_path: Path) -> None:
    folder = _host(tmp_path, "</svg>", f'{GLASSES}<path d="M0 0L9 9L9 0Z" /></g></svg>')
    with pytest.raises(CharacterError, match=r'"my glasses" \(id layer1\).*id to my_glasses in'):
        Puppet(folder)
    rig = (folder / "rig.toml").read_text("utf-8")
    (folder / "rig.toml").write_text(rig + '\n[[layer]]\nname = "my_glasses"\n', "utf-8")
    faults: list[CharacterError] = []
    with pytest.raises(CharacterError, match=r'labelled "my glasses" has the id layer1 \(line'):
        Puppet(folder, faults=faults)
    assert faults == []


def test_all_layers_that_do_not_fit_are_told_at_once(tmp_path: Path) -> None:
    folder = _host(tmp_path, '<g id="bell"', '<g style="display:none" id="bell"')
    rig = (folder / "rig.toml").read_text("utf-8")
    rig = rig.replace('name = "nose"', 'name = "noze"', 1)
    rig += '\n[[layer]]\nname = "eye_l_iris"\n'
    (folder / "rig.toml").write_text(rig, "utf-8")
    faults: list[CharacterError] = []
    with pytest.raises(CharacterError) as first:
        Puppet(folder, faults=faults)
    told = [str(fault) for fault in (first.value, *faults)]
    assert len(told) == 4
    for words in ("'bell' is hidden", "no group 'noze'", "inside 'eye_l'", "layer 'nose' is not"):
        assert sum(words in each for each in told) == 1, told


def test_a_curve_made_straight_is_told_as_such(tmp_path: Path) -> None:
    text = (FOLDER / "puppet.svg").read_text("utf-8")
    start = text.index("C", text.index(' d="M', text.index('id="mouth_aa"')))
    end = text.index("C", start + 1)
    straight = "L" + " ".join(text[start + 1 : end].split()[-2:])
    folder = tmp_path / "host"
    shutil.copytree(FOLDER, folder)
    (folder / "puppet.svg").write_text(text[:start] + straight + text[end:], "utf-8")
    with pytest.raises(CharacterError, match=r"1st segment is a line in mouth_aa .* again"):
        Puppet(folder)
