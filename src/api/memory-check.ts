// Before anything is loaded: does the model fit into the device's free memory? If not, say what would.
import { freemem } from 'node:os'
import { fail } from '../../ir/diagnostic.ts'
import { bindShape, product } from '../../ir/type.ts'
import { memoryNeeds } from '../../runtime/execute/device-model.ts'
import type { ModelSource } from '../loader/checkpoint.ts'
import type { ComputeDevice } from './device.ts'
import type { ModelPlan } from './plan.ts'

const gib = (bytes: number): string =>
  bytes >= 2 ** 30 ? `${(bytes / 2 ** 30).toFixed(1)} GiB` : `${(bytes / 2 ** 20).toFixed(1)} MiB`
/** left free for the runtime's own use */
const reserve = 64 * 2 ** 20

/** The same for the reference executor, which keeps states as f32 in this process. */
export function checkReferenceMemory(plan: ModelPlan): void {
  const graph = plan.fused('sample')
  const states = graph.inputs.map((id) => graph.types[id]!).filter(({ state }) => state)
  const needs = states.reduce((bytes, { shape }) => bytes + 4 * product(bindShape(shape, plan.bindings)), 0)
  const free = freemem()
  if (needs <= free) return
  fail({
    code: 'out-of-memory',
    message: `the cache of ${plan.context} tokens takes ${gib(needs)}, this machine has ${gib(free)} free`,
    help: `--context ${Math.max(1, Math.floor((plan.context * free) / needs / 2))} fits`,
  })
}

/** Throws the Diagnostic `out-of-memory`, whose help names the context that fits. */
export function checkMemory(plan: ModelPlan, device: ComputeDevice, checkpoint: ModelSource): void {
  const { freeBytes, totalBytes } = device.driver.memoryInfo()
  const programs = [plan.program('sample'), plan.program('decode')]
  for (const size of plan.largerBatches) programs.push(plan.program('decode', size))
  const needs = memoryNeeds(programs)
  if (needs.total + reserve <= freeBytes) return
  const perToken = needs.states / plan.context // of every request of a batch
  const left = freeBytes - reserve - needs.weights - needs.arena - needs.inputsAndOutputs
  const fits = Math.floor(left / perToken / plan.pageSize) * plan.pageSize
  fail({
    code: 'out-of-memory',
    message: `the model needs ${gib(needs.total)}, ${device.name} has ${gib(freeBytes)} free of ${gib(totalBytes)}`,
    facts: [
      ['weights', gib(needs.weights)],
      ['cache', `${gib(needs.states)} for ${plan.maxBatch > 1 ? `${plan.maxBatch} times ` : ''}${plan.context} tokens`],
      ['arena', gib(needs.arena + needs.inputsAndOutputs)],
      ['model', checkpoint.path],
    ],
    help:
      fits >= plan.pageSize
        ? `--context ${fits} fits; a KV cache of f16 takes half of f32`
        : needs.weights + reserve < freeBytes
          ? 'ask for a smaller --context: cache and arena grow with it'
          : 'the weights alone do not fit: use a more strongly quantised file, or a device with more memory',
  })
}
