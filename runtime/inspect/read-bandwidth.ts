// What a device's memory gives to a kernel that only reads it: the yardstick beside which memory-bound work is reported.
import type { KernelSource } from '../../codegen/program.ts'
import { targetDefines } from '../../codegen/target-defines.ts'
import type { Target } from '../../ir/target.ts'
import type { KernelCompiler } from '../compile/kernel-compiler.ts'
import type { Driver } from '../platform/driver.ts'

const tileVectors = 8
const rounds = 4

interface ReadBandwidth {
  /** a second, of the best of some grids, each timed several times */
  readonly bytesPerSecond: number
  /** bytes that were read at a time */
  readonly bytes: number
  /** blocks of the best grid */
  readonly grid: number
}

const blockOf = (target: Target): number =>
  target.platform !== 'host' ? 256 : target.mode === 'emulate' ? target.wave : 1

export const readAllSource = (target: Target): KernelSource => ({
  id: 'read_all',
  template: 'memory/read_all.hip',
  defines: { ...targetDefines(target), P_BLOCK: blockOf(target), P_TILE_VECTORS: tileVectors },
  entries: ['read_all'],
})

/** Times a plain read of about `bytes` of device memory of its own. */
export async function measureReadBandwidth(
  device: { readonly driver: Driver; readonly target: Target; readonly compiler: KernelCompiler },
  bytes: number,
  signal?: AbortSignal,
): Promise<ReadBandwidth> {
  const { driver, target, compiler } = device
  const source = readAllSource(target)
  const images = await compiler.compile([source], target, signal)
  const block = blockOf(target)
  const tileBytes = tileVectors * block * 16
  const tiles = Math.max(1, Math.floor(bytes / tileBytes))
  using module = driver.loadModule(images.get(source.id)!)
  using stream = driver.createStream()
  using memory = driver.during('a plain read', () => driver.alloc(tiles * tileBytes))
  using out = driver.alloc(16)
  using start = driver.createEvent()
  using stop = driver.createEvent()
  driver.fill32(memory.address, 0x3c003c00, (tiles * tileBytes) / 4)
  driver.synchronize()
  let best: ReadBandwidth = { bytesPerSecond: 0, bytes: tiles * tileBytes, grid: 0 }
  const grids = target.platform === 'host' ? [target.cus, 16 * target.cus] : [2, 4, 32].map((n) => n * target.cus)
  for (const grid of new Set([...grids, 65536].map((n) => Math.max(1, Math.min(n, tiles))))) {
    const launch = driver.prepareLaunch({
      fn: module.kernel('read_all'),
      grid: [grid],
      block: [block],
      args: [
        { kind: 'pointer', address: out.address },
        { kind: 'pointer', address: memory.address },
        { kind: 'i32', value: tiles },
      ],
      label: 'a plain read',
    })
    for (let round = 0; round < rounds; round++) {
      signal?.throwIfAborted()
      start.record(stream)
      launch.enqueue(stream)
      stop.record(stream)
      await stop.synchronizeAsync()
      const bytesPerSecond = best.bytes / (stop.millisecondsSince(start) / 1e3)
      if (round > 0 && bytesPerSecond > best.bytesPerSecond) best = { ...best, bytesPerSecond, grid }
    }
  }
  return best
}
