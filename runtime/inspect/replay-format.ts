// The form of a replay bundle: a folder that holds steps of a model as launches, alone: code objects, sources, buffers,
// and what every launch should leave behind. docs/replay.md describes it for people.
import { z } from 'zod'
import { byteSize } from '../../ir/type.ts'

export const replayVersion = 1

const count = z.int().nonnegative()
const extent = z.int32().nonnegative()
const file = z
  .strictObject({
    /** relative to the folder, no `..` */
    path: z.string().regex(/^(?!.*\.\.)[\w./-]+$/),
    bytes: count,
    sha256: z.string().regex(/^[0-9a-f]{64}$/),
  })
  .describe('a file of the bundle')

/** Where an argument points: a buffer, and bytes from its start. */
const place = z.strictObject({ buffer: z.string(), offset: count })

const argument = z.discriminatedUnion('kind', [
  place.extend({ kind: z.literal('buffer'), name: z.string() }),
  z.strictObject({ kind: z.literal('i32'), name: z.string(), value: z.int32() }),
  z.strictObject({ kind: z.literal('null'), name: z.string() }).describe('an optional operand that is not there'),
])

/** Bytes that a launch should have written, as values of a dtype. */
const expected = place
  .extend({
    dtype: z.enum(['f32', 'f16', 'bf16', 'i32', 'u32']),
    shape: z.array(count),
    values: file.describe('the expected bytes'),
    tolerance: z
      .strictObject({ relative: z.number().nonnegative(), absolute: z.number().nonnegative() })
      .describe('|got − expected| ≤ absolute + relative · |expected|'),
  })
  .refine(
    ({ dtype, shape, values }) => byteSize({ dtype, shape }) === values.bytes,
    'the shape does not match the bytes of the values',
  )

const launch = z.strictObject({
  label: z.string().describe('node of the graph, place in the model, kernel'),
  kernel: z.int().nonnegative().describe('index into `kernels`'),
  entry: z.string().describe('name of the kernel function'),
  grid: z.tuple([extent, extent, extent]).describe('blocks'),
  block: z.tuple([extent, extent, extent]).describe('threads of a block'),
  ldsBytes: count.describe('dynamic LDS'),
  args: z.array(argument),
  expected: z.array(expected),
})

export const replaySchema = z.strictObject({
  format: z.literal('rocmforge-replay'),
  version: z.literal(replayVersion),
  target: z.string().describe('id of the target that the code objects are for'),
  wave: z.literal([32, 64]).describe('lanes of a wave that the kernels are made for'),
  compiler: z.string().describe('identity of the compiler that made the code objects'),
  model: z.strictObject({
    name: z.string(),
    architecture: z.string(),
    promptIds: z.array(count),
    tokenIds: z.array(count),
  }),
  kernels: z.array(
    z.strictObject({
      template: z.string(),
      entries: z.array(z.string()),
      defines: z.record(z.string(), z.union([z.string(), z.number()])),
      source: file.describe('flattened text, which any supported compiler takes'),
      codeObject: file,
    }),
  ),
  buffers: z.array(
    z.strictObject({
      id: z.string(),
      bytes: count,
      /** contents before the first step; absent: zeros */
      before: file.optional(),
    }),
  ),
  steps: z.array(
    z.strictObject({
      name: z.string(),
      writes: z.array(place.extend({ values: file })).describe('inputs that the host writes before the step'),
      launches: z.array(launch),
    }),
  ),
})

export type Replay = z.output<typeof replaySchema>
export type ReplayFile = z.output<typeof file>
export type ReplayLaunch = z.output<typeof launch>
export type ReplayExpected = z.output<typeof expected>
export const manifestName = 'replay.json'
