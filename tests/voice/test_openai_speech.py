"""The generic speech endpoint, against a server on the loopback."""

from collections.abc import Iterator

import numpy as np
import pytest

from dialogue.plugins import EngineError, EngineUnavailable
from tests.fake_speech_server import CHAR_S, SpeechServer, speech_server
from voice.engines.openai_speech import OpenAISpeechVoice
from voice.speech import Phrase, Samples
from voice.text import normalise

LINE = Phrase(normalise("hello out there", "en"), "en")


@pytest.fixture
def server() -> Iterator[SpeechServer]:
    with speech_server() as running:
        yield running


def voice(server: SpeechServer, **options: object) -> OpenAISpeechVoice:
    settings = {"base_url": server.base_url, "key_env": "", "timeout_s": 5.0, **options}
    return OpenAISpeechVoice(**settings)  # type: ignore[arg-type]


def say(engine: OpenAISpeechVoice, phrase: Phrase = LINE) -> Samples:
    return np.concatenate([piece.samples for piece in engine.synthesize(phrase)])


@pytest.mark.parametrize("kind", ["pcm", "wav"])
def test_every_sample_arrives_though_the_network_cuts_them_in_two(
    server: SpeechServer, kind: str
) -> None:
    sound = say(voice(server, format=kind))
    assert len(sound) == len(LINE.text) * round(CHAR_S * 24_000)
    assert 0.35 < np.abs(sound).max() < 0.45
    assert np.abs(np.diff(sound)).max() < 0.05


def test_the_first_sound_is_there_before_the_server_has_made_the_rest(
    server: SpeechServer,
) -> None:
    server.hold.clear()
    pieces = voice(server).synthesize(LINE)
    assert len(next(iter(pieces)).samples) > 0
    server.hold.set()


def test_what_is_asked_for_is_in_the_published_form(
    server: SpeechServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_KEY", "s3cret")
    engine = voice(
        server, key_env="MY_KEY", model="m", voice={"en": "ann", "zh": "li"}, speed=1.5,
        instructions="warmly",
    )  # fmt: skip
    say(engine)
    say(engine, Phrase(normalise("你好", "zh"), "zh", 2.0))
    assert server.keys == ["Bearer s3cret"] * 2
    assert server.requests[0] == {
        "path": "/v1/audio/speech", "model": "m", "input": "hello out there", "voice": "ann",
        "response_format": "pcm", "speed": 1.5, "instructions": "warmly",
    }  # fmt: skip
    assert server.requests[1]["voice"] == "li"
    assert server.requests[1]["speed"] == 3.0


def test_a_passing_failure_is_tried_once_more(server: SpeechServer) -> None:
    server.refusals = [(503, {}, {})]
    assert len(say(voice(server))) > 0
    assert len(server.requests) == 2


def test_a_refusal_is_one_line_with_the_server_s_words(server: SpeechServer) -> None:
    server.refusals = [(401, {}, {"error": {"message": "Incorrect\nAPI key"}})]
    with pytest.raises(EngineError, match="401 Incorrect API key; check the key"):
        say(voice(server))
    assert len(server.requests) == 1


def test_a_server_that_asks_for_time_gets_it(server: SpeechServer) -> None:
    server.refusals = [(429, {"Retry-After": "7"}, {"detail": "slow down"})]
    with pytest.raises(EngineError, match="slow down") as caught:
        say(voice(server))
    assert caught.value.retry_after_s == 7.0
    assert len(server.requests) == 1


def test_a_cut_connection_is_an_error_after_the_sound_before_it(server: SpeechServer) -> None:
    server.break_after = 9000
    heard = 0
    stream = voice(server).synthesize(LINE)
    heard += len(next(iter(stream)).samples)
    with pytest.raises(EngineError, match="broke off"):
        list(stream)
    assert heard > 0


def test_a_silent_server_times_out(server: SpeechServer) -> None:
    server.hold.clear()
    with pytest.raises(EngineError, match="no answer in time"):
        say(voice(server, timeout_s=0.2))


def test_nobody_there_is_one_line() -> None:
    engine = OpenAISpeechVoice(base_url="http://127.0.0.1:9/v1", key_env="")
    with pytest.raises(EngineError, match=r"openai-speech \(127.0.0.1:9\) is not reachable"):
        say(engine)


def test_another_rate_in_the_file_names_the_remedy(server: SpeechServer) -> None:
    server.rate = 22_050
    with pytest.raises(EngineError, match="set sample_rate = 22050"):
        say(voice(server, format="wav"))


@pytest.mark.parametrize(
    ("options", "remedy"),
    [
        ({"base_url": "localhost:8880"}, "write it like http://"),
        ({"format": "mp3"}, "use pcm or wav"),
        ({}, "set the environment variable OPENAI_API_KEY"),
    ],
)
def test_what_cannot_work_is_said_at_the_start(options: dict[str, str], remedy: str) -> None:
    with pytest.raises(EngineUnavailable, match=remedy):
        OpenAISpeechVoice(**options)  # type: ignore[arg-type]
