// From a program's kernel sources to code objects: emit the text, ask the compile service.

import type { KernelSource } from '../../codegen/program.ts'
import { emitSource } from '../../codegen/source.ts'
import { stagesHeader } from '../../codegen/stages.ts'
import type { Target } from '../../ir/target.ts'
import type { CompiledKernel, CompileJob, CompileProgress, CompileService } from './service.ts'

/** Turns sources into code objects; the compile service is one. */
export interface KernelCompiler {
  compile(
    sources: readonly KernelSource[],
    target: Target,
    signal?: AbortSignal,
  ): Promise<ReadonlyMap<string, Uint8Array>>
}

export const compileJob = ({ template, defines, entries, site, stages }: KernelSource, target: Target): CompileJob => ({
  source: emitSource({ template, defines, ...(stages ? { headers: { 'step/stages.h': stagesHeader(stages) } } : {}) }),
  kernels: entries,
  target,
  label: template,
  defines,
  ...(site ? { site } : {}),
})

/** A compiler for DeviceModel over a compile service; `onCompiled` sees what came of each source. */
export function kernelCompiler(
  service: CompileService,
  options: {
    readonly onProgress?: (progress: CompileProgress) => void
    /** waited for: what it throws ends the call */
    readonly onCompiled?: (kernels: readonly CompiledKernel[]) => void | Promise<void>
  } = {},
): KernelCompiler {
  return {
    async compile(sources, target, signal) {
      const jobs = sources.map((source) => compileJob(source, target))
      const compiled = await service.compileAll(jobs, {
        ...(signal ? { signal } : {}),
        ...(options.onProgress ? { onProgress: options.onProgress } : {}),
      })
      await options.onCompiled?.(compiled)
      return new Map(sources.map(({ id }, i) => [id, compiled[i]!.image]))
    },
  }
}
