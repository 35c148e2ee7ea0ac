import multiprocessing

import msgspec
import numpy as np
import pytest

from stage import wire
from voice.speech import AudioChunk, PhonemeSpan, WordSpan

EXAMPLES = {int: 3, float: 0.5, str: "ü", bytes: b"\0\1", bool: True, tuple[str, ...]: ("a",)}


def test_every_message_survives_the_wire() -> None:
    for kind in wire.Message.__args__:
        values = {}
        for field in msgspec.structs.fields(kind):
            value = EXAMPLES.get(field.type, field.default)
            if value is msgspec.NODEFAULT:
                value = {"key": 1} if "dict" in str(field.type) else ()
            values[field.name] = value
        message = kind(**values)
        assert wire.decode(wire.encode(message)) == message


def test_an_audio_chunk_comes_back_as_it_was() -> None:
    sound = np.linspace(-1, 1, 480, dtype=np.float32)
    chunk = AudioChunk(
        7, 2, 960, sound, (PhonemeSpan("p", 0, 240, 1, True),), (WordSpan(0, 3, 0, 480),), True
    )
    back = wire.chunk(wire.decode(wire.encode(wire.say(chunk, text="pa"))))  # type: ignore[arg-type]
    np.testing.assert_array_equal(back.samples, sound)
    assert (back.turn_id, back.utterance, back.start, back.final) == (7, 2, 960, True)
    assert (back.phonemes, back.words) == (chunk.phonemes, chunk.words)


def test_a_foreign_packet_is_an_error() -> None:
    with pytest.raises(msgspec.ValidationError):
        wire.decode(msgspec.msgpack.encode(["Nonsense", 1]))


def test_a_child_whose_house_is_gone_is_told_to_quit() -> None:
    ours, theirs = multiprocessing.Pipe()
    link = wire.Link(theirs)
    ours.close()
    assert isinstance(link.poll(1.0), wire.Quit)
    with pytest.raises(SystemExit):
        link.send(wire.Quit())
