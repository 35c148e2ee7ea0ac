"""Draws the golden frames anew: `python -m tests.render.regenerate_golden`. Look at them."""

from pathlib import Path

import cv2
import numpy as np

from dialogue.ticks import TICKS_PER_S
from render.frames import Pixels
from render.puppet import PuppetRenderer

FOLDER = Path(__file__).parents[2] / "characters" / "kohaku"
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
"""Golden frame -> parameter values."""


def frames() -> dict[str, Pixels]:
    """Return the golden frames as drawn now, BGRA."""
    renderer = PuppetRenderer(FOLDER, width=SIZE[0], height=SIZE[1], scene="night_room")
    drawn = {}
    for i, (name, values) in enumerate(POSES.items()):
        out = np.zeros((SIZE[1], SIZE[0], 4), np.uint8)
        renderer.draw(renderer.pose(values, pts=i * 10 * TICKS_PER_S), out)
        drawn[name] = out
    return drawn


if __name__ == "__main__":
    GOLDEN.mkdir(exist_ok=True)
    for name, pixels in frames().items():
        cv2.imwrite(str(GOLDEN / f"{name}.png"), pixels[..., :3])
