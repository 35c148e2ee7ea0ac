"""Every named size at every rate, from the settings to the finished film."""

from pathlib import Path
from typing import Any

import av
import pytest

from avatar.performer import Performer
from avatar.pose import ParameterTable, Pose
from dialogue.ticks import TICKS_PER_S
from render.air import Air
from render.frames import Pixels
from render.sinks.file import FileSink
from stage import config
from stage.body import Body


class Flat:
    """Draws one colour."""

    table = ParameterTable()

    def draw(self, pose: Pose, out: Pixels) -> None:
        out[:] = 90


@pytest.mark.parametrize("fps", config.FPS)
@pytest.mark.parametrize("size", config.SIZES)
def test_a_film_has_the_size_and_the_rate_that_were_asked_for(
    tmp_path: Path, size: str, fps: int
) -> None:
    video = config.build({"video": {"size": size, "fps": fps}}, "show.toml").video
    film = tmp_path / "film.mp4"
    air = Air(width=video.width, height=video.height, fps=video.fps, blocking=True)
    renderer: Any = Flat()
    body = Body(
        renderer, Performer(Flat.table, seed=1), air, fps=fps, pause_ms=0, tell=lambda message: None
    )
    air.add("film", lambda: FileSink(path=film))
    body.start_at(0)
    for index in range(8):
        body.step(index * body.frame_ticks)
    air.close()
    with av.open(str(film)) as made:
        stream = made.streams.video[0]
        assert (stream.width, stream.height) == config.SIZES[size]
        times = [round(float(f.pts * f.time_base) * TICKS_PER_S) for f in made.decode(stream)]
    assert times == [index * TICKS_PER_S // fps for index in range(8)]
