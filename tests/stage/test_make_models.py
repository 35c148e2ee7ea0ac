"""The language models of a show, as its settings name them."""

from collections.abc import Mapping
from typing import Any, ClassVar

import pytest

from stage.config import LLM, CaptionsTable, Show
from stage.engines import make_models


class Slotted:
    """Has a number of prefixes that it holds."""

    needs: ClassVar[Mapping[str, str]] = {}

    def __init__(self, *, slots: int = 3) -> None:
        self.slots = slots


@pytest.mark.parametrize(
    ("translate", "options", "slots"),
    [("", {}, 3), ("en", {}, 4), ("en", {"slots": 2}, 2)],
)
def test_translations_have_a_prefix_of_their_own_unless_the_show_says_how_many(
    translate: str, options: dict[str, Any], slots: int
) -> None:
    llm = LLM(engine="tests.stage.test_make_models:Slotted", options=options)
    (model,) = make_models(Show(llm=llm, captions=CaptionsTable(translate=translate)))
    assert isinstance(model, Slotted)
    assert model.slots == slots
