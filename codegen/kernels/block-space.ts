// What specs say alike about blocks: which sizes a target may try for P_BLOCK.
import type { Target } from '../../ir/target.ts'

/** The host in fast mode: a block is one thread with SIMD registers. */
export const isFastHost = (target: Target): boolean => target.platform === 'host' && target.mode !== 'emulate'

/** Those of `sizes`, threads, that are whole waves and allowed on the target; the order is kept. */
export function blockSpace(target: Target, sizes: readonly number[]): readonly number[] {
  if (isFastHost(target)) return [1]
  const allowed = sizes.filter((size) => size % target.wave === 0 && size <= target.maxBlock)
  return allowed.length ? allowed : [target.wave]
}
