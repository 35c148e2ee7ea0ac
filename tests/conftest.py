"""Fixtures of every test: real models from the shared store, nothing of the user's own."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

from stage.models.store import ModelError, ModelStore

_SECRETS = ("OPENAI_API_KEY", "HF_TOKEN")


@pytest.fixture(scope="session")
def models() -> Callable[[str], Path]:
    """Return a function from a catalogue name to its path; a missing model fails the test."""
    store = ModelStore()

    def path(name: str) -> Path:
        try:
            return store.path(name)
        except ModelError as error:
            pytest.fail(f"{error} (or: make setup)", pytrace=False)

    return path


@pytest.fixture(autouse=True)
def _isolated(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Hide the user's configuration and keys; the model cache stays the shared one."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.getbasetemp() / "config"))
    for name in [*_SECRETS, *(key for key in os.environ if key.startswith("BUNRAKU_"))]:
        if name not in ("BUNRAKU_CACHE", "BUNRAKU_DEBUG"):
            monkeypatch.delenv(name, raising=False)


# Times belong to the bench: a slow machine must not fail a property test.
settings.register_profile("house", deadline=None)
settings.load_profile("house")
