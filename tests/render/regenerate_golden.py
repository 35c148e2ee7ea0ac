"""Draws the golden frames anew: `python -m tests.render.regenerate_golden`. Look at them."""

from functools import cache
from pathlib import Path

import cv2
import numpy as np

from dialogue.ticks import TICKS_PER_S
from render.frames import Pixels
from render.puppet import PuppetRenderer

HOSTS = Path(__file__).parents[2] / "characters"
FOLDER = HOSTS / "kohaku"
GOLDEN = Path(__file__).parent / "golden"
SIZE = (160, 90)
POSES: dict[str, dict[str, float]] = {
    "rest": {},
    "aa": {"Viseme_aa": 1.0},
    "closed_eyes_smile": {
        "ParamEyeLOpen": 0.0, "ParamEyeROpen": 0.0, "ParamEyeLSmile": 1.0, "ParamEyeRSmile": 1.0,
        "ParamMouthForm": 1.0, "ParamCheek": 1.0,
    },
    "turned": {"ParamAngleX": 28.0, "ParamAngleY": -10.0, "ParamEyeBallX": 0.8},
    "tilted": {"ParamAngleZ": -18.0, "ParamAngleX": -15.0, "Viseme_ou": 1.0},
    "wave": {"ParamArmLA": 1.0, "ParamHandL": 0.8, "ParamBodyAngleZ": 6.0, "ParamShoulderY": 0.5},
}  # fmt: skip
"""Golden frame of Kohaku -> parameter values."""
OTHERS: dict[str, tuple[str, dict[str, dict[str, float]]]] = {
    "sumire": (
        "gallery",
        {
            "rest": {},
            "bow": {"ParamAngleY": -22.0, "ParamBodyAngleY": -8.0, "ParamEyeLOpen": 0.0,
                    "ParamEyeROpen": 0.0, "ParamArmLA": -1.0, "ParamArmRA": -1.0,
                    "ParamHandLFold": 1.0, "ParamHandRFold": 1.0},
            "shows": {"ParamArmLA": 0.9, "ParamHandLOffer": 1.0, "ParamAngleX": 24.0,
                      "Viseme_ih": 1.0},
            "laughs": {"ParamArmRA": 0.9, "ParamHandRMouth": 1.0, "ParamAngleZ": 6.0,
                       "ParamEyeLOpen": 0.0, "ParamEyeROpen": 0.0, "ParamEyeLSmile": 1.0,
                       "ParamEyeRSmile": 1.0},
            "points": {"ParamArmLA": 0.9, "ParamHandLPoint": 1.0, "ParamArmRA": 0.9},
        },
    ),
    "pon": (
        "tea_house",
        {
            "rest": {},
            "laughs": {"ParamEyeLOpen": 0.0, "ParamEyeROpen": 0.0, "ParamEyeLSmile": 1.0,
                       "ParamEyeRSmile": 1.0, "Viseme_aa": 1.0, "ParamAngleZ": -12.0},
            "waves": {"ParamArmLA": 1.0, "ParamHandL": -0.6, "ParamAngleX": -26.0,
                      "Viseme_oh": 1.0, "ParamEarL": -1.0},
        },
    ),
}  # fmt: skip
"""Host -> scene, and golden frame -> parameter values."""
CASES: dict[str, tuple[str, str, dict[str, float]]] = {
    **{name: ("kohaku", "night_room", values) for name, values in POSES.items()},
    **{
        f"{host}_{name}": (host, scene, values)
        for host, (scene, poses) in OTHERS.items() for name, values in poses.items()
    },
}  # fmt: skip
"""Golden frame -> host, scene, parameter values."""


@cache
def frames(host: str) -> dict[str, Pixels]:
    """Return the golden frames of `host` as drawn now, BGRA."""
    own = {name: case for name, case in CASES.items() if case[0] == host}
    scene = next(iter(own.values()))[1]
    renderer = PuppetRenderer(HOSTS / host, width=SIZE[0], height=SIZE[1], scene=scene)
    drawn = {}
    for i, (name, (_, _, values)) in enumerate(own.items()):
        out = np.zeros((SIZE[1], SIZE[0], 4), np.uint8)
        renderer.draw(renderer.pose(values, pts=i * 10 * TICKS_PER_S), out)
        drawn[name] = out
    return drawn


if __name__ == "__main__":
    GOLDEN.mkdir(exist_ok=True)
    for host in ("kohaku", *OTHERS):
        for name, pixels in frames(host).items():
            cv2.imwrite(str(GOLDEN / f"{name}.png"), pixels[..., :3])
