"""Networks that speak: loading them with ONNX Runtime, and the seams of their sound.

Runs on: the thread that asks; ONNX Runtime adds the threads it is told to.
"""

from pathlib import Path
from typing import Any

import numpy as np

from voice.speech import Samples


def load(path: Path, threads: int) -> Any:
    """Return an inference session of the network in `path`."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # Every utterance has other shapes: a plan of memory for each is never used again (2 % slower).
    options.enable_mem_pattern = False
    # A waiting thread that spins would take the cores from the picture.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def giving_back() -> Any:
    """Return options of a run after which its session's scratch memory goes back to the system.

    So that a voice does not grow with the longest thing it ever said (Kokoro holds 80 MB less).
    For the last run of a session in an utterance: after every run it costs about 15 % of the speed.
    """
    import onnxruntime

    options = onnxruntime.RunOptions()
    options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
    return options


def ramp(sound: Samples, start: float, stop: float, length: int) -> None:
    """Fade the first (rising) or last (falling) `length` samples in place."""
    n = min(length, len(sound))
    curve = np.linspace(start, stop, n, dtype=np.float32)
    if stop > start:
        sound[:n] *= curve
    elif n:
        sound[-n:] *= curve
