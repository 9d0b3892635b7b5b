// dot.h: c + Σ a[i] · b[i] over four signed bytes packed in a word, by one instruction where the target has it; and packing.
#pragma once
#include "prelude/base.h"

DEVICE i32 dot4_i8(i32 a, i32 b, i32 c) {
#if ON_NVIDIA
  return __dp4a(a, b, c);
#elif ON_AMD && (defined(__GFX11__) || defined(__GFX12__))
  return __builtin_amdgcn_sudot4(true, a, true, b, c, false);
#elif ON_AMD && !defined(__gfx900__) && !defined(__gfx902__) && !defined(__gfx904__) && !defined(__gfx909__) && \
    !defined(__gfx90c__) && !defined(__gfx1010__) && !defined(__gfx1013__)
  return __builtin_amdgcn_sdot4(a, b, c, false);
#else
  UNROLL for (int i = 0; i < 32; i += 8) c += i32(i8(a >> i)) * i32(i8(b >> i));
  return c;
#endif
}

/** Byte `at` of each of four words. */
DEVICE u32 pack_bytes(u32 a, u32 b, u32 c, u32 d, int at) {
#if ON_NVIDIA
  const u32 two = 0x0040u + u32(at) * 0x11;
  return __byte_perm(__byte_perm(a, b, two), __byte_perm(c, d, two), 0x5410);
#else
  at *= 8;
  return (a >> at & 255) | (b >> at & 255) << 8 | (c >> at & 255) << 16 | d >> at << 24;
#endif
}
