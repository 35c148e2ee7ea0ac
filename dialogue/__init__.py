"""Decides what to say: audience messages in, utterances out.

Runs in the mind process, on its asyncio loop; a language model's blocking generator runs on one
thread of its own (`dialogue.pump`). Budget: our own work between a chat line and the model's
prompt, and between the model's text and the voice, stays under 5 ms a turn. Imports nothing of
ours. Buffers: the audience inbox (64 messages; when full, lowest priority then oldest goes) and
the model's text (32 deltas; when full, reading the model pauses).
"""
