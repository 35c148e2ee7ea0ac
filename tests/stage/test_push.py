"""`--push` and `--screens` become sinks; what is wrong is said before the show begins."""

import argparse

import pytest

from dialogue.plugins import EngineUnavailable
from stage import doctor
from stage.commands import live
from stage.config import SinkTable


def sinks(*words: str) -> dict[str, SinkTable]:
    parser = argparse.ArgumentParser()
    live.add(parser)
    return dict(live._show(parser.parse_args(words)).sinks)


def test_each_address_is_a_sink_and_no_key_stands_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", "hush")
    monkeypatch.setenv(live.TOKEN, "also hush")
    made = sinks("--push", "rtmp://h/app/{MY_KEY}", "--push", "https://h/whip/{MY_KEY}")
    assert made == {
        "push": SinkTable("stream", {"url": "rtmp://h/app/{MY_KEY}"}),
        "push2": SinkTable("whip", {"url": "https://h/whip/{MY_KEY}", "token_env": live.TOKEN}),
    }


@pytest.mark.parametrize("url", ["rtmp://h/app/{NOT_SET_HERE}", "https://h/{NOT_SET_HERE}", "h/x"])
def test_a_stream_that_cannot_be_is_refused_at_once(url: str) -> None:
    with pytest.raises(EngineUnavailable, match=r"NOT_SET_HERE is not set|must begin with"):
        sinks("--push", url)


def test_the_doctor_names_the_protocols() -> None:
    found = doctor.streams()
    assert found[0].state == "ok"
    assert "rtmps" in found[0].text
    assert all(check.state == "ok" or "libsrt" in check.remedy for check in found)
