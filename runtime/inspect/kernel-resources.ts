// Every kernel of the catalog compiled for targets without their GPUs: what each occupies, and what is wrong with it.
import { compileProgram } from '../../codegen/compile.ts'
import { type CatalogEntry, catalogLimits } from '../../codegen/kernels/catalog.ts'
import type { Program } from '../../codegen/program.ts'
import { Diagnostic, invariant } from '../../ir/diagnostic.ts'
import { type Target, targetId } from '../../ir/target.ts'
import type { KernelResources } from '../cache/kernel-cache.ts'
import { type Occupancy, occupancy, residentBlocks, spills } from '../code-object/code-object.ts'
import { compileJob } from '../compile/kernel-compiler.ts'
import type { CompileJob, CompileProgress, CompileService } from '../compile/service.ts'

/** One kernel of one catalog entry on one target. */
export interface ResourceRow {
  readonly target: Target
  /** of the catalog: `gemv q4_k` */
  readonly name: string
  /** the `extern "C"` symbol */
  readonly entry: string
  /** threads of a block */
  readonly block: number
  readonly dynamicLdsBytes: number
  /** undefined when the compiler refused it */
  readonly resources?: KernelResources
  readonly occupancy?: Occupancy
  /** why this kernel must not ship: spills, scratch, LDS or block beyond the target's limit, another wave size */
  readonly faults: readonly string[]
}

interface Launch {
  readonly job: number
  readonly row: Omit<ResourceRow, 'resources' | 'occupancy' | 'faults'>
}

/** Compiles the catalog for each target, cache first, and reads what the code objects say. */
export async function kernelResources(
  service: CompileService,
  catalog: readonly CatalogEntry[],
  targets: readonly Target[],
  options: { readonly signal?: AbortSignal; readonly onProgress?: (progress: CompileProgress) => void } = {},
): Promise<ResourceRow[]> {
  const jobs: CompileJob[] = []
  const launches: Launch[] = []
  for (const target of targets) {
    for (const { name, graph } of catalog) {
      const program = compileProgram(graph, { target, limits: catalogLimits })
      const at = new Map(program.kernels.map((source, i) => [source.id, jobs.length + i]))
      jobs.push(...program.kernels.map((source) => compileJob(source, target)))
      for (const { source, entry, block, ldsBytes } of program.calls)
        launches.push({ job: at.get(source)!, row: { target, name, entry, block, dynamicLdsBytes: ldsBytes } })
    }
  }
  const compiled = await service.compileEach(jobs, options)
  return launches.map(({ job, row }) => {
    const kernel = compiled[job]!
    if (kernel instanceof Diagnostic) return { ...row, faults: [`does not compile: ${kernel.message}`] }
    const resources = kernel.resources.find(({ name }) => name === row.entry)
    if (!resources) return { ...row, faults: [`the code object has no kernel ${row.entry}`] }
    const waves = occupancy(resources, row.target, row.block, row.dynamicLdsBytes)
    return { ...row, resources, ...(waves ? { occupancy: waves } : {}), faults: faultsOf(row, resources) }
  })
}

/** A program that is one launch, compiled for a target without its GPU. */
export interface StepRow extends ResourceRow {
  readonly stages: number
  /** barriers of all blocks */
  readonly barriers: number
  /** blocks that a compute unit holds at once */
  readonly blocksPerUnit?: number
}

/** What the steps of one launch occupy, one row a program; programs that are not persistent have no place here. */
export async function stepResources(
  service: CompileService,
  programs: readonly Program[],
  options: { readonly onProgress?: (progress: CompileProgress) => void } = {},
): Promise<StepRow[]> {
  const jobs = programs.map(({ kernels, target }) => compileJob(kernels[0]!, target))
  const compiled = await service.compileEach(jobs, options)
  return programs.map(({ name, target, persistent }, i) => {
    invariant(persistent, `@${name} is not one launch`)
    const { entry, block, ldsBytes, stages } = persistent
    const row = { target, name, entry, block, dynamicLdsBytes: ldsBytes }
    const counts = { stages: stages.length, barriers: stages.filter((stage) => stage.barrierAfter).length }
    const kernel = compiled[i]!
    if (kernel instanceof Diagnostic) return { ...row, ...counts, faults: [`does not compile: ${kernel.message}`] }
    const resources = kernel.resources.find((one) => one.name === entry)
    if (!resources) return { ...row, ...counts, faults: [`the code object has no kernel ${entry}`] }
    const waves = occupancy(resources, target, block, ldsBytes)
    const blocksPerUnit = residentBlocks(resources, target, block, ldsBytes)
    return {
      ...row,
      ...counts,
      resources,
      ...(waves ? { occupancy: waves } : {}),
      ...(blocksPerUnit === undefined ? {} : { blocksPerUnit }),
      faults: [
        // scalar registers of so many stages may wait in lanes of a vector register: a move each, no memory
        ...faultsOf(row, { ...resources, sgprSpills: 0 }),
        ...(blocksPerUnit === 0 ? [`a block of ${block} threads does not fit on a compute unit`] : []),
      ],
    }
  })
}

function faultsOf({ target, block, dynamicLdsBytes }: Launch['row'], resources: KernelResources): string[] {
  const { vgprSpills = 0, sgprSpills = 0, scratchBytes = 0, ldsBytes = 0, waveSize, maxBlock } = resources
  const lds = ldsBytes + dynamicLdsBytes
  return [
    ...(spills(resources)
      ? [`spills: ${vgprSpills} VGPRs, ${sgprSpills} SGPRs, ${scratchBytes} bytes of scratch a lane`]
      : []),
    ...(lds > target.ldsMaxBytes ? [`${lds} bytes of LDS, ${target.ldsMaxBytes} are there`] : []),
    ...(waveSize !== undefined && waveSize !== target.wave ? [`waves of ${waveSize}, expected ${target.wave}`] : []),
    ...(maxBlock !== undefined && block > maxBlock
      ? [`blocks of ${block}, at most ${maxBlock} were compiled for`]
      : []),
  ]
}

/** `gemv q4_k (gemv) on gfx942: spills …`, one line a fault. */
export const describeFaults = (rows: readonly ResourceRow[]): string[] =>
  rows.flatMap(({ target, name, entry, faults }) =>
    faults.map((fault) => `${name} (${entry}) on ${targetId(target)}: ${fault}`),
  )
