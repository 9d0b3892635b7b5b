// Weights in planes: what is loaded lies as the reference says, and decodes to the values of the blocks it came from.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Program } from '../../../codegen/program.ts'
import { findTargets, hostTarget } from '../../../codegen/targets.ts'
import { toPlanesSource } from '../../../codegen/weight-source.ts'
import { quantFormats } from '../../../ir/quant.ts'
import { decodeTensor } from '../../../ir/tensor-bytes.ts'
import { byteSize, type TensorType, tensor } from '../../../ir/type.ts'
import { fromBlocks, type PlanarType, planes, toBlocks, weightLayout } from '../../../ir/weight-layout.ts'
import { openKernelCache } from '../../../runtime/cache/kernel-cache.ts'
import { spills } from '../../../runtime/code-object/code-object.ts'
import { compileJob, kernelCompiler } from '../../../runtime/compile/kernel-compiler.ts'
import { type CompileService, createCompileService } from '../../../runtime/compile/service.ts'
import { randomBytes } from '../../../runtime/execute/random-fill.ts'
import type { WeightSource } from '../../../runtime/execute/weight-reads.ts'
import { DeviceWeights } from '../../../runtime/execute/weights.ts'
import { hostLibraryPath } from '../../../runtime/host/library.ts'
import { Driver, type Kernel, type Module } from '../../../runtime/platform/driver.ts'
import fc from '../../fast-check.ts'
import { compileKernels, emulated, type Kernels } from '../../hip-templates/prelude/prelude-harness.ts'
import { toolchainFor } from '../../toolchain.ts'

const types = Object.keys(planes) as PlanarType[]
/** Lengths of rows whose planes are aligned to 16, 8, 4 and 2 bytes. */
const lengths = { 32: [32, 64, 96, 128, 256, 544], 256: [256, 512, 1024, 2048] } as const
const rows = 3

const weightOf = (dtype: PlanarType, K: number, seed = 1): { type: TensorType; bytes: Uint8Array } => {
  const type = tensor(dtype, [rows, K])
  const bytes = new Uint8Array(byteSize(type))
  randomBytes(dtype, seed, bytes)
  return { type, bytes }
}

describe('the reference', () => {
  test.each(types)('%s: every byte of a block is in one field, planes get narrower', (dtype) => {
    const covered = planes[dtype].flatMap(({ at, bytes }) => Array.from({ length: bytes }, (_, i) => at + i))
    expect(covered.sort((a, b) => a - b)).toEqual(Array.from({ length: quantFormats[dtype].bytes }, (_, i) => i))
    const sizes = planes[dtype].map(({ bytes }) => bytes)
    expect(sizes).toEqual([...sizes].sort((a, b) => b - a))
  })

  test('there and back is where it was; blocks stay as they are', () =>
    fc.assert(
      fc.property(fc.constantFrom(...types), fc.integer({ min: 1, max: 9 }), fc.nat(), (dtype, blocks, seed) => {
        const { type, bytes } = weightOf(dtype, blocks * quantFormats[dtype].block, seed)
        const planar = fromBlocks(type, 'planes', bytes)
        expect(toBlocks(type, 'planes', planar)).toEqual(bytes)
        expect(fromBlocks(type, 'blocks', bytes)).toBe(bytes)
      }),
    ))

  test('GPUs and emulated ones keep planes, of weights alone', () => {
    const emulating = hostTarget({ mode: 'emulate', wave: 64 })
    expect(types.map((dtype) => weightLayout({ dtype }, emulating))).toEqual(types.map(() => 'planes'))
    expect(types.map((dtype) => weightLayout({ dtype }, hostTarget()))).toEqual(types.map(() => 'blocks'))
    expect(weightLayout({ dtype: 'q4_k' }, emulating)).toBe('blocks')
    expect(weightLayout({ dtype: 'bf16' }, emulating)).toBe('blocks')
    expect(weightLayout({ dtype: 'q8_0', state: true }, emulating)).toBe('blocks')
  })
})

const cases = types.flatMap((dtype) => lengths[quantFormats[dtype].block as 32 | 256].map((K) => [dtype, K] as const))
const text = /* cpp */ `
#include "prelude/quant.h"
template <class W, int N> DEVICE void decode(float* y, const u8* w, i32 rows, i32 K) {
  for (int r = block_id(); r < rows; r += grid_size())
    for (int k = thread_id() * N; k < K; k += BLOCK * N)
      store<N>(y + r * K + k, W::template load<N>(w + r * W::row_bytes(K), k));
}
${cases
  .flatMap(([dtype, K]) =>
    [8, 32].map(
      (
        n,
      ) => `extern "C" __global__ __launch_bounds__(BLOCK) void ${dtype}_${K}_by_${n}(float* y, const u8* w, i32 rows) {
  decode<${dtype}_planes<${K}>, ${n}>(y, w, rows, ${K});
}`,
    ),
  )
  .join('\n')}`

describe('decoding', () => {
  let kernels: Kernels
  beforeAll(async () => {
    kernels = await compileKernels(text, emulated(32, 32))
  }, 60_000)

  test.each(cases)('%s, rows of %i', (dtype, K) => {
    const { type, bytes } = weightOf(dtype, K)
    const want = decodeTensor(dtype, [rows, K], bytes).data
    for (const n of [8, 32]) {
      const y = new Float32Array(rows * K)
      kernels.run(`${dtype}_${K}_by_${n}`, 2, [y, fromBlocks(type, 'planes', bytes), { i32: rows }])
      expect(y.findIndex((v, i) => v !== want[i])).toBe(-1) // -0 is 0
    }
  })
})

describe.each([32, 64] as const)('loading, waves of %i', (wave) => {
  const target = hostTarget({ mode: 'emulate', wave })
  let driver: Driver
  let service: CompileService
  const modules: Module[] = []
  const compiled = new Map<string, Kernel>()
  beforeAll(async () => {
    driver = new Driver('host', await hostLibraryPath(), 0)
    service = createCompileService({ cache: openKernelCache() })
    const sources = types.map((dtype) => toPlanesSource(dtype, target))
    for (const [id, image] of await kernelCompiler(service).compile(sources, target)) {
      const module = driver.loadModule(image)
      modules.push(module)
      compiled.set(id, module.kernel('to_planes'))
    }
  }, 60_000)
  afterAll(() => {
    for (const module of modules) module[Symbol.dispose]()
    service[Symbol.dispose]()
    driver[Symbol.dispose]()
  })

  /** Weights one behind the other in one buffer, as a program has them. */
  const programOf = (weights: readonly TensorType[]): Program => {
    let end = 0
    const parts = weights.map((type, i) => {
      const bytes = byteSize(type)
      end += bytes
      return { weight: `w${i}`, type, bytes, offset: end - bytes, layout: weightLayout(type, target) }
    })
    const buffer = { id: '@w', kind: 'weight', type: weights[0], bytes: end, parts }
    return { target, buffers: { '@w': buffer } } as unknown as Program
  }

  const bytesOf = (program: Program): Uint8Array[] =>
    program.buffers['@w']!.parts!.map(({ type, bytes }, i) => {
      const out = new Uint8Array(bytes)
      randomBytes(type.dtype, i + 1, out)
      return out
    })

  const load = async (program: Program, source: WeightSource): Promise<Uint8Array> => {
    using stream = driver.createStream()
    using weights = new DeviceWeights(driver, (id) => compiled.get(id)!)
    await weights.load([program], source, stream)
    const got = new Uint8Array(program.buffers['@w']!.bytes)
    driver.copyToHost(got, weights.addressOf(program.buffers['@w']!))
    return got
  }

  const expected = (program: Program): Uint8Array => {
    const out = new Uint8Array(program.buffers['@w']!.bytes)
    for (const [i, { type, offset, layout }] of program.buffers['@w']!.parts!.entries())
      out.set(fromBlocks(type, layout, bytesOf(program)[i]!), offset)
    return out
  }

  const weights = fc.array(
    fc
      .record({
        dtype: fc.constantFrom(...types, 'q4_k' as const, 'bf16' as const),
        rows: fc.integer({ min: 1, max: 5 }),
        blocks: fc.integer({ min: 1, max: 20 }),
      })
      .map(({ dtype, rows, blocks }) =>
        tensor(dtype, [rows, blocks * (dtype === 'bf16' ? 8 : quantFormats[dtype].block)]),
      ),
    { minLength: 1, maxLength: 4 },
  )

  test('whatever is read ends up where the reference has it', () =>
    fc.assert(
      fc.asyncProperty(weights, fc.boolean(), async (types, fromFile) => {
        const program = programOf(types)
        const file = {
          path: 'model',
          read: async (into: Uint8Array, at: number) => void into.set(whole.subarray(at, at + into.length)),
        }
        const all = bytesOf(program)
        const whole = Buffer.concat(all)
        const at = (name: string) => Number(name.slice(1))
        const place = (name: string) => program.buffers['@w']!.parts![at(name)]!.offset
        const got = await load(program, {
          read: (name, _, into, offset) => into.set(all[at(name)]!.subarray(offset, offset + into.length)),
          ...(fromFile ? { locate: (name: string) => ({ file, offset: place(name) }) } : {}),
        })
        expect(got).toEqual(expected(program))
      }),
      { numRuns: 30 },
    ))

  test('a weight larger than a read goes in whole rows, read or made on the device', async () => {
    const program = programOf([tensor('q8_0', [9000, 1056])]) // 10 MB; rows that divide no power of two
    const [all] = bytesOf(program)
    const want = expected(program)
    const read: WeightSource['read'] = (_, __, into, offset) => into.set(all!.subarray(offset, offset + into.length))
    expect(Buffer.compare(await load(program, { read }), want)).toBe(0)
    const parts: number[] = []
    const fill: WeightSource['fill'] = ({ offset, bytes, address }, stream) => {
      parts.push(bytes)
      stream.synchronize() // what this puts there comes behind the kernels before
      driver.viewOf(address, bytes).set(all!.subarray(offset, offset + bytes))
      return true
    }
    expect(Buffer.compare(await load(program, { read, fill }), want)).toBe(0)
    expect(parts.length).toBe(2)
    expect(parts.every((bytes) => bytes % 1122 === 0)).toBe(true)
  })
})

test.each(['gfx942', 'gfx1100', 'sm_90'])('compiles for %s without a spill', async (name) => {
  const [target] = findTargets(name)
  const toolchain = toolchainFor(target!.platform === 'nvidia' ? 'nvrtc' : '6.4', `planes for ${name}`)
  if (!toolchain) return
  using service = createCompileService({ cache: openKernelCache(), toolchain: () => toolchain })
  const jobs = types.map((dtype) => compileJob(toPlanesSource(dtype, target!), target!))
  for (const { resources } of await service.compileAll(jobs)) expect(resources.filter(spills)).toEqual([])
})
