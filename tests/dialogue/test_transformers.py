import sys
from pathlib import Path

import pytest

from dialogue.engines.transformers import TransformersModel, _source
from dialogue.plugins import EngineUnavailable


def test_without_torch_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(EngineUnavailable, match=r"pip install 'bunraku\[torch\]'"):
        TransformersModel(model="any")


def test_a_gguf_file_is_given_as_folder_and_file(tmp_path: Path) -> None:
    file = tmp_path / "m.gguf"
    file.write_bytes(b"GGUF")
    assert _source(str(file)) == (str(tmp_path), {"gguf_file": "m.gguf"})
    assert _source("Org/model") == ("Org/model", {})
    with pytest.raises(EngineUnavailable, match="no file"):
        _source(str(tmp_path / "none.gguf"))
