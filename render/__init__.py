"""A `Pose` to pixels; picture and sound on air.

Runs in the body process: the render thread draws and mixes, one thread a sink sends. Budget at
720p30 on one core: drawing 9 ms, mixing 0.3 ms, colour conversion 0.5 ms a frame. Buffers: each
sink holds at most 4 frames (when full the oldest goes and is counted) and 1 s of sound (when full
the sink is off the air and retried); it never slows the others.
"""
