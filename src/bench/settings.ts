// What a benchmark measures, with defaults and units: checked here for the command line.
import { z } from 'zod'
import { compileOptions } from '../options.ts'

const count = z.int().positive()

export const benchOptions = z.strictObject({
  device: compileOptions.shape.device,
  optLevel: compileOptions.shape.optLevel,
  kvDtype: compileOptions.shape.kvDtype,
  activations: compileOptions.shape.activations,
  step: compileOptions.shape.step,
  stepBlock: compileOptions.shape.stepBlock,
  replay: compileOptions.shape.replay,
  kernels: z.boolean().default(false).describe('time the stages of a persistent step'),
  contexts: z
    .array(z.int().nonnegative())
    .min(1)
    .default([128, 2048])
    .describe('tokens that are in the cache when decoding starts'),
  batch: z.array(count.max(32)).min(1).default([1]).describe('sequences decoded at a time'),
  prompt: z.int().nonnegative().default(512).describe('tokens of the prompt whose reading is timed; 0: none'),
  chunk: count.optional().describe('prompt tokens a step; default: the prompt, at most 512'),
  tokens: count.min(2).default(64).describe('tokens of a round of decoding'),
  rounds: count.default(5).describe('rounds; figures are their medians'),
})
export type BenchOptions = z.input<typeof benchOptions>
export type BenchSettings = z.output<typeof benchOptions>
