// pages.h: where a position of a request lies in the paged cache [P, Hkv, PAGE, C]: page page_table[r, p / PAGE], slot
// p mod PAGE. A negative page is none.
#pragma once
#ifndef P_KV_HEADS
#define P_KV_HEADS 8  // Hkv
#endif
#ifndef P_PAGE
#define P_PAGE 16  // positions of a page
#endif
#ifndef P_HEAD_DIM
#define P_HEAD_DIM 64  // C, channels of a head
#endif
#ifndef P_KV
#define P_KV f16_t  // element type of the cache
#endif
#include "prelude/block.h"

typedef P_KV kv_t;
constexpr int KV_HEADS = P_KV_HEADS, PAGE = P_PAGE, CHANNELS = P_HEAD_DIM;

/** The page of `position`, from the pages of its request. */
DEVICE int page_of(const i32* pages, int position) { return pages[position / PAGE]; }
/** Element index of channel 0 of a position's row in its page. */
DEVICE size_t cache_row(int page, int head, int position) {
  return ((size_t(page) * KV_HEADS + head) * PAGE + position % PAGE) * CHANNELS;
}
