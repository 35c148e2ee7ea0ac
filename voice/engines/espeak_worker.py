"""Drives libespeak-ng in a process of its own and reports phonemes with their sample times.

Run by `voice.engines.espeak` as a script; imports nothing of ours and nothing outside the standard
library, so that it starts quickly. A process of its own because the library keeps global state,
exits the process on some errors, and is GPL code that stays at arm's length.

In, one JSON object a line: {"text", "voice", "pace"}. Out, JSON lines: {"rate"} once, then for each
request {"bytes": of int16 sound that follow, "phonemes": [[ipa, sample, character], ...]} several
times, and {"end": true} or {"error": text}. Structures and numbers follow eSpeak NG's
documented C API, speak_lib.h.
"""

import ctypes
import ctypes.util
import json
import sys
from typing import Any, BinaryIO

SYNCHRONOUS = 2
PHONEME_EVENTS, PHONEME_IPA, DONT_EXIT = 0x0001, 0x0002, 0x8000
UTF8 = 1
RATE = 1
WORDS_PER_MINUTE = 160
EVENT_END, EVENT_WORD, EVENT_PHONEME = 0, 1, 7
BUFFER_MS = 60


class _Id(ctypes.Union):
    _fields_ = [("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8)]


class _Event(ctypes.Structure):
    _fields_ = [
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _Id),
    ]


_Callback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event)
)


PLACES = (
    "libespeak-ng.so.1",
    "/opt/homebrew/lib/libespeak-ng.dylib",
    "/usr/local/lib/libespeak-ng.dylib",
    "C:/Program Files/eSpeak NG/libespeak-ng.dll",
)
"""Where the usual installers put it, should the system not know."""


def _library(named: list[str]) -> Any:
    for place in named or [ctypes.util.find_library("espeak-ng") or "", *PLACES]:
        try:
            if place:
                return ctypes.CDLL(place)
        except OSError:
            continue
    return None


def main(source: BinaryIO, sink: BinaryIO) -> int:
    """Answer requests until the input ends."""

    def tell(record: dict[str, Any], sound: bytes = b"") -> None:
        sink.write(json.dumps(record).encode() + b"\n" + sound)
        sink.flush()

    library = _library(sys.argv[1:])
    if library is None:
        tell({"error": "libespeak-ng is not installed"})
        return 1
    rate = library.espeak_Initialize(
        SYNCHRONOUS, BUFFER_MS, None, PHONEME_EVENTS | PHONEME_IPA | DONT_EXIT
    )
    if rate <= 0:
        tell({"error": f"libespeak-ng does not start (code {rate}); its data may be missing"})
        return 1
    character = 0

    def heard(sound: Any, count: int, events: Any) -> int:
        nonlocal character
        phonemes = []
        index = 0
        while events[index].type != EVENT_END:
            event = events[index]
            if event.type == EVENT_WORD:
                character = event.text_position - 1
            elif event.type == EVENT_PHONEME:
                ipa = bytes(event.id.string).split(b"\0")[0].decode("utf-8", "ignore")
                phonemes.append([ipa, event.sample, character])
            index += 1
        data = ctypes.string_at(sound, 2 * count) if sound and count > 0 else b""
        if data or phonemes:
            tell({"bytes": len(data), "phonemes": phonemes}, data)
        return 0

    callback = _Callback(heard)
    library.espeak_SetSynthCallback(callback)
    tell({"rate": rate})
    for line in source:
        request = json.loads(line)
        code = library.espeak_SetVoiceByName(request["voice"].encode())
        if code != 0:
            tell({"error": f"it has no voice {request['voice']!r}"})
            continue
        library.espeak_SetParameter(RATE, round(WORDS_PER_MINUTE * request["pace"]), 0)
        text = request["text"].encode("utf-8") + b"\0"
        character = 0
        code = library.espeak_Synth(text, len(text), 0, 1, 0, UTF8, None, None)
        tell({"end": True} if code == 0 else {"error": f"espeak_Synth returned {code}"})
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.stdin.buffer, sys.stdout.buffer))
