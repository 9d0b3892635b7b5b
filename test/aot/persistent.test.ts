// A decode step as one launch, compiled for targets of every kind without a GPU: nothing spills, and at least one block of it fits on
// a compute unit, so that all blocks can be resident at once.
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { findTargets } from '../../codegen/targets.ts'
import { packageRoot } from '../../ir/package-root.ts'
import { type Target, targetId } from '../../ir/target.ts'
import { openKernelCache } from '../../runtime/cache/kernel-cache.ts'
import { type CompileService, createCompileService } from '../../runtime/compile/service.ts'
import { describeFaults, type StepRow, stepResources } from '../../runtime/inspect/kernel-resources.ts'
import { ModelPlan } from '../../src/api/plan.ts'
import { type BenchWeights, randomModel } from '../../src/bench/random-model.ts'
import { compileOptions, readOptions } from '../../src/options.ts'
import { toolchainFor } from '../toolchain.ts'

/** Sets of instructions, and sizes of registers and LDS, of their own; `npm run kernel-resources` compiles steps for all. */
const targets = findTargets('gfx906,gfx90a,gfx942,gfx950,gfx1030,gfx1100,gfx1102,gfx1201,sm_90')
const compilerFor = (target: Target) =>
  toolchainFor(target.platform === 'nvidia' ? 'nvrtc' : '6.4', `steps for ${targetId(target)}`)
const rows: StepRow[] = []
let service: CompileService
beforeAll(() => {
  const root = join(packageRoot(), 'node_modules', '.cache', 'rocmforge-test')
  service = createCompileService({
    cache: openKernelCache({ root, readOnly: [] }),
    toolchain: (target) => compilerFor(target)!,
  })
})
afterAll(() => {
  service[Symbol.dispose]()
  console.log(
    rows
      .map(({ target, name, block, resources, dynamicLdsBytes, blocksPerUnit, stages, barriers }) => {
        const { vgprs, sgprs, ldsBytes = 0 } = resources!
        const held = `${blocksPerUnit} × ${target.cus} blocks of ${block}`
        return `${targetId(target).padEnd(8)} ${name.padEnd(24)} ${stages} stages, ${barriers} barriers, ${vgprs}/${sgprs ?? '–'} registers, ${ldsBytes + dynamicLdsBytes} bytes of LDS, resident ${held}`
      })
      .join('\n'),
  )
})

async function expectSound(shape: string, weights: BenchWeights, target: Target, batch = 1): Promise<void> {
  if (!compilerFor(target)) return
  const settings = readOptions(compileOptions, { step: 'persistent', context: 2048, maxBatch: batch })
  const plan = new ModelPlan(randomModel(shape, weights), settings, target)
  const [row] = await stepResources(service, [
    { ...plan.program('decode', batch), name: `${shape} ${weights} × ${batch}` },
  ])
  rows.push(row!)
  expect(describeFaults([row!])).toEqual([])
  expect(row!.blocksPerUnit).toBeGreaterThan(0)
}

test('llama-1b in bf16 for targets of every kind', async () => {
  await Promise.all(targets.map((target) => expectSound('llama-1b', 'bf16', target)))
})
test('other shapes, types and batches, for waves of 64 and 32', async () => {
  await Promise.all(
    findTargets('gfx942,gfx1100').flatMap((target) => [
      expectSound('qwen3-0.6b', 'q4_0', target),
      expectSound('llama-1b', 'bf16', target, 8),
    ]),
  )
})
