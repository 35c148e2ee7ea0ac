"""Paints textured meshes into a picture: the one inner loop that Python is too slow for.

Compiled by numba for this processor when first used (seconds, once; kept on disk). A cell of a mesh
is two triangles; inside a triangle a pixel is sampled between four texels, with weights of 8 bits
and all channels at once in a vector register. Edges that triangles share are computed by the same
operations on the same numbers, so that each pixel belongs to exactly one of them. A row of cells
is painted line by line, not cell by cell: memory is then read and written in order, which the
processor foresees. The interpreter's lock is released meanwhile.
"""

from typing import Any

import numba
import numpy as np
import numpy.typing as npt
from llvmlite import binding, ir
from numba import types
from numba.extending import intrinsic

PAD = 2
"""Empty texels around a texture, which sampling may touch."""
MARGIN = 2
"""Rows and columns of texels around a cell that `survey` counts as the cell's."""
THIN = 4.0
"""Area in pixels below which a cell is so thin that rounding could lead out of its texture."""
EMPTY, MIXED, SOLID = 0, 1, 2
"""Kinds of cells: nothing to see, something, opaque everywhere."""

_UNIT = 65536.0  # steps of texture coordinates in a texel
_NOWHERE = 1 << 20  # a first column when there is none
_ONE, _7, _8, _16, _24, _32 = (np.uint64(n) for n in (1, 7, 8, 16, 24, 32))
_FULL, _256 = np.uint64(255), np.uint64(256)
_OPAQUE, _NONE, _ZERO = np.uint32(255 << 24), np.uint32(0), np.uint64(0)
_ROUNDS = bool(binding.get_host_cpu_features().get("ssse3"))
# What is noted of a triangle: its upper two corners and three slopes, then u and v as planes.
_AX, _AY, _BX, _BY, _LONG, _UPPER, _LOWER, _U, _UX, _UY, _V, _VX, _VY = range(13)
# The same in whole numbers: rows, kind, where to see what is seen, steps, limits of u and v.
_FIRST, _LAST, _KIND, _SEEN, _STEP_U, _STEP_V, _IS_THIN, _U0, _U1, _V0, _V1 = range(11)


def survey(
    alpha: npt.NDArray[np.uint8], columns: int, rows: int, size: tuple[float, float]
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int32], int]:
    """Look where a texture is empty and where it is opaque, cell by cell.

    Args:
        alpha: of its texels, shape (height, width).
        columns: of cells.
        rows: of cells.
        size: width and height of a cell in texels.

    Returns:
        The kind of each cell, row by row; first and last column that are not empty in each row of
        texels of each cell, shape (cells * tall, 2); and `tall`, the rows of texels of a cell.
    """
    wide, tall = (int(np.ceil(length)) + 2 * MARGIN + 2 for length in size)
    kinds = np.full(columns * rows, MIXED, np.uint8)
    seen = np.empty((columns * rows, tall, 2), np.int32)
    seen[:] = _NOWHERE, -1
    for number in range(columns * rows):
        j, i = divmod(number, columns)
        top, left = int(PAD + j * size[1]) - MARGIN, int(PAD + i * size[0]) - MARGIN
        part = alpha[top : top + tall, left : left + wide]
        some = part > 0
        if not some.any():
            kinds[number] = EMPTY
            continue
        if part.min() == 255:
            kinds[number] = SOLID
        filled = np.flatnonzero(some.any(1))
        seen[number, filled, 0] = left + some[filled].argmax(1)
        seen[number, filled, 1] = left + some.shape[1] - 1 - some[filled, ::-1].argmax(1)
    return kinds, seen.reshape(-1, 2), tall


def _vector(builder: Any, number: Any, count: int) -> Any:
    """Return the bytes of an integer as `count` lanes of 16 bits."""
    lanes = builder.bitcast(number, ir.VectorType(ir.IntType(8), count))
    return builder.zext(lanes, ir.VectorType(ir.IntType(16), count))


def _splat(builder: Any, number: Any, count: int) -> Any:
    """Return `count` lanes of 16 bits that all hold `number`."""
    one = ir.VectorType(ir.IntType(16), 1)
    small = builder.bitcast(builder.trunc(number, ir.IntType(16)), one)
    zeros = ir.Constant(ir.VectorType(ir.IntType(32), count), [0] * count)
    return builder.shuffle_vector(small, ir.Constant(one, ir.Undefined), zeros)


def _all(value: int, count: int) -> Any:
    return ir.Constant(ir.VectorType(ir.IntType(16), count), [value] * count)


def _part(builder: Any, lanes: Any, number: Any) -> Any:
    """Return eight lanes, -255..255, times `number`, 0..255: (x * number + 128) >> 8."""
    factor = _splat(builder, builder.shl(number, ir.Constant(number.type, 7)), 8)
    if _ROUNDS:  # one instruction, for exactly this
        name = "llvm.x86.ssse3.pmul.hr.sw.128"
        kind = ir.FunctionType(lanes.type, [lanes.type, lanes.type])
        known = builder.module.globals.get(name) or ir.Function(builder.module, kind, name)
        return builder.call(known, [lanes, factor])
    wide = ir.VectorType(ir.IntType(32), 8)
    product = builder.mul(builder.sext(lanes, wide), builder.sext(factor, wide))
    half, shift = (ir.Constant(wide, [n] * 8) for n in (1 << 14, 15))
    return builder.trunc(builder.ashr(builder.add(product, half), shift), lanes.type)


def _pixel(builder: Any, lanes: Any) -> Any:
    """Return the first four lanes of 16 bits as a pixel of four bytes."""
    count = lanes.type.count
    small = builder.trunc(lanes, ir.VectorType(ir.IntType(8), count))
    if count == 4:
        return builder.bitcast(small, ir.IntType(32))
    return builder.trunc(builder.bitcast(small, ir.IntType(8 * count)), ir.IntType(32))


@intrinsic  # type: ignore[untyped-decorator]
def _mix(context: Any, above: Any, below: Any, fx: Any, fy: Any) -> Any:
    """Return the pixel between two texels (one uint64) and the two below them.

    `fx` and `fy`, 0..255, say how far to the right and down, in 1/256.
    """

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        above, below, fx, fy = arguments
        upper, lower = _vector(builder, above, 8), _vector(builder, below, 8)
        pair = builder.add(upper, _part(builder, builder.sub(lower, upper), fy))

        def half(first: int) -> Any:
            which = ir.Constant(ir.VectorType(ir.IntType(32), 8), [*range(first, first + 4)] * 2)
            return builder.shuffle_vector(pair, ir.Constant(pair.type, ir.Undefined), which)

        left, right = half(0), half(4)
        mixed = builder.add(left, _part(builder, builder.sub(right, left), fx))
        return _pixel(builder, mixed)

    return types.uint32(types.uint64, types.uint64, types.uint64, types.uint64), build


@intrinsic  # type: ignore[untyped-decorator]
def _blend(context: Any, over: Any, under: Any, share: Any, rest: Any) -> Any:
    """Return the pixel over * share / 256 + under * rest / 256; the two are 0..256."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        over, under, share, rest = arguments
        top = builder.mul(_vector(builder, over, 4), _splat(builder, share, 4))
        base = builder.mul(_vector(builder, under, 4), _splat(builder, rest, 4))
        total = builder.add(builder.add(top, base), _all(128, 4))
        return _pixel(builder, builder.lshr(total, _all(8, 4)))

    return types.uint32(types.uint32, types.uint32, types.uint64, types.uint64), build


@intrinsic  # type: ignore[untyped-decorator]
def _lay(context: Any, over: Any, under: Any, rest: Any) -> Any:
    """Return the pixel over + under * rest / 256; `rest` is 0..255."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        over, under, rest = arguments
        wide = ir.IntType(64)
        top, base = (_vector(builder, builder.zext(p, wide), 8) for p in (over, under))
        return _pixel(builder, builder.add(top, _part(builder, base, rest)))

    return types.uint32(types.uint32, types.uint32, types.uint64), build


@numba.njit(nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _sample(texels: Any, at: Any, stride: Any, u: Any, v: Any) -> Any:
    """Return the pixel between four texels; `u` and `v` in 1/65536 of a texel."""
    first = at + (v >> _16) * stride + (u >> _16)
    below = first + stride
    upper = np.uint64(texels[first]) | (np.uint64(texels[first + _ONE]) << _32)
    lower = np.uint64(texels[below]) | (np.uint64(texels[below + _ONE]) << _32)
    return _mix(upper, lower, (u >> _8) & _FULL, (v >> _8) & _FULL)


@numba.njit(nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _rest(alpha: Any) -> Any:
    """Return how much shows through a layer of `alpha` 0..255, 0..256."""
    return _256 - (alpha + (alpha >> _7))


@numba.njit(nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _within(value: Any, low: Any, high: Any) -> Any:
    return min(max(value, low), high)


@numba.njit(nogil=True, error_model="numpy")
def _span(line, start, stop, u, v, step_u, step_v, texels, at, stride, solid, fade):  # type: ignore[no-untyped-def]
    """Paint the pixels start..stop of a line, sampled from `u`, `v` on; all are uint64."""
    if solid and fade == _256:
        for column in range(start, stop):
            line[column] = _sample(texels, at, stride, u, v)
            u += step_u
            v += step_v
    elif fade == _256:
        for column in range(start, stop):
            pixel = _sample(texels, at, stride, u, v)
            if pixel >= _OPAQUE:
                line[column] = pixel
            elif pixel:
                line[column] = _lay(pixel, line[column], _rest(np.uint64(pixel) >> _24))
            u += step_u
            v += step_v
    else:
        for column in range(start, stop):
            pixel = _blend(_sample(texels, at, stride, u, v), _NONE, fade, _ZERO)
            rest = _rest(np.uint64(pixel) >> _24)
            line[column] = _blend(pixel, line[column], _256, rest)
            u += step_u
            v += step_v


@numba.njit(nogil=True, error_model="numpy")
def _note_edges(real, whole, t, ax, ay, bx, by, cx, cy, floor):  # type: ignore[no-untyped-def]
    """Note where a triangle's rows begin and end, whichever way its corners go round."""
    if by < ay:
        ax, ay, bx, by = bx, by, ax, ay
    if cy < ay:
        ax, ay, cx, cy = cx, cy, ax, ay
    if cy < by:
        bx, by, cx, cy = cx, cy, bx, by
    real[t, _AX], real[t, _AY], real[t, _BX], real[t, _BY] = ax, ay, bx, by
    real[t, _LONG] = (cx - ax) / (cy - ay) if cy > ay else 0.0
    real[t, _UPPER] = (bx - ax) / (by - ay) if by > ay else 0.0
    real[t, _LOWER] = (cx - bx) / (cy - by) if cy > by else 0.0
    whole[t, _FIRST] = max(int(np.ceil(ay - 0.5)), 0)
    whole[t, _LAST] = min(int(np.ceil(cy - 0.5)), floor)


@numba.njit(nogil=True, error_model="numpy")
def _note_texture(real, whole, t, x, y, u, v, ux, uy, vx, vy):  # type: ignore[no-untyped-def]
    """Note that the texture's `u`, `v` is at `x`, `y`, and how both change with x and y."""
    real[t, _U], real[t, _UX], real[t, _UY] = _UNIT * (u - ux * x - uy * y), _UNIT * ux, _UNIT * uy
    real[t, _V], real[t, _VX], real[t, _VY] = _UNIT * (v - vx * x - vy * y), _UNIT * vx, _UNIT * vy
    whole[t, _STEP_U], whole[t, _STEP_V] = int(_UNIT * ux), int(_UNIT * vx)


@numba.njit(nogil=True, error_model="numpy")
def _triangles(real, whole, mesh, point, columns, j, kinds, tall, size, width, floor):  # type: ignore[no-untyped-def]
    """Note the triangles of the `j`-th row of cells; returns how many are seen.

    Args:
        real: (2 * cells, 13) float64, filled.
        whole: (2 * cells, 11) int64, filled.
        mesh: points in pixels.
        point: first point of the row.
        columns: points in a row.
        j: number of the row.
        kinds: of the row's cells.
        tall: rows of `seen` for a cell.
        size: of a cell in texels.
        width: of the picture.
        floor: of the picture.
    """
    cw, ch = size
    count = 0
    for i in range(columns - 1):
        if kinds[i] == EMPTY:
            continue
        p, q = point + i, point + i + columns
        ax, ay, bx, by = mesh[p, 0], mesh[p, 1], mesh[p + 1, 0], mesh[p + 1, 1]
        cx, cy, dx, dy = mesh[q, 0], mesh[q, 1], mesh[q + 1, 0], mesh[q + 1, 1]
        if (
            max(max(ax, bx), max(cx, dx)) < 0
            or min(min(ax, bx), min(cx, dx)) > width
            or max(max(ay, by), max(cy, dy)) < 0
            or min(min(ay, by), min(cy, dy)) > floor
        ):
            continue
        # Whole numbers are the centres of texels.
        u, v = PAD - 0.5 + i * cw, PAD - 0.5 + j * ch
        for half in range(2):
            if half == 0:
                det = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
                if abs(det) < 1e-6:
                    continue
                _note_edges(real, whole, count, ax, ay, bx, by, cx, cy, floor)
                _note_texture(
                    real, whole, count, ax, ay, u, v,
                    (cy - ay) / det * cw, (ax - cx) / det * cw,
                    (ay - by) / det * ch, (bx - ax) / det * ch,
                )  # fmt: skip
            else:
                det = (cx - dx) * (by - dy) - (cy - dy) * (bx - dx)
                if abs(det) < 1e-6:
                    continue
                _note_edges(real, whole, count, bx, by, dx, dy, cx, cy, floor)
                _note_texture(
                    real, whole, count, dx, dy, u + cw, v + ch,
                    (dy - by) / det * cw, (bx - dx) / det * cw,
                    (cy - dy) / det * ch, (dx - cx) / det * ch,
                )  # fmt: skip
            if whole[count, _FIRST] >= whole[count, _LAST]:
                continue
            whole[count, _KIND], whole[count, _SEEN] = kinds[i], i * tall
            whole[count, _IS_THIN] = abs(det) < THIN
            whole[count, _U0], whole[count, _U1] = int(_UNIT * (u - 0.5)), int(_UNIT * (u + cw))
            whole[count, _V0], whole[count, _V1] = int(_UNIT * (v - 0.5)), int(_UNIT * (v + ch))
            count += 1
    return count


@numba.njit(nogil=True, error_model="numpy")
def _line(line, row, count, real, whole, seen, texels, at, stride, fade):  # type: ignore[no-untyped-def]
    """Paint what one line of the picture shows of a row of cells.

    Args:
        line: its pixels.
        row: its number.
        count: triangles.
        real: see `_triangles`.
        whole: see `_triangles`.
        seen: what is seen of the row's cells, counted from the texture's row 0.
        texels: of all textures.
        at: where this texture begins.
        stride: texels in a row of it.
        fade: opacity, 1..256.
    """
    width = len(line)
    y = row + 0.5
    for t in range(count):
        if row < whole[t, _FIRST] or row >= whole[t, _LAST]:
            continue
        one = real[t, _AX] + (y - real[t, _AY]) * real[t, _LONG]
        if y < real[t, _BY]:
            other = real[t, _AX] + (y - real[t, _AY]) * real[t, _UPPER]
        else:
            other = real[t, _BX] + (y - real[t, _BY]) * real[t, _LOWER]
        start = max(int(np.ceil(min(one, other) - 0.5)), 0)
        stop = min(int(np.ceil(max(one, other) - 0.5)), width)
        if start >= stop:
            continue
        x = start + 0.5
        u = int(real[t, _U] + real[t, _UX] * x + real[t, _UY] * y)
        v = int(real[t, _V] + real[t, _VX] * x + real[t, _VY] * y)
        step_u, step_v = whole[t, _STEP_U], whole[t, _STEP_V]
        n = stop - start - 1
        end_u, end_v = u + n * step_u, v + n * step_v
        if whole[t, _IS_THIN]:
            u = _within(u, whole[t, _U0], whole[t, _U1])
            v = _within(v, whole[t, _V0], whole[t, _V1])
            end_u = _within(end_u, whole[t, _U0], whole[t, _U1])
            end_v = _within(end_v, whole[t, _V0], whole[t, _V1])
            step_u, step_v = (end_u - u) // max(n, 1), (end_v - v) // max(n, 1)
        solid = whole[t, _KIND] == SOLID
        if not solid:
            low, high = _NOWHERE, -1
            base = whole[t, _SEEN]
            for r in range(base + (min(v, end_v) >> 16), base + (max(v, end_v) >> 16) + 2):
                low, high = min(low, seen[r, 0]), max(high, seen[r, 1])
            if low > high:
                continue
            if abs(step_u) > 1024:
                # Sampling sees a texel from one texel before it on.
                left, right = (low - 1) << 16, (high + 1) << 16
                if step_u < 0:
                    left, right = right, left
                # Both limits lie outside of most spans, and divisions are slow.
                begun = u
                if (left > u) == (step_u > 0):
                    skip = int((left - u) / step_u)
                    start += skip
                    u += skip * step_u
                    v += skip * step_v
                if (end_u > right) == (step_u > 0):
                    first = stop - 1 - n
                    stop = min(stop, first + int((right - begun) / step_u) + 2)
                if start >= stop:
                    continue
        _span(
            line, np.uint64(start), np.uint64(stop), np.uint64(u), np.uint64(v),
            np.uint64(step_u), np.uint64(step_v), texels, np.uint64(at), np.uint64(stride),
            solid, np.uint64(fade),
        )  # fmt: skip


def kept(function: Any) -> Any:
    """Compile `function`, and keep the result on disk where there is a place for it."""
    try:
        return numba.njit(cache=True, nogil=True, error_model="numpy")(function)
    except RuntimeError:  # a read-only system: compiled anew at each start
        return numba.njit(nogil=True, error_model="numpy")(function)


@kept
def paint(out, floor, mesh, order, fades, layout, sizes, kinds, seen, texels):  # type: ignore[no-untyped-def]
    """Paint layers over `out`.

    Args:
        out: (height, width) uint32, pixels of four bytes, premultiplied.
        floor: rows from here on are left alone, 0..height.
        mesh: (points, 2) float64: all meshes, row by row, in pixels.
        order: (n,) int64: numbers of layers, back to front.
        fades: (n,) int64: opacity of each of them, 0..256.
        layout: (layers, 8) int64: first point, columns and rows of a layer's mesh; first texel
            and stride of its texture; first of its cells in `kinds`; first row in `seen`, and
            how many a cell has.
        sizes: (layers, 2) float64: width and height of a cell in texels.
        kinds: (cells,) uint8, see `survey`.
        seen: (rows, 2) int32, see `survey`.
        texels: uint32 of all textures, each with `PAD` texels around it.
    """
    width = out.shape[1]
    most = 0
    for k in range(len(order)):
        most = max(most, 2 * layout[order[k], 1])
    real, whole = np.empty((most, 13)), np.empty((most, 11), np.int64)
    for k in range(len(order)):
        if fades[k] <= 0:
            continue
        point, columns, rows, at, stride, cell, sight, tall = layout[order[k]]
        size = sizes[order[k]]
        across = columns - 1
        for j in range(rows - 1):
            count = _triangles(
                real, whole, mesh, point + j * columns, columns, j, kinds[cell + j * across :],
                tall, (size[0], size[1]), width, floor,
            )  # fmt: skip
            if count == 0:
                continue
            first, last = floor, 0
            for t in range(count):
                first, last = min(first, whole[t, _FIRST]), max(last, whole[t, _LAST])
                whole[t, _SEEN] += sight + j * across * tall - int(PAD + j * size[1]) + MARGIN
            for row in range(first, last):
                _line(out[row], row, count, real, whole, seen, texels, at, stride, fades[k])


@kept
def lay(out, over, floor):  # type: ignore[no-untyped-def]
    """Lay a picture of the same size over `out`.

    Args:
        out: (height, width) uint32, pixels of four bytes, premultiplied.
        over: the same, on top.
        floor: rows from here on are left alone, 0..height.
    """
    for row in range(floor):
        line, top = out[row], over[row]
        for column in range(len(line)):
            pixel = top[column]
            if pixel >= _OPAQUE:
                line[column] = pixel
            elif pixel:
                line[column] = _lay(pixel, line[column], _rest(np.uint64(pixel) >> _24))


def ready() -> None:
    """Compile what is missing, by painting nothing."""
    real, whole = np.float64, np.int64
    paint(
        np.zeros((1, 1), np.uint32), 1, np.zeros((4, 2), real), np.zeros(0, whole),
        np.zeros(0, whole), np.zeros((1, 8), whole), np.zeros((1, 2), real),
        np.zeros(1, np.uint8), np.zeros((1, 2), np.int32), np.zeros(1, np.uint32),
    )  # fmt: skip
    lay(np.zeros((1, 1), np.uint32), np.zeros((1, 1), np.uint32), 1)
