"""H.264 and AAC for everything that leaves as a film or a stream: pictures and sound to packets.

Runs on: the thread of the sink that owns the encoder, plus x264's own threads. Time goes in and
comes out in ticks. An encoder belongs to no file and no connection: `stream_in` describes it to a
container (MP4, FLV, MPEG-TS ...) that can be made, broken and made anew while encoding goes on.
"""

import os
from fractions import Fraction
from typing import Any

import numpy as np

from dialogue.ticks import TICKS_PER_S, Ticks
from render.frames import VideoFrame
from render.line21 import with_message
from voice.speech import Samples

TICK = Fraction(1, TICKS_PER_S)

# FFmpeg's numbers (libavutil/pixfmt.h): the matrix is the one cv2 converts with, BT.601 in limited
# range; primaries and transfer are those of the drawing, which is sRGB.
MATRIX_BT601 = 5
LIMITED = 1
BT709 = 1

_GLOBAL_HEADER = 1 << 22  # AV_CODEC_FLAG_GLOBAL_HEADER (libavcodec/avcodec.h)

FINEST = 18
"""x264's quantiser below which nobody sees a difference."""

PRIMING: Ticks = 1024
"""The AAC encoder's first packet is this much before the first sample that was put in."""

EARLY: Ticks = 2 * TICKS_PER_S
"""Sound kept while waiting for the first picture."""


class PictureEncoder:
    """Encodes pictures as H.264."""

    def __init__(
        self,
        *,
        width: int,
        height: int,
        fps: int,
        crf: int | None = 23,
        bitrate: int = 0,
        preset: str = "ultrafast",
        profile: str = "",
        threads: int = 2,
        key_every_s: float = 2.0,
        live: bool = False,
        in_band: bool = False,
    ) -> None:
        """Open an encoder.

        Args:
            width: of the picture, in pixels.
            height: of the picture, in pixels.
            fps: frames a second.
            crf: x264's quality, 0 (lossless) to 51; None aims at `bitrate` instead.
            bitrate: in bits a second; with a `crf` the most that is sent (0: no bound), without
                one what is aimed at and, over a second, not exceeded.
            preset: x264's speed.
            profile: of H.264 ("baseline", "main", "high"); "": as the preset has it.
            threads: encoder threads.
            key_every_s: a complete picture (keyframe) comes this often.
            live: every picture leaves at once, and no other picture than those asked for and
                those of `key_every_s` is complete.
            in_band: each complete picture carries the parameter sets, for MPEG-TS; otherwise they
                stand once at the beginning, for MP4 and FLV.
        """
        import av

        # No B-frames: a fifth less work, which a live show needs more than a smaller file.
        options = {"preset": preset, "threads": str(threads), "bf": "0"}
        if crf is not None:
            options["crf"] = str(crf)
        if bitrate:
            options |= {"maxrate": str(bitrate), "bufsize": str(bitrate)}
        if live:
            options |= {"tune": "zerolatency", "sc_threshold": "0", "forced-idr": "1"}
        if profile:
            options["profile"] = profile
        self._home: Any = av.open(os.devnull, "w", format="null")
        stream = self._home.add_stream("libx264", rate=fps, options=options)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        context = stream.codec_context
        stream.time_base = context.time_base = TICK
        if crf is None:
            context.bit_rate = bitrate
            context.qmin = FINEST  # a still picture need not take all that it may
        context.gop_size = round(fps * key_every_s)
        context.colorspace, context.color_range = MATRIX_BT601, LIMITED
        context.color_primaries = context.color_trc = BT709
        if in_band:
            context.flags &= ~_GLOBAL_HEADER
        else:
            context.flags |= _GLOBAL_HEADER
        self._home.start_encoding()
        self._stream = stream

    @property
    def codec(self) -> str:
        """The codec as RFC 6381 names it, such as "avc1.42C01F"."""
        sets = bytes(self._stream.codec_context.extradata or b"")
        at = sets.find(b"\0\0\1\x67")
        return f"avc1.{sets[at + 4 : at + 7].hex().upper()}" if at >= 0 else "avc1"

    def stream_in(self, container: Any) -> Any:
        """Add a stream for these packets to `container` and return it."""
        return container.add_stream_from_template(self._stream, opaque=True)

    def encode(
        self, frame: VideoFrame, *, pts: Ticks, key: bool = False, said: bytes = b""
    ) -> list[Any]:
        """Return the packets that are ready with `frame`, which is shown at `pts`.

        Args:
            frame: the picture.
            pts: its time in the film or stream.
            key: make it complete, so that who comes in can begin with it.
            said: a message (`render.line21`) that goes with it; for live encoders, from which
                each picture comes at once.
        """
        import av

        picture: Any = av.VideoFrame.from_ndarray(frame.i420, format="yuv420p")
        picture.pts, picture.time_base = pts, TICK
        picture.colorspace, picture.color_range = MATRIX_BT601, LIMITED
        if key:
            picture.pict_type = av.video.frame.PictureType.I
        packets = list(self._stream.encode(picture))
        return [_saying(packet, said) for packet in packets] if said else packets

    def aim(self, bitrate: int) -> None:
        """Aim at another `bitrate` from the next picture on; for encoders without `crf`."""
        self._stream.codec_context.bit_rate = bitrate

    def finish(self) -> list[Any]:
        """Return the last packets; nothing can be encoded after them."""
        return list(self._stream.encode(None))


def _saying(packet: Any, said: bytes) -> Any:
    """Return a copy of `packet` with a message in it."""
    import av

    copy = av.Packet(with_message(bytes(packet), said))
    copy.pts, copy.dts, copy.time_base = packet.pts, packet.dts, packet.time_base
    copy.duration, copy.is_keyframe = packet.duration, packet.is_keyframe
    return copy


class SoundEncoder:
    """Encodes mono sound at 48 kHz as AAC."""

    def __init__(self, *, bitrate: int = 128_000) -> None:
        """Open an encoder; `bitrate` in bits a second."""
        import av

        self._home: Any = av.open(os.devnull, "w", format="null")
        stream = self._home.add_stream("aac", rate=TICKS_PER_S)
        stream.codec_context.layout = "mono"
        stream.bit_rate = bitrate
        stream.time_base = TICK
        stream.codec_context.flags |= _GLOBAL_HEADER
        self._home.start_encoding()
        self._stream = stream

    codec = "mp4a.40.2"
    """AAC-LC as RFC 6381 names it."""

    def stream_in(self, container: Any) -> Any:
        """Add a stream for these packets to `container` and return it."""
        return container.add_stream_from_template(self._stream, opaque=True)

    def encode(self, samples: Samples, *, pts: Ticks) -> list[Any]:
        """Return the packets that are ready with `samples`, heard from `pts` on.

        They must follow the last ones without a gap. Packets come 1024 ticks earlier than what was
        put in: decoders cut the encoder's priming away, or play it as silence before the start.
        """
        import av

        block: Any = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(samples, np.float32)[None, :], format="fltp", layout="mono"
        )
        block.sample_rate = TICKS_PER_S
        block.pts, block.time_base = pts, TICK
        return list(self._stream.encode(block))

    def finish(self) -> list[Any]:
        """Return the last packets; nothing can be encoded after them."""
        return list(self._stream.encode(None))


class Together:
    """Lets sound begin with the first picture and go on without gap or overlap.

    Times that come out count from that picture.
    """

    def __init__(self) -> None:
        """Wait for the first picture."""
        self.first: Ticks | None = None
        """Its pts on the stage clock; None before it."""
        self._early: list[tuple[Ticks, Samples]] = []
        self._sound: Ticks = 0  # up to which there is sound

    def picture(self, pts: Ticks) -> list[tuple[Ticks, Samples]]:
        """Take the `pts` of a picture; the first one returns the sound that goes with it."""
        if self.first is not None:
            return []
        self.first = pts
        early, self._early = self._early, []
        return [block for at, samples in early for block in self.sound(at, samples)]

    def sound(self, pts: Ticks, samples: Samples) -> list[tuple[Ticks, Samples]]:
        """Return a block of sound and its time, or nothing while it must wait or is too early."""
        if self.first is None:
            self._early.append((pts, samples))
            while pts - self._early[0][0] > EARLY:
                del self._early[0]
            return []
        at = pts - self.first
        if at < self._sound:
            samples = samples[self._sound - at :]
        elif at > self._sound:  # begun after the picture
            samples = np.concatenate([np.zeros(at - self._sound, np.float32), samples])
        if not len(samples):
            return []
        at, self._sound = self._sound, self._sound + len(samples)
        return [(at, samples)]
