// swizzle.h: where chunks of 16 bytes of 16-bit elements lie in LDS, in rows of 128 bytes. Row r has chunk c at place
// c ^ swizzle(r), c < 8: rows that the lanes of one phase of a 16-byte access read, whatever the matrix unit, lie in different
// banks, and so do the chunks that neighbouring threads write. Rows a multiple of 16 apart have the same order.
#pragma once
#include "prelude/base.h"

/** A permutation of 0 … 7 for rows 0 … 7, and another for 8 … 15. */
DEVICE int swizzle(int row) { return (((row ^ row >> 1) & 1) * 4 + (row >> 1 & 3)) ^ (row >> 3 & 1) * 2; }
/** The first element of chunk `chunk` of row `row`. */
DEVICE int swizzled(int row, int chunk) { return row * 64 + (chunk ^ swizzle(row)) * 8; }
