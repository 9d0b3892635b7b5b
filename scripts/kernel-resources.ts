// The tables of docs/kernel-resources.md: registers, LDS and occupancy of every kernel on every target, and of decode steps
// that are one launch.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type CatalogEntry, kernelCatalog } from '../codegen/kernels/catalog.ts'
import { findTargets } from '../codegen/targets.ts'
import { packageRoot } from '../ir/package-root.ts'
import { type Target, targetId } from '../ir/target.ts'
import { openKernelCache } from '../runtime/cache/kernel-cache.ts'
import { createCompileService } from '../runtime/compile/service.ts'
import { findToolchains, selectToolchain, type Toolchain } from '../runtime/compile/toolchains.ts'
import {
  describeFaults,
  kernelResources,
  type ResourceRow,
  type StepRow,
  stepResources,
} from '../runtime/inspect/kernel-resources.ts'
import { ModelPlan } from '../src/api/plan.ts'
import { type BenchWeights, randomModel } from '../src/bench/random-model.ts'
import { compileOptions, readOptions } from '../src/options.ts'

const supported =
  'gfx906,gfx908,gfx90a,gfx942,gfx950,gfx1030,gfx1100,gfx1101,gfx1102,gfx1103,gfx1150,gfx1151,gfx1200,gfx1201,sm_90'

const words = process.argv.slice(2)
const targets = findTargets(words.includes('--targets') ? words[words.indexOf('--targets') + 1]! : supported)
const catalog = kernelCatalog()
const root = join(packageRoot(), 'node_modules', '.cache', 'rocmforge-test') // with the tests', which compile the same
/** One release for all AMD targets, so that columns compare. */
const compilerOf = (target: Target): Toolchain =>
  findToolchains().find(
    ({ family, version }) => family === 'hiprtc' && target.platform === 'amd' && version.startsWith('6.4'),
  ) ?? selectToolchain(target)
const service = createCompileService({ cache: openKernelCache({ root, readOnly: [] }), toolchain: compilerOf })
const start = performance.now()
const rows = await kernelResources(service, catalog, targets, {
  onProgress({ done, total, fromCache }) {
    if (done % 100 === 0 || done === total) console.error(`${done}/${total}, ${fromCache} from cache`)
  },
})
const steps = await stepResources(service, stepPrograms(targets))
service[Symbol.dispose]()

const text = document(catalog, targets, rows, steps)
console.log(text)
console.error(`${rows.length} kernels in ${((performance.now() - start) / 1000).toFixed(1)} s`)
const faults = describeFaults([...rows, ...steps])
for (const fault of faults) console.error(fault)
if (!words.includes('--check')) writeFileSync(join(packageRoot(), 'docs', 'kernel-resources.md'), text)
if (faults.length > 0) process.exitCode = 1

/** A decode step of a 1B Llama for every target; other shapes, types and batches for one of each wave size. */
function stepPrograms(all: readonly Target[]) {
  const step = (target: Target, shape: string, weights: BenchWeights, batch: number) => {
    const settings = readOptions(compileOptions, { step: 'persistent', context: 2048, maxBatch: batch })
    const program = new ModelPlan(randomModel(shape, weights), settings, target).program('decode', batch)
    return { ...program, name: `${shape}, ${weights}, ${batch === 1 ? 'one token' : `${batch} tokens`}` }
  }
  const some = all.filter((target) => ['gfx942', 'gfx1100'].includes(targetId(target)))
  return [
    ...all.map((target) => step(target, 'llama-1b', 'bf16', 1)),
    ...some.map((target) => step(target, 'llama-1b', 'bf16', 8)),
    ...some.map((target) => step(target, 'qwen3-0.6b', 'q4_0', 1)),
  ]
}

function document(
  entries: readonly CatalogEntry[],
  all: readonly Target[],
  table: readonly ResourceRow[],
  stepTable: readonly StepRow[],
): string {
  const compilers = [...new Set(all.map(compilerOf))]
  const compilerNames = compilers.map(({ family, version }) => `${family === 'hiprtc' ? 'hipRTC' : 'NVRTC'} ${version}`)
  return [
    '# What every kernel occupies',
    '',
    'Written by `npm run kernel-resources`; do not edit. Each kernel in its default configuration, for the shapes of an 8B',
    `Llama (\`codegen/kernels/catalog.ts\`), by ${compilerNames.join(' and ')}. A cell reads`,
    '`VGPRs/SGPRs/LDS → waves`: registers a lane and a wave, bytes of LDS a block (static and dynamic), and the waves that a',
    'SIMD can hold by registers and LDS (NVIDIA: warps on a quarter of an SM). `+` counts accumulator registers. No kernel',
    'spills or uses scratch memory; CI compiles each kernel for each set of instructions, and fails where one does.',
    '',
    ...groups(all).flatMap((group) => section(entries, group, table)),
    ...stepSection(stepTable),
  ].join('\n')
}

/** Targets side by side that fit on a page: by family. */
function groups(all: readonly Target[]): Target[][] {
  const families: [string, RegExp][] = [
    ['gcn, cdna', /^gfx9/],
    ['rdna', /^gfx10|^gfx1100|^gfx1101|^gfx1102/],
    ['apu, rdna 4, nvidia', /./],
  ]
  const left = new Set(all)
  return families.flatMap(([, pattern]) => {
    const group = [...left].filter(({ name }) => pattern.test(name))
    for (const target of group) left.delete(target)
    return group.length > 0 ? [group] : []
  })
}

function section(entries: readonly CatalogEntry[], group: readonly Target[], table: readonly ResourceRow[]): string[] {
  const names = group.map(targetId)
  const kernels = entries.flatMap(({ name }) => {
    const own = table.filter((row) => row.name === name)
    return [...new Set(own.map(({ entry }) => entry))].map((entry) => ({ name, entry }))
  })
  return [
    `## ${names.join(', ')}`,
    '',
    `| kernel | block | ${names.join(' | ')} |`,
    `|---|---|${names.map(() => '---').join('|')}|`,
    ...kernels.map(({ name, entry }) => {
      const cells = group.map((target) =>
        table.find((row) => row.name === name && row.entry === entry && row.target === target),
      )
      const blocks = [...new Set(cells.flatMap((cell) => (cell ? [cell.block] : [])))].join('/')
      const title = entry === name.split(/[ ,]/)[0] ? name : `${name}: ${entry}`
      return `| ${title} | ${blocks} | ${cells.map(cellText).join(' | ')} |`
    }),
    '',
  ]
}

function stepSection(table: readonly StepRow[]): string[] {
  return [
    '## A decode step as one launch',
    '',
    'Every kernel of a step but the sampler, compiled as stages of one launch (`step: persistent`). Between stages that read',
    'what others wrote all blocks pass a barrier, so as many are launched as can be resident at once: the last column, for each CU',
    '(NVIDIA: SM). Scalar registers of so many stages may wait in lanes of a vector register; no vector register spills.',
    '',
    '| step | target | stages | barriers | threads | VGPRs/SGPRs | LDS | resident blocks a CU |',
    '|---|---|---|---|---|---|---|---|',
    ...table.map(({ name, target, stages, barriers, block, dynamicLdsBytes, resources, blocksPerUnit, faults }) => {
      const { vgprs, agprs, sgprs, ldsBytes = 0 } = resources ?? {}
      const registers = resources ? `${vgprs ?? '–'}${agprs ? `+${agprs}` : ''}/${sgprs ?? '–'}` : 'fails'
      const cells = [name, targetId(target), stages, barriers, block, registers, ldsBytes + dynamicLdsBytes]
      return `| ${[...cells, `${blocksPerUnit ?? '–'}${faults.length > 0 ? ' !' : ''}`].join(' | ')} |`
    }),
    '',
  ]
}

function cellText(row: ResourceRow | undefined): string {
  if (!row?.resources) return row ? 'fails' : '–'
  const { vgprs, agprs, sgprs, ldsBytes = 0 } = row.resources
  const registers = `${vgprs ?? '–'}${agprs ? `+${agprs}` : ''}/${sgprs ?? '–'}/${ldsBytes + row.dynamicLdsBytes}`
  return `${registers} → ${row.occupancy?.waves ?? '–'}${row.faults.length > 0 ? ' !' : ''}`
}
