"""Timed sound and cues to motion: a `Pose` for any instant.

Runs in the body process, on the render thread; no thread, clock or I/O of its own: everything
is a seeded function of the time it is asked for and of the tracks it was given. Budget: 0.5 ms a
pose and 1.5 ms for deforming the puppet's control points at 720p on one core.
"""
