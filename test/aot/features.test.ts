// Code compiled ahead of time for a target's name serves every device of it, whatever its feature settings.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { compileProgram } from '../../codegen/compile.ts'
import { catalogLimits, kernelCatalog } from '../../codegen/kernels/catalog.ts'
import { findTarget } from '../../codegen/targets.ts'
import { openKernelCache } from '../../runtime/cache/kernel-cache.ts'
import { compileJob } from '../../runtime/compile/kernel-compiler.ts'
import { createCompileService } from '../../runtime/compile/service.ts'
import { toolchainFor } from '../toolchain.ts'

let root: string
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'aot-'))
})
afterAll(() => rmSync(root, { recursive: true, force: true }))

const hipRtc = toolchainFor('6.4', 'code for any setting of a target’s features')

async function compile(id: string) {
  const target = findTarget(id)
  const { graph } = kernelCatalog().find(({ name }) => name === 'increment')!
  const { kernels } = compileProgram(graph, { target, limits: catalogLimits })
  const service = createCompileService({ cache: openKernelCache({ root, readOnly: [] }), toolchain: () => hipRtc! })
  try {
    return (await service.compileAll(kernels.map((source) => compileJob(source, target))))[0]!
  } finally {
    service[Symbol.dispose]()
  }
}

test.runIf(hipRtc !== undefined)(
  'an entry for gfx942 is found for gfx942:sramecc+:xnack-, but not the other way round',
  async () => {
    const special = await compile('gfx90a:sramecc+:xnack-')
    expect(special.fromCache).toBe(false)
    const plain = await compile('gfx90a')
    expect({ fromCache: plain.fromCache, target: plain.keyInput.target }).toEqual({
      fromCache: false,
      target: 'gfx90a',
    })
    expect((await compile('gfx90a:sramecc+:xnack-')).key).toBe(special.key) // its own comes first

    const general = await compile('gfx942')
    const found = await compile('gfx942:sramecc+:xnack-')
    expect({ fromCache: found.fromCache, key: found.key }).toEqual({ fromCache: true, key: general.key })
    expect(
      openKernelCache({ root, readOnly: [] }).setSelfCheck(found.keyInput, { outcome: 'passed', device: 'x' }),
    ).toBe(true)
  },
)
