// Random weights: the kernel writes the bytes that the reference computes, in every type, at every place and length.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { findTargets, hostTarget } from '../../../codegen/targets.ts'
import { quantFormats } from '../../../ir/quant.ts'
import { decodeTensor } from '../../../ir/tensor-bytes.ts'
import type { FloatType } from '../../../ir/type.ts'
import { openKernelCache } from '../../../runtime/cache/kernel-cache.ts'
import { compileJob, kernelCompiler } from '../../../runtime/compile/kernel-compiler.ts'
import { type CompileService, createCompileService } from '../../../runtime/compile/service.ts'
import { canFill, RandomFill, randomBytes, randomFillSource } from '../../../runtime/execute/random-fill.ts'
import { hostLibraryPath } from '../../../runtime/host/library.ts'
import { measureReadBandwidth, readAllSource } from '../../../runtime/inspect/read-bandwidth.ts'
import { Driver } from '../../../runtime/platform/driver.ts'
import { toolchainFor } from '../../toolchain.ts'

const types = [...(['f32', 'f16', 'bf16'] as const), ...(Object.keys(quantFormats) as (keyof typeof quantFormats)[])]

let driver: Driver
let service: CompileService
beforeAll(async () => {
  driver = new Driver('host', await hostLibraryPath(), 0)
  service = createCompileService({ cache: openKernelCache() })
})
afterAll(() => {
  service[Symbol.dispose]()
  driver[Symbol.dispose]()
})

describe.each([
  ['fast', hostTarget()],
  ['waves of 32', hostTarget({ mode: 'emulate', wave: 32 })],
  ['waves of 64', hostTarget({ mode: 'emulate', wave: 64 })],
])('on the host, %s', (_, target) => {
  test('every type gets the bytes of the reference, and nothing beyond them', async () => {
    const device = { driver, target, compiler: kernelCompiler(service) }
    using fill = await RandomFill.create(device, types)
    using stream = driver.createStream()
    for (const type of types)
      for (const shift of [0, 2, 16]) {
        const bytes = (type in quantFormats ? quantFormats[type as 'q8_0'].bytes : 4) * 37
        using memory = driver.alloc(bytes + 64)
        driver.fill(memory.address, 0xee, bytes + 64)
        fill.fill(type, 12345, memory.address + BigInt(shift), bytes, stream)
        stream.synchronize()
        const got = driver.viewOf(memory.address, bytes + 64)
        const expected = new Uint8Array(bytes + 64).fill(0xee)
        randomBytes(type, 12345, expected.subarray(shift, shift + bytes))
        expect(got, `${type}, ${shift} bytes off`).toEqual(expected)
        const offset = 14 // a part of it, from a place within a block on
        fill.fill(type, 12345, memory.address, bytes - offset, stream, offset)
        stream.synchronize()
        expect(driver.viewOf(memory.address, bytes - offset), `${type}, a part`).toEqual(
          expected.subarray(shift + offset, shift + bytes),
        )
      }
  })

  test('memory is read at some speed', async () => {
    const device = { driver, target, compiler: kernelCompiler(service) }
    const { bytesPerSecond, bytes } = await measureReadBandwidth(device, 2 ** 18)
    expect(bytes).toBe(2 ** 18)
    expect(bytesPerSecond).toBeGreaterThan(0)
  })
})

test.each(types)('%s: numbers near 0, of a deviation that a model can bear', (type) => {
  const { block, bytes } =
    type in quantFormats ? quantFormats[type as 'q8_0'] : { block: 1, bytes: type === 'f32' ? 4 : 2 }
  const raw = new Uint8Array(64 * 256 * (bytes / block))
  randomBytes(type, 7, raw)
  const values = [...decodeTensor(type, [64, 256], raw).data]
  expect(values.every(Number.isFinite)).toBe(true)
  const mean = values.reduce((a, b) => a + b, 0) / values.length
  const deviation = Math.sqrt(values.reduce((sum, v) => sum + (v - mean) ** 2, 0) / values.length)
  expect(Math.abs(mean)).toBeLessThan(0.01)
  expect(deviation).toBeGreaterThan(0.005)
  expect(deviation).toBeLessThan(0.15)
})

test('pieces are those of the whole; seeds differ', () => {
  const whole = new Uint8Array(34 * 8)
  randomBytes('q8_0', 1, whole)
  const piece = new Uint8Array(50)
  randomBytes('q8_0', 1, piece, 70)
  expect(piece).toEqual(whole.subarray(70, 120))
  const other = new Uint8Array(34 * 8)
  randomBytes('q8_0', 2, other)
  expect(other).not.toEqual(whole)
  expect(canFill('i32')).toBe(false)
})

const perFloat = types.filter((type) => ['f32', 'bf16', 'q4_k', 'q6_k'].includes(type)) as FloatType[]
test.each(['gfx942', 'gfx1100', 'sm_90'])('compiles for %s without a spill', async (name) => {
  const [target] = findTargets(name)
  const toolchain = toolchainFor(target!.platform === 'nvidia' ? 'nvrtc' : '6.4', `filling for ${name}`)
  if (!toolchain) return
  const sources = [...perFloat.map((type) => randomFillSource(type, target!)), readAllSource(target!)]
  for (const { resources } of await service.compileAll(sources.map((source) => compileJob(source, target!))))
    for (const { scratchBytes = 0, vgprSpills = 0 } of resources) expect(scratchBytes || vgprSpills || 0).toBe(0)
})
