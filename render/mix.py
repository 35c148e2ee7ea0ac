"""The programme: voice, and music that steps back for it, held below the ceiling.

Clock-free like `render.playout`, and as cheap: 0.2 ms of a frame of 33. The limiter looks ahead,
so the voice is mixed `limiter.LATENCY` further than the programme goes out: a sample leaves with
the pts that it came with. Without music, and while nothing is too loud, the programme is the
voice, bit for bit.
"""

from dataclasses import dataclass

import numpy as np

from dialogue.ticks import TICKS_PER_MS, Ticks
from render import limiter
from render.limiter import LATENCY, Limiter
from render.music import Music
from render.playout import Playout
from voice.speech import Samples

HOLD: Ticks = 600 * TICKS_PER_MS
"""Music stays back this long after the voice, so that it does not breathe between sentences."""


@dataclass(frozen=True, slots=True)
class Block:
    """A stretch of the programme and what it was mixed from."""

    samples: Samples
    """What goes on air."""
    voice: Samples
    """The voice in it, before the limiter."""
    music: Samples
    """The music in it, stepped back, before the limiter."""


class Duck:
    """How far music steps back, sample by sample; it moves at a constant pace in decibels."""

    def __init__(
        self, *, depth_db: float = 12.0, attack_ms: float = 150.0, release_ms: float = 900.0
    ) -> None:
        """Start with all of the music.

        Args:
            depth_db: how much quieter it is under the voice; 0 or more.
            attack_ms: it takes this long to get there.
            release_ms: and this long to come back.
        """
        self._depth = depth_db
        self._down = depth_db / max(1.0, attack_ms * TICKS_PER_MS)
        self._up = depth_db / max(1.0, release_ms * TICKS_PER_MS)
        self._back = 0.0  # decibels
        self._quiet: Ticks = HOLD  # since the voice ended

    def gains(self, n: int, *, spoken: bool) -> Samples:
        """Return the gains of the next `n` samples.

        Args:
            n: how many.
            spoken: the voice is heard in them, or soon.
        """
        self._quiet = 0 if spoken else min(HOLD, self._quiet + n)
        if spoken or self._quiet < HOLD:
            back = np.minimum(self._depth, self._back + self._down * np.arange(1, n + 1))
        else:
            back = np.maximum(0.0, self._back - self._up * np.arange(1, n + 1))
        self._back = float(back[-1]) if n else self._back
        gains: Samples = np.exp(back * (-np.log(10.0) / 20.0)).astype(np.float32)
        return gains


class Mixer:
    """Mixes the programme block by block."""

    def __init__(
        self, playout: Playout, music: Music | None = None, duck: Duck | None = None
    ) -> None:
        """Put the parts together.

        Args:
            playout: the voice.
            music: what plays behind it; None for nothing.
            duck: how the music steps back.
        """
        self.expecting = False
        """True while the host thinks: the music steps back before the first word."""
        self._playout = playout
        self._music = music
        self._duck = duck or Duck()
        self._limiter = Limiter()
        self._ahead: Ticks | None = None  # the voice is mixed so far
        self._voice: Samples = np.zeros(0, np.float32)  # mixed and not yet given out
        self._behind: Samples = np.zeros(0, np.float32)

    @property
    def musical(self) -> bool:
        """True while there is music to be heard."""
        return self._music is not None and not self._music.over

    @property
    def ahead(self) -> Ticks | None:
        """How far the voice is mixed: a cancel is heard from there on."""
        return self._ahead

    def mix(self, pts: Ticks, n: int) -> Block:
        """Return the `n` samples that are heard from `pts` on. Blocks follow without gaps."""
        begins = self._ahead is None
        if self._ahead is None:
            self._ahead = pts
        fresh = pts + n + LATENCY - self._ahead
        voice = self._playout.mix(self._ahead, fresh)
        self._ahead += fresh
        spoken = self._playout.speaking or self.expecting
        if self._music is None:
            music = np.zeros(fresh, np.float32)
            programme = self._limiter.push(voice)
        else:
            music = self._music.read(fresh) * self._duck.gains(fresh, spoken=spoken)
            programme = self._limiter.push(voice + music)
        if begins:
            programme = programme[LATENCY:]
        voice = np.concatenate((self._voice, voice))
        music = np.concatenate((self._behind, music))
        self._voice, self._behind = voice[n:], music[n:]
        return Block(programme, voice[:n], music[:n])

    def fade_out(self, ticks: Ticks) -> None:
        """Let the music end over so many ticks."""
        if self._music is not None:
            self._music.fade_out(ticks)

    def close(self) -> None:
        """End the music's decoder."""
        if self._music is not None:
            self._music.close()


def ready() -> None:
    """Compile what mixing needs, so that the first block is not late."""
    limiter.ready()
