// to_planes: rows of blocks, as files have them, become rows in planes (prelude/quant.h)
//   A kernel of the runtime: it implements no op; a program names it for the weights that it reads in planes.
//   layout    x: rows of ROW_BLOCKS blocks of FORMAT, y: the same rows in planes, both as 16-bit words
//   launch    any grid, block = BLOCK; a thread moves a word at a time
//   aliasing  none
//   numerics  exact
//   limits    any number of whole rows below 2³² words; x and y aligned to 2 bytes
#ifndef P_FORMAT
#define P_FORMAT q8_0_format  // one of the formats of prelude/quant.h that have planes
#endif
#include "prelude/quant.h"

typedef P_FORMAT format_t;
constexpr u32 WORDS = format_t::block_bytes / 2;  // of a block

KERNEL void to_planes(u16* y, const u16* x, u32 row_blocks, u32 words) {
  for (u32 i = u32(block_id()) * BLOCK + thread_id(); i < words; i += u32(grid_size()) * BLOCK) {
    const u32 block = i / WORDS, row = block / row_blocks, index = block - row * row_blocks;
    y[row * row_blocks * WORDS + format_t::all::place((i - block * WORDS) * 2, index, row_blocks) / 2] = x[i];
  }
}
