"""The rig of a character: what has no art, what leaks, what never rests."""

from pathlib import Path

import numpy as np

from avatar.motions import read_motions
from avatar.pose import STANDARD, ParameterTable, Pose
from avatar.puppet.puppet import Puppet
from avatar.puppet.springs import Springs
from avatar.rig import CharacterError
from dialogue.ticks import TICKS_PER_S
from stage.checks.finding import Finding

NEEDED = (
    "ParamAngleX", "ParamAngleY", "ParamAngleZ", "ParamEyeLOpen", "ParamEyeROpen", "ParamEyeBallX",
    "ParamEyeBallY", "ParamBrowLY", "ParamBrowRY", "ParamMouthForm", "ParamBodyAngleX",
    "ParamBodyAngleZ", "ParamBreath",
)  # fmt: skip
"""Parameters without which a host looks dead; every viseme but `sil` besides."""
STILL = 0.3
"""Nothing that moves less than this many units of the drawing is moved."""
REST_S = 8.0
"""A spring that still swings by a hundredth after this long is no cloth and no hair."""


def look_at_rig(puppet: Puppet, *, whole: bool) -> list[Finding]:
    """Return what is wrong with the rig.

    Args:
        puppet: what it is.
        whole: the puppet has no faults and can be moved.
    """
    found = _leaks(puppet) + _restless(puppet)
    if whole:
        found += _without_art(puppet)
    return found


def _without_art(puppet: Puppet) -> list[Finding]:
    still = []
    step = 0

    def posed(name: str, value: float) -> tuple[np.ndarray, np.ndarray, dict[str, float]]:
        nonlocal step
        step += 10 * TICKS_PER_S  # so far apart that the springs settle
        values = puppet.table.default.copy()
        if name.startswith("Viseme_"):
            values[puppet.table.index["Viseme_sil"]] = 1.0 - value
        values[puppet.table.index[name]] = value
        puppet.move(Pose(step, values))
        return puppet.points.copy(), puppet.mesh.copy(), puppet.fades()

    for parameter in STANDARD:
        if parameter.id == "Viseme_sil":
            continue
        low, high = posed(parameter.id, parameter.min), posed(parameter.id, parameter.max)
        moved = max(float(np.abs(a - b).max()) for a, b in zip(low[:2], high[:2], strict=True))
        if moved < STILL and low[2] == high[2]:
            still.append(parameter.id)
    # A picture may stand in for several mouths, also the one at rest; the shape of a hand is seen
    # when the arm is raised.
    shown = {name for swap in puppet.spec.swap for names in swap.groups.values() for name in names}
    shown |= {fade.parameter for fade in puppet.spec.fade}
    still = [name for name in still if name not in shown]
    needed = {*NEEDED, *(p.id for p in STANDARD if p.id.startswith("Viseme_"))}
    file = puppet.file.file
    found = [
        Finding(
            "error" if name.startswith("Viseme_") else "warning", file, None,
            f"nothing moves by {name}", _remedy(name),
        )
        for name in still if name in needed
    ]  # fmt: skip
    asked = _asked_for(file.parent / "motions") - needed
    if rest := [name for name in still if name in asked]:
        found.append(
            Finding(
                "note", file, None, f"nothing moves by {', '.join(rest)}",
                "gestures that use them show less; add [[turn]], [[slide]] or [[keyform]]",
            )
        )  # fmt: skip
    return found


def _asked_for(folder: Path) -> set[str]:
    """Return the parameters that expressions, gestures and postures use."""
    try:
        motions = read_motions(folder, ParameterTable())
    except CharacterError:  # told with the texts
        return set()
    faces = [*motions.expressions.values(), *motions.postures.values()]
    return {
        *(name for face in faces for name in face.offsets),
        *(name for gesture in motions.gestures.values() for name in gesture.curves),
    }


def _remedy(name: str) -> str:
    if name.startswith("Viseme_"):
        return f"draw that mouth and name it under by in the mouth's [[keyform]]: {name} = ..."
    if name.startswith("ParamAngle"):
        return "give the head's layers head = 1.0 and a depth, and check [head]"
    if name.startswith("ParamEye") and name.endswith("Open"):
        return "draw the shut eye and add a [[keyform]] with this parameter as an axis"
    return "add a [[slide]], [[turn]] or [[keyform]] by it"


def _leaks(puppet: Puppet) -> list[Finding]:
    """Find clip paths that stay behind when what they clip changes its shape."""
    found = []
    formed = {index for form in puppet.keyforms for index in form.indices}
    told = set()
    drawing = puppet.drawing
    for layer in puppet.layers:
        if not layer.spec.live or not formed.intersection(puppet.indices(layer.shapes)):
            continue
        for shape in layer.shapes:
            for name in shape.clips:
                outlines = drawing.clips[name]
                follows = any(
                    formed.intersection(range(o.start, o.stop)) for o in outlines if not o.hidden
                )
                if name in told or follows:
                    continue
                told.add(name)
                found.append(
                    Finding(
                        "warning", drawing.file, outlines[0].line if outlines else shape.line,
                        f"clip path {name!r} does not follow {layer.spec.name!r} when it changes "
                        "shape: what it clips will leak",
                        f"put <use href='#ID'/> of the path that is the edge into {name!r}",
                    )
                )  # fmt: skip
    return found


def _restless(puppet: Puppet) -> list[Finding]:
    specs = puppet.spec.spring
    if not specs:
        return []
    springs = Springs(specs)
    kick = np.array([[s.limit, 0.0] for s in specs])
    goal = np.zeros((len(specs), 2))
    springs.advance(0, goal - kick)
    frame = TICKS_PER_S // 60
    away = np.zeros(len(specs))
    for i in range(1, int((REST_S + 1) * 60)):
        shown = springs.advance(i * frame, goal)
        if i > REST_S * 60:
            away = np.maximum(away, np.abs(shown - goal).max(1))
    return [
        Finding(
            "warning", puppet.file.file, puppet.file.table_line("spring", i),
            f"spring {spec.name!r} still swings {away[i]:.1f} units after {REST_S:.0f} s",
            "raise its damping (0.2 is lively) or its frequency_hz",
        )
        for i, spec in enumerate(specs)
        if not away[i] < max(0.01 * spec.limit, STILL)
    ]  # fmt: skip
