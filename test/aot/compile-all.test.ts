// Every kernel compiled for every set of instructions, without a GPU: none may spill, use scratch memory, take more LDS than
// there is or run in waves of another size than its target's. One target of each wave size takes all forms of a kernel, the
// others one form of each and a share of the rest, targets with the same instructions a share of the kernels among them
// (`npm run kernel-resources` compiles all for all). Kept in the tests' cache, so that repeats only read.
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { compileProgram } from '../../codegen/compile.ts'
import { catalogLimits, kernelCatalog } from '../../codegen/kernels/catalog.ts'
import { kernelSpecs } from '../../codegen/kernels/index.ts'
import { listTemplates } from '../../codegen/source.ts'
import { findTargets, hostTarget } from '../../codegen/targets.ts'
import { packageRoot } from '../../ir/package-root.ts'
import { type Target, targetId } from '../../ir/target.ts'
import { openKernelCache } from '../../runtime/cache/kernel-cache.ts'
import { type CompileService, createCompileService } from '../../runtime/compile/service.ts'
import type { Toolchain } from '../../runtime/compile/toolchains.ts'
import { describeFaults, kernelResources } from '../../runtime/inspect/kernel-resources.ts'
import { type Release, toolchainFor } from '../toolchain.ts'

const catalog = kernelCatalog()
const main = catalog.filter((entry) => entry.main)

/**
 * One target of each wave size: all main forms, and every second of those beside between them (isa.test.ts compiles all of
 * decoding's for both; `npm run kernel-resources` all for all).
 */
const thorough = ['gfx942', 'gfx1100']
/** Sets of instructions of their own: each kernel in one form; they share the other main forms. */
const distinct = ['gfx906', 'gfx90a', 'gfx1030', 'gfx1201']
/**
 * Targets with the instructions of another, or nearly, take each kernel in one form, and those that differ in numbers of
 * units alone take turns with the kernels; so do the targets of releases beside the main one.
 */
const alike: readonly (readonly string[])[] = [
  ['gfx908', 'gfx950'],
  ['gfx1101', 'gfx1102', 'gfx1103'],
  ['gfx1150', 'gfx1151', 'gfx1200'],
]
const onceOn = (on: string) => {
  const seen = new Set<string>()
  return main.filter(({ graph }) => {
    const { calls } = compileProgram(graph, { target: findTargets(on)[0]!, limits: catalogLimits })
    const isNew = calls.some(({ kernel }) => !seen.has(kernel))
    for (const { kernel } of calls) seen.add(kernel)
    return isNew
  })
}
const eachOnce = onceOn('gfx942')
const share = (targets: readonly string[], name: string) =>
  eachOnce.filter((_, i) => i % targets.length === targets.indexOf(name))
function entriesFor(name: string): typeof catalog {
  const group = alike.find((targets) => targets.includes(name))
  if (group) return share(group, name)
  const apart = distinct.indexOf(name)
  if (apart >= 0) {
    const others = main.filter((entry) => !eachOnce.includes(entry))
    return [...eachOnce, ...others.filter((_, i) => i % distinct.length === apart)]
  }
  const turn = thorough.indexOf(name)
  const beside = catalog.filter((entry) => !entry.main).filter((_, i) => i % (2 * thorough.length) === turn)
  return [...main, ...beside]
}
const amdTargets =
  'gfx906,gfx908,gfx90a,gfx942,gfx950,gfx1030,gfx1100,gfx1101,gfx1102,gfx1103,gfx1150,gfx1151,gfx1200,gfx1201'

function serviceWith(toolchain: Toolchain): CompileService {
  const root = join(packageRoot(), 'node_modules', '.cache', 'rocmforge-test')
  const cache = openKernelCache({ root, readOnly: [] })
  return createCompileService({ cache, toolchain: () => toolchain })
}

test('the catalog reaches every kernel and every template', () => {
  const targets = [...findTargets('gfx942,gfx1100,sm_90'), hostTarget()]
  const used = { specs: new Set<string>(), templates: new Set<string>() }
  for (const target of targets)
    for (const { graph } of main) {
      const program = compileProgram(graph, { target, limits: catalogLimits })
      for (const { kernel } of program.calls) used.specs.add(kernel)
      for (const { template } of program.kernels) used.templates.add(template)
    }
  const few = new Set(['attention_decode']) // where few requests fill the device, which many-core ones never are
  expect(kernelSpecs.map(({ name }) => name).filter((name) => !used.specs.has(name) && !few.has(name))).toEqual([])
  // no kernels of an op: test/runtime/execute/random-fill.test.ts compiles those of memory/, persistent.test.ts steps
  const ofRuntime = listTemplates().filter((template) => /^(memory|step)\//.test(template))
  expect(listTemplates().filter((template) => ![...used.templates, ...ofRuntime].includes(template))).toEqual([])
})

test('names of the catalog are unique', () => {
  expect(new Set(catalog.map(({ name }) => name)).size).toBe(catalog.length)
})

/** 5.2 knows no gfx11; 7.2 drops names that 6.4 pre-includes. */
const turns: readonly (readonly [Release, string])[] = [
  ['6.4', amdTargets],
  ['5.2', 'gfx90a,gfx1030'],
  ['7.2', 'gfx942,gfx1201'],
  ['nvrtc', 'sm_90'],
]
describe.each(turns)('%s', (release, targets) => {
  test.each(findTargets(targets).map((target) => [targetId(target), target] as const))(
    'its kernels for %s',
    async (name, target) => {
      const toolchain = toolchainFor(release, `kernels for ${name}`)
      if (!toolchain) return
      const entries =
        release === '6.4' ? entriesFor(name) : release === 'nvrtc' ? onceOn(name) : share(targets.split(','), name)
      using service = serviceWith(toolchain)
      await expectSound(service, entries, target)
    },
    600_000,
  )
})

async function expectSound(service: CompileService, entries: typeof catalog, target: Target): Promise<void> {
  const rows = await kernelResources(service, entries, [target])
  expect(rows.length).toBeGreaterThanOrEqual(entries.length)
  expect(describeFaults(rows)).toEqual([])
  if (target.platform === 'amd') for (const row of rows) expect(row.occupancy?.waves, row.name).toBeGreaterThan(0)
}
