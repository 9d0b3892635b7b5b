// What an editor shows of each option is what its schema says, with the default; and what is refused says what was meant.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import type { Diagnostic } from '../../ir/diagnostic.ts'
import { packageRoot } from '../../ir/package-root.ts'
import { chatOptions, compileOptions, generateOptions, logitsOptions } from '../../src/options.ts'
import { readOptions } from '../../src/read-options.ts'

const types = readFileSync(join(packageRoot(), 'src/option-types.ts'), 'utf8')

/** The comments above the fields of this name, on one line each. */
const commentsOf = (name: string): string[] =>
  [...types.matchAll(/\/\*\*((?:(?!\*\/).)*)\*\/\s*readonly (\w+)\?:/gs)]
    .filter(([, , field]) => field === name)
    .map(([, comment]) => comment!.replaceAll(/\s*\n\s*\*/g, '').trim())

const schemas = { compileOptions, generateOptions, chatOptions, logitsOptions }
type SchemaName = keyof typeof schemas
const fields = Object.entries(schemas).flatMap(([schema, { shape }]) =>
  Object.keys(shape).map((name) => [schema as SchemaName, name] as const),
)

test.each(fields)('%s.%s is described in the types as in its schema', (schema, name) => {
  const field = (schemas[schema].shape as Readonly<Record<string, z.ZodType>>)[name]!
  const described = field.description!
  const words = (described[0]!.toUpperCase() + described.slice(1)).replace('; default: ', '. Default: ')
  const comment = commentsOf(name).find((one) => one.startsWith(words.replace(/\.$/, '')))
  expect(comment, `${words} in ${commentsOf(name).join(' | ')}`).toBeDefined()
  if (name.startsWith('on')) return
  expect(comment).toMatch(/[Dd]efault/)
  const { data } = field.safeParse(undefined)
  if (data === undefined) return
  const shown = typeof data === 'string' ? `'${data}'` : JSON.stringify(data)
  expect(comment).toContain(`Default: ${shown}.`)
})

const refused = (schema: SchemaName, options: unknown): Diagnostic => {
  try {
    readOptions(schemas[schema] as z.ZodObject, options)
  } catch (error) {
    return error as Diagnostic
  }
  return expect.unreachable(`${JSON.stringify(options)} is accepted`) as never
}

describe('did you mean', () => {
  test.each([
    ['generateOptions', { max_tokens: 5 }, 'maxTokens'],
    ['generateOptions', { max_new_tokens: 5 }, 'maxTokens'],
    ['generateOptions', { n_predict: 5 }, 'maxTokens'],
    ['generateOptions', { temprature: 1 }, 'temperature'],
    ['generateOptions', { top_k: 1 }, 'topK'],
    ['generateOptions', { repetition_penalty: 1 }, 'repeatPenalty'],
    ['generateOptions', { stopSequences: [] }, 'stop'],
    ['generateOptions', { abortSignal: undefined }, 'signal'],
    ['chatOptions', { enable_thinking: false }, 'chatTemplateKwargs: { enable_thinking: … }'],
    ['chatOptions', { chat_template_kwargs: {} }, 'chatTemplateKwargs'],
    ['compileOptions', { n_ctx: 5 }, 'context'],
    ['compileOptions', { devcie: 'host' }, 'device'],
    ['compileOptions', { batchSize: 4 }, 'maxBatch'],
    ['logitsOptions', { al: true }, 'all'],
  ] as const)('%#: %j', (schema, options, meant) => {
    const error = refused(schema, options)
    expect(error.code).toBe('bad-option')
    expect(error.summary).toBe(`there is no option ${Object.keys(options)[0]}`)
    expect(error.help).toMatch(`did you mean ${meant}? options are `)
  })

  test('of values too; and nothing where nothing is near', () => {
    expect(refused('compileOptions', { kvDtype: 'fp16' }).help).toBe('did you mean f16?')
    expect(refused('compileOptions', { qwertyuiop: 1 }).help).toMatch(/^options are device, /)
  })
})

test.each([
  ['compileOptions', null, 'options are an object, not null'],
  ['compileOptions', 'host', 'options are an object, not "host"'],
  ['compileOptions', [], 'options are an object, not an array of 0'],
  ['compileOptions', { context: 0 }, 'option context is not valid: expected a number above 0'],
  ['compileOptions', { context: 1.5 }, 'option context is not valid: expected a whole number'],
  ['compileOptions', { context: Number.NaN }, 'option context is not valid: expected a number'],
  ['compileOptions', { context: '2048' }, 'option context is not valid: expected a number'],
  ['compileOptions', { maxBatch: 33 }, 'option maxBatch is not valid: expected a number of at most 32'],
  ['compileOptions', { step: 'fast' }, 'option step is not valid: expected one of kernels, persistent'],
  ['compileOptions', { device: null }, 'option device is not valid: expected a text or an open device'],
  ['compileOptions', { device: '' }, 'option device is not valid: expected a text that is not empty'],
  ['compileOptions', { onKernels: 1 }, 'option onKernels is not valid: expected a function'],
  ['compileOptions', { signal: new AbortController() }, 'option signal is not valid: expected an AbortSignal'],
  ['compileOptions', { selfCheck: 'yes' }, 'option selfCheck is not valid: expected a boolean'],
  ['generateOptions', { stop: 5 }, 'option stop is not valid: expected a text or an array'],
  ['generateOptions', { temperature: Number.POSITIVE_INFINITY }, 'option temperature is not valid: expected a number'],
  ['chatOptions', { tools: {} }, 'option tools is not valid: expected an array'],
  ['chatOptions', { tools: ['f'] }, 'option tools.0 is not valid: expected an object'],
  ['chatOptions', { chatTemplate: '' }, 'option chatTemplate is not valid: expected a text that is not empty'],
] as const)('%#: %s %j', (schema, options, message) => {
  const error = refused(schema, options)
  expect([error.code, error.summary]).toEqual(['bad-option', message])
})

test('a refused option: what it is for, and what was given', () =>
  expect(() => readOptions(compileOptions, { kvDtype: 'q4_0' })).toThrowErrorMatchingInlineSnapshot(`
    [Diagnostic: error[bad-option]: option kvDtype is not valid: expected one of f32, f16, bf16, q8_0, f8
      got    "q4_0"
      option kvDtype: dtype of the KV cache (q8_0: 8 bits and a scale of 32; f8: e4m3); default: f16 on a GPU, f32 on the CPU
      help: did you mean q8_0?]
  `))

test('a misspelt name is told before the option that is missing for it', () => {
  const schema = z.strictObject({ targets: z.string(), maxBatch: z.int().optional() })
  expect(() => readOptions(schema, { target: 'host' })).toThrow('there is no option target')
  expect(() => readOptions(schema, {})).toThrow('option targets is not valid')
})

test('a key of logitBias that is no token id', () => {
  expect(refused('generateOptions', { logitBias: { the: 5 } }).message).toMatchInlineSnapshot(`
    "error[bad-option]: option logitBias.the is not valid: expected token ids as keys, whole numbers
      got    5
      option logitBias: token id → number from -100 to 100 that is added to its logit, for at most 256 tokens"
  `)
})
