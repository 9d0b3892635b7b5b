// Time of the compiler itself, without a device: front end, passes, kernel choice, memory plan and program for a
// decode step of 8, 32 and 128 layers.
import { join } from 'node:path'
import { compileProgram } from '../codegen/compile.ts'
import { findTarget } from '../codegen/targets.ts'
import { packageRoot } from '../ir/package-root.ts'
import { stepGraph } from '../src/engine/programs.ts'
import { openCheckpoint } from '../src/loader/checkpoint.ts'
import type { WeightIndex } from '../src/loader/weight-index.ts'

export interface CompileTime {
  readonly layers: number
  readonly sourceNodes: number
  readonly launches: number
  /** medians, milliseconds */
  readonly graphMs: number
  readonly programMs: number
}

export async function compileTimes(target = 'gfx942', rounds = 5): Promise<CompileTime[]> {
  await using checkpoint = await openCheckpoint(join(packageRoot(), 'models/story-3m'))
  const times: CompileTime[] = []
  for (const layers of [8, 32, 128]) {
    const deep = { config: { ...checkpoint.config, layers }, weights: repeated(checkpoint.weights) }
    const step = { activations: 'f16', kvDtype: 'f16', pageSize: 16 } as const
    const [graphMs, programMs]: [number[], number[]] = [[], []]
    let counts = { sourceNodes: 0, launches: 0 }
    for (let round = 0; round < rounds; round++) {
      const start = performance.now()
      const { source, graph } = stepGraph(deep, 'decode', step, 3)
      const middle = performance.now()
      const limits = { T: 1, R: 1, L: 512, P: 32, M: 32 }
      const program = compileProgram(graph, { target: findTarget(target), limits })
      graphMs.push(middle - start)
      programMs.push(performance.now() - middle)
      counts = { sourceNodes: source.order.length, launches: program.calls.length }
    }
    times.push({ layers, ...counts, graphMs: median(graphMs), programMs: median(programMs) })
  }
  return times
}

/** Every layer has the weights of the first. */
const repeated = (weights: WeightIndex): WeightIndex =>
  new Proxy(weights, {
    get(target, key) {
      if (key !== 'get') return Reflect.get(target, key, target)
      return (name: string) => {
        const entry = target.get(name.replace(/^blk\.\d+\./, 'blk.0.'))
        return entry && { ...entry, name }
      }
    },
  })

export const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[values.length >> 1]!
