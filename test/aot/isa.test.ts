// The instructions of the kernels that decoding spends its time in, read back from the code objects: weights and caches
// are loaded 16 bytes a lane at a time, and nothing spills. Without a GPU; compiled code is shared with compile-all.test.ts.
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { compileProgram } from '../../codegen/compile.ts'
import { catalogLimits, kernelCatalog } from '../../codegen/kernels/catalog.ts'
import { findTargets } from '../../codegen/targets.ts'
import { packageRoot } from '../../ir/package-root.ts'
import { type Target, targetId } from '../../ir/target.ts'
import { openKernelCache } from '../../runtime/cache/kernel-cache.ts'
import { occupancy } from '../../runtime/code-object/code-object.ts'
import { compileJob } from '../../runtime/compile/kernel-compiler.ts'
import { createCompileService } from '../../runtime/compile/service.ts'
import { toolchainFor } from '../toolchain.ts'
import { amdInstructions, type MemoryInstructions, nvidiaInstructions, wideShare } from './isa.ts'

const targets = findTargets('gfx90a,gfx942,gfx1100,gfx1201,sm_90')

/** What a token of decoding reads in bulk: weights, and the cache. */
const catalog = kernelCatalog().filter(({ name }) => /^gemv|^attention, (one|eight) tokens?/.test(name))
/** Forms beside the main ones are those that compile-all.test.ts compiles too, and on NVIDIA what other loads they need. */
const thorough = ['gfx942', 'gfx1100', 'sm_90']

/**
 * Least part of what a kernel loads that comes by loads of 16 bytes, each instruction counted once; the rest are scales
 * of blocks, page tables and residuals.
 */
const leastWide = 0.8
/** Where lanes take less at a time: shares as they are, so that they do not fall further. */
const narrower: readonly (readonly [form: RegExp, share: number])[] = [
  [/^gemv\w* q5_[01]/, 0.65], // 6 or 8 bytes of scale, minimum and high bits beside each 16 of codes
  [/^gemv\w* q6_k/, 0.75], // scales of 16 elements, and half of the bytes of upper bits in two pieces
  [/^attention.* (q8_0|f8) cache/, 0.3], // 8 elements a lane, as the other caches have, are 8 bytes, or words of blocks
]
const leastOf = (name: string): number => narrower.find(([form]) => form.test(name))?.[1] ?? leastWide

function fault(name: string, found: MemoryInstructions): string | undefined {
  const share = wideShare(found)
  if (found.scratch > 0) return `${found.scratch} instructions use scratch memory`
  return share < leastOf(name) ? `only ${percent(share)} of its loads are 16 bytes wide` : undefined
}

interface Row {
  readonly name: string
  readonly entry: string
  readonly waves: number
  readonly maxWaves: number
  readonly found: MemoryInstructions
}

const percent = (share: number): string => `${(share * 100).toFixed(0)} %`
const listed = ({ loads }: MemoryInstructions): string =>
  [...loads]
    .sort(([a], [b]) => b - a)
    .map(([bits, count]) => `${count}×${bits}`)
    .join(' ')

/** `gfx942: 42 kernels; 16-byte loads bring 86 % (gemv q5_1) or more; 3 (attention …) to 8 of 8 waves a SIMD` */
function summary(target: Target, rows: readonly Row[]): string {
  const narrowest = rows.reduce((a, b) => (wideShare(b.found) < wideShare(a.found) ? b : a))
  const fewest = rows.reduce((a, b) => (b.waves < a.waves ? b : a))
  return [
    `${targetId(target)}: ${rows.length} kernels, ${rows.filter(({ found }) => found.scratch > 0).length} with scratch memory`,
    `16-byte loads bring ${percent(wideShare(narrowest.found))} (${narrowest.name}: ${listed(narrowest.found)}) or more`,
    `${fewest.waves} (${fewest.name}) to ${Math.max(...rows.map(({ waves }) => waves))} of ${fewest.maxWaves} waves a SIMD`,
  ].join('; ')
}

const compilerFor = (target: Target) =>
  toolchainFor(target.platform === 'nvidia' ? 'nvrtc' : '6.4', `instructions of ${targetId(target)}`)

test.each(targets.map((target) => [targetId(target), target] as const))(
  'wide loads and no scratch memory on %s',
  async (_, target) => {
    const compiler = compilerFor(target)
    if (!compiler) return
    const root = join(packageRoot(), 'node_modules', '.cache', 'rocmforge-test')
    using service = createCompileService({ cache: openKernelCache({ root, readOnly: [] }), toolchain: () => compiler })
    const entries = catalog.filter(({ main }) => main || thorough.includes(targetId(target)))
    const programs = entries.map(({ name, graph }) => ({
      name,
      program: compileProgram(graph, { target, limits: catalogLimits }),
    }))
    const sources = new Map(programs.flatMap(({ program }) => program.kernels.map((source) => [source.id, source])))
    const compiled = await service.compileAll([...sources.values()].map((source) => compileJob(source, target)))
    const images = new Map([...sources.keys()].map((id, i) => [id, compiled[i]!]))
    const texts = new Map<string, string>()
    for (const [id, { image }] of images) {
      if (target.platform === 'nvidia') continue
      const text = await service.disassemble(target, image)
      expect(text, `disassembly of ${id}`).toBeDefined()
      texts.set(id, text!)
    }

    const rows: Row[] = []
    const faults: string[] = []
    for (const { name, program } of programs) {
      for (const [index, { source, entry, block, ldsBytes }] of program.calls.entries()) {
        const { image, resources } = images.get(source)!
        const found =
          target.platform === 'nvidia' ? nvidiaInstructions(image, entry) : amdInstructions(texts.get(source)!, entry)
        const own = resources.find((kernel) => kernel.name === entry)!
        const { waves, maxWaves } = occupancy(own, target, block, ldsBytes)!
        const wrong = fault(name, found)
        if (index > 0 && found.scratch === 0) continue // combines what the first kernel of the call left
        rows.push({ name, entry, found, waves, maxWaves })
        if (wrong) faults.push(`${name}: ${entry} on ${targetId(target)}: ${wrong}; loads ${listed(found)}`)
      }
    }
    console.log(summary(target, rows))
    expect(faults).toEqual([])
  },
  600_000,
)

/** One load of each width, and an array that registers cannot hold: what the table above would have to see. */
const probe = (wide: string): string => `
${wide}
#ifndef __global__
#define __global__ __attribute__((global))
#endif
extern "C" __global__ void probe(const unsigned char* a, const unsigned short* b, const unsigned* c,
                                 const unsigned long long* d, const quad* e, unsigned* y) {
  const quad q = e[LANE]; // each lane its own: what all read alike goes through AMD's scalar unit
  y[0] = a[LANE] + b[LANE] + c[LANE] + unsigned(d[LANE] >> 7) + q.x + q.y + q.z + q.w;
}
extern "C" __global__ void spilling(const unsigned* at, unsigned* y) {
  unsigned many[64];
  for (int i = 0; i < 64; i++) many[i] = at[i];
  for (int i = 0; i < 64; i++) y[i] = many[at[i] & 63];
}`

test.each([
  ['gfx942', 'typedef unsigned quad __attribute__((ext_vector_type(4)));'],
  ['gfx1201', 'typedef unsigned quad __attribute__((ext_vector_type(4)));'],
  ['sm_90', 'typedef uint4 quad;'],
] as const)('loads of every width and scratch memory are seen on %s', async (name, wide) => {
  const target = findTargets(name)[0]!
  const compiler = compilerFor(target)
  if (!compiler) return
  const root = join(packageRoot(), 'node_modules', '.cache', 'rocmforge-test')
  using service = createCompileService({ cache: openKernelCache({ root, readOnly: [] }), toolchain: () => compiler })
  const lane = target.platform === 'amd' ? '__builtin_amdgcn_workitem_id_x()' : 'threadIdx.x'
  const [kernel] = await service.compileAll([
    { source: `#define LANE ${lane}\n${probe(wide)}`, kernels: ['probe', 'spilling'], target, label: 'probe' },
  ])
  const text = await service.disassemble(target, kernel!.image)
  const seen = (entry: string) =>
    text === undefined ? nvidiaInstructions(kernel!.image, entry) : amdInstructions(text, entry)
  expect([...seen('probe').loads].sort(([a], [b]) => a - b)).toEqual([8, 16, 32, 64, 128].map((bits) => [bits, 1]))
  expect(seen('probe').scratch).toBe(0)
  expect(seen('spilling').scratch).toBeGreaterThan(0)
})
