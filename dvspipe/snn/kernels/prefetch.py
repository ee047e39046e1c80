"""Asks the processor for memory before it is needed, in compiled code.

A block of neurons is 4 kB of one step and then 4 kB of the next, megabytes further on: too short for the processor to notice
that it will want more, so every step would begin by waiting for memory.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic
from numba.np.arrayobj import make_array

LINE = 64  # bytes that come at once
SECOND_LEVEL = 2  # LLVM's "moderate locality"


def _prefetching(writes: bool) -> Any:
    """Compiled `(array, index)` -> nothing; its line comes into the second-level cache."""

    @intrinsic
    def prefetch(typing_context, array, index):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
            data = make_array(signature.args[0])(context, builder, arguments[0]).data
            where = builder.bitcast(builder.gep(data, [arguments[1]]), ir.IntType(8).as_pointer())
            number = ir.IntType(32)
            kind = ir.FunctionType(ir.VoidType(), [where.type, number, number, number])
            function = builder.module.declare_intrinsic("llvm.prefetch", [where.type], kind)
            builder.call(function, [where, number(int(writes)), number(SECOND_LEVEL), number(1)])
            return context.get_dummy_value()

        return types.void(array, types.intp), generate

    return prefetch


_to_read, _to_write = _prefetching(writes=False), _prefetching(writes=True)


@njit(cache=True, nogil=True)
def will_read(row):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """`row` [n] is read soon."""
    for j in range(0, len(row), LINE // row.itemsize):
        _to_read(row, j)


@njit(cache=True, nogil=True)
def will_write(row):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """`row` [n] is overwritten soon."""
    for j in range(0, len(row), LINE // row.itemsize):
        _to_write(row, j)
