"""A pose: one value for each rig parameter at one instant, and the table that orders them."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dialogue.ticks import Ticks


@dataclass(frozen=True, slots=True)
class Parameter:
    """A named rig input, after Live2D's standard parameter list."""

    id: str
    """Such as "ParamAngleX"."""
    min: float
    """Lowest value."""
    max: float
    """Highest value."""
    default: float
    """Value at rest."""


VISEMES = (
    "sil", "PP", "FF", "TH", "DD", "kk", "CH", "SS", "nn", "RR", "aa", "E", "ih", "oh", "ou",
)  # fmt: skip
"""The 15 mouth shapes of OpenXR's XrFaceTrackingVisemeMETA, in its order."""

STANDARD = (
    Parameter("ParamAngleX", -30, 30, 0),  # head: + turns to the viewer's right
    Parameter("ParamAngleY", -30, 30, 0),  # head: + looks up
    Parameter("ParamAngleZ", -30, 30, 0),  # head: + leans to the viewer's right (clockwise)
    Parameter("ParamEyeLOpen", 0, 1.3, 1),  # the character's own left; 1.3 is wide open
    Parameter("ParamEyeROpen", 0, 1.3, 1),
    Parameter("ParamEyeLSmile", 0, 1, 0),  # 1: closed upward arc as eye shuts
    Parameter("ParamEyeRSmile", 0, 1, 0),
    Parameter("ParamEyeBallX", -1, 1, 0),  # + looks to the viewer's right
    Parameter("ParamEyeBallY", -1, 1, 0),  # + looks up
    Parameter("ParamBrowLY", -1, 1, 0),  # + raised
    Parameter("ParamBrowRY", -1, 1, 0),
    Parameter("ParamBrowLAngle", -1, 1, 0),  # + inner end up (sad), - inner end down (angry)
    Parameter("ParamBrowRAngle", -1, 1, 0),
    Parameter("ParamBrowLForm", -1, 1, 0),  # + arched, - flat
    Parameter("ParamBrowRForm", -1, 1, 0),
    Parameter("ParamMouthOpenY", 0, 1, 0),  # for rigs without viseme drawings
    Parameter("ParamMouthForm", -1, 1, 0),  # + corners up (smile), - down
    Parameter("ParamCheek", 0, 1, 0),  # blush
    Parameter("ParamCheekPuff", 0, 1, 0),  # cheeks blown up
    Parameter("ParamNose", -1, 1, 0),  # + wrinkled up
    Parameter("ParamBodyAngleX", -10, 10, 0),
    Parameter("ParamBodyAngleY", -10, 10, 0),
    Parameter("ParamBodyAngleZ", -10, 10, 0),
    Parameter("ParamBreath", 0, 1, 0),
    Parameter("ParamShoulderY", -1, 1, 0),  # + shrugged up
    Parameter("ParamArmLA", -1, 1, 0),  # own left arm: 0 rests low, +1 hand by the head, -1 back
    Parameter("ParamArmRA", -1, 1, 0),
    Parameter("ParamArmLB", -1, 1, 0),  # its forearm: + in, to the chest, the chin
    Parameter("ParamArmRB", -1, 1, 0),
    Parameter("ParamHandL", -1, 1, 0),  # wrist, the wave: + turns the hand to the viewer's right
    Parameter("ParamHandR", -1, 1, 0),
    Parameter("ParamHandLPoint", 0, 1, 0),  # shapes of the hand: a finger that points,
    Parameter("ParamHandRPoint", 0, 1, 0),
    Parameter("ParamHandLPeace", 0, 1, 0),  # two fingers up,
    Parameter("ParamHandRPeace", 0, 1, 0),
    Parameter("ParamHandLHeart", 0, 1, 0),  # half a heart,
    Parameter("ParamHandRHeart", 0, 1, 0),
    Parameter("ParamHandLOffer", 0, 1, 0),  # the palm up: this way, please,
    Parameter("ParamHandROffer", 0, 1, 0),
    Parameter("ParamHandLFold", 0, 1, 0),  # folded on the other hand,
    Parameter("ParamHandRFold", 0, 1, 0),
    Parameter("ParamHandLChin", 0, 1, 0),  # at the chin,
    Parameter("ParamHandRChin", 0, 1, 0),
    Parameter("ParamHandLMouth", 0, 1, 0),  # before the mouth; chosen by [[swap]] or [[fade]]
    Parameter("ParamHandRMouth", 0, 1, 0),
    Parameter("ParamPropR", 0, 1, 0),  # what the right hand holds: 1 is put down out of sight
    Parameter("ParamHat", -1, 1, 0),  # what lies on the head: + slips forward, - is lifted
    Parameter("ParamEarL", -1, 1, 0),  # animal ears: + perked, - laid back
    Parameter("ParamEarR", -1, 1, 0),
    Parameter("ParamTail", -1, 1, 0),  # + to the viewer's right
    *(Parameter(f"Viseme_{name}", 0, 1, float(name == "sil")) for name in VISEMES),
)
"""Parameters every host is driven with; a rig ignores those it has no art for. The viseme
weights sum to 1 (`Viseme_sil` takes the rest) and already hold loudness and coarticulation."""


class ParameterTable:
    """The order, ranges and defaults of the values in a pose."""

    def __init__(self, parameters: Iterable[Parameter] = STANDARD) -> None:
        self.parameters = tuple(parameters)
        self.index = {parameter.id: i for i, parameter in enumerate(self.parameters)}
        self.min = np.array([p.min for p in self.parameters], np.float32)
        self.max = np.array([p.max for p in self.parameters], np.float32)
        self.default = np.array([p.default for p in self.parameters], np.float32)

    def __len__(self) -> int:
        return len(self.parameters)


@dataclass(frozen=True, slots=True)
class Pose:
    """All parameter values at one instant."""

    pts: Ticks
    """Presentation time on the stage clock."""
    values: npt.NDArray[np.float32]
    """Shape (n_params,), in the order of the rig's `ParameterTable`, within its ranges."""
