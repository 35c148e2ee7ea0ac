"""Words to timed sound, and sound to words.

Runs in the mind process: one thread `tts-<engine>` per engine pulls its blocking generator
(`voice.pump`), one thread for the recogniser. Budget: from an utterance to its first 200 ms of
sound within 150 ms for 4 words on Piper's network and 350 ms on Kokoro (2 cores, alone). Buffers:
utterances ahead (4; the dialogue waits) and audio ahead of playout (2.0 s; synthesis waits).
"""
