// window.h: which positions a query sees, and how they are split over blocks.
#pragma once
#ifndef P_WINDOW
#define P_WINDOW 0  // positions a query sees, itself included; 0: all
#endif
#ifndef P_SPLITS
#define P_SPLITS 1  // blocks that share the positions of a query
#endif
#ifndef P_LEAST_SPLIT
#define P_LEAST_SPLIT 256  // positions of a block, as long as blocks share a query
#endif
#include "prelude/base.h"

constexpr int WINDOW = P_WINDOW, SPLITS = P_SPLITS;
/** Fewer positions than this are not worth a block: it costs more to combine what several have found. */
constexpr int LEAST_SPLIT = P_LEAST_SPLIT;

DEVICE int first_seen(int position) { return WINDOW ? max_int(0, position - WINDOW + 1) : 0; }
/** Positions of each split when `count` are seen: of SPLITS splits, the first ⌈count / this⌉ have work. */
DEVICE int split_length(int count) {
  return SPLITS == 1 ? count : max_int(LEAST_SPLIT, ceil_div(count, SPLITS * 16) * 16);
}
