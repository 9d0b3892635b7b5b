// What flags take, what they refuse and how; and that the ranges here are those of the options behind them.
import { Command } from 'commander'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { weightTypes } from '../../../src/bench/random-model.ts'
import { flagAliases } from '../../../src/cli/aliases.ts'
import { templateVariable, templateVariables } from '../../../src/cli/chat-settings.ts'
import { addCommands } from '../../../src/cli/commands.ts'
import { ranges } from '../../../src/cli/model-options.ts'
import { bias, choice, describeRange, dtypeWords, number, numbers, type Range } from '../../../src/cli/values.ts'
import { compileOptions, generateOptions } from '../../../src/options.ts'

const caught = (action: () => unknown): string => {
  try {
    return `took ${JSON.stringify(action())}`
  } catch (error) {
    return (error as Error).message
  }
}

interface NumberSchema {
  readonly type: string
  readonly minimum?: number
  readonly maximum?: number
  readonly exclusiveMinimum?: number
}
const schemas = {
  ...z.toJSONSchema(compileOptions.omit({ device: true }), { io: 'input', unrepresentable: 'any' }).properties,
  ...z.toJSONSchema(generateOptions, { io: 'input', unrepresentable: 'any' }).properties,
} as unknown as Readonly<Record<string, NumberSchema>>

test.each(Object.entries(ranges))('the range of %s is that of its option', (name, range: Range) => {
  const { type, minimum, maximum, exclusiveMinimum } = schemas[name]!
  const whole = type === 'integer'
  expect(range.whole ?? false).toBe(whole)
  expect(range.max).toBe(maximum === Number.MAX_SAFE_INTEGER ? undefined : maximum)
  const least = minimum === Number.MIN_SAFE_INTEGER ? undefined : minimum
  const above = range.above ?? (whole && range.min !== undefined ? range.min - 1 : undefined)
  expect(least ?? (exclusiveMinimum === undefined ? undefined : whole ? exclusiveMinimum + 1 : exclusiveMinimum)).toBe(
    range.min ?? above,
  )
})

test.each([
  [ranges.topP, 'a number above 0 and at most 1'],
  [ranges.temperature, 'a number from 0 to 100'],
  [ranges.topK, 'a whole number from 0 up'],
  [ranges.maxTokens, 'a whole number from 0 up; or -1: until the text ends or the context is full'],
  [{}, 'a number'],
])('%j is told as: %s', (range, text) => expect(describeRange(range)).toBe(text))

test.each([
  ['--top-p', ranges.topP, '3', 'error[bad-option]: --top-p takes a number above 0 and at most 1\n  got    3'],
  ['--top-p', ranges.topP, '0', 'error[bad-option]: --top-p takes a number above 0 and at most 1\n  got    0'],
  ['--top-p', ranges.topP, '0,9', /got {4}0,9\n {2}help: did you mean 0\.9\?$/],
  ['--seed', ranges.seed, '', /^error\[bad-option\]: --seed takes .*\n {2}got {4}nothing$/],
  ['--seed', ranges.seed, '1.5', /got {4}1\.5/],
  ['--seed', ranges.seed, '0x10', /got {4}0x10/],
  ['--seed', ranges.seed, 'Infinity', /got {4}Infinity/],
  ['--context', ranges.context, '8k', /did you mean 8192\?/],
  ['--context', ranges.context, '0', /from 1 up\n {2}got {4}0$/],
] as const)('%s %j %s is refused', (flag, range, text, expected) => {
  const message = caught(() => number(flag, range)(text))
  if (typeof expected === 'string') expect(message).toBe(expected)
  else expect(message).toMatch(expected)
})

test('what is right is taken', () => {
  expect(number('--temp', ranges.temperature)('1e-1')).toBe(0.1)
  expect(number('--n', ranges.maxTokens)('-1')).toBe(-1)
  expect(numbers('--batch', ranges.maxBatch)('1,8,32')).toEqual([1, 8, 32])
  expect(bias('--logit-bias', ranges.topK, { min: -100, max: 100 })('42=-5', { 1: 2 })).toEqual({ 1: 2, 42: -5 })
  expect(choice('--kv-dtype', ['f16', 'f8'], dtypeWords)('FP8')).toBe('f8')
  expect(templateVariable('enable_thinking=false', { a: 1 })).toEqual({ a: 1, enable_thinking: false })
  expect(templateVariable('x=False')).toEqual({ x: false })
  expect(templateVariable('name=Jo=e')).toEqual({ name: 'Jo=e' })
  expect(templateVariable('n=[1,2]')).toEqual({ n: [1, 2] })
  expect(templateVariables('{"a": {"b": null}}', { c: 1 })).toEqual({ a: { b: null }, c: 1 })
})

test('what is wrong names its flag', () => {
  const biases = bias('--logit-bias', { whole: true, min: 0, max: 9 }, { min: -100, max: 100 })
  const kv = choice('--kv-dtype', ['f16', 'bf16', 'q8_0'], dtypeWords)
  expect(
    [
      () => numbers('--batch', ranges.maxBatch)('1,64'),
      () => biases('5'),
      () => biases('10=1'),
      () => biases('1=500'),
      () => kv('q8_1'),
      () => kv('toString'),
      () => templateVariable('enable_thinking'),
      () => templateVariables('[1]'),
    ]
      .map(caught)
      .join('\n'),
  ).toMatchInlineSnapshot(`
    "error[bad-option]: --batch takes a whole number from 1 to 32
      got    64
    error[bad-option]: --logit-bias takes ID=VALUE, such as 42=-5
      got    5
    error[bad-option]: the token id of --logit-bias takes a whole number from 0 to 9
      got    10
    error[bad-option]: --logit-bias takes a number from -100 to 100
      got    500
    error[bad-option]: --kv-dtype takes one of f16, bf16, q8_0
      got    q8_1
      help: did you mean q8_0?
    error[bad-option]: --kv-dtype takes one of f16, bf16, q8_0
      got    toString
    error[bad-option]: --template-var takes NAME=VALUE
      got    enable_thinking
      help: such as --template-var enable_thinking=false
    error[bad-option]: --chat-template-kwargs takes a JSON object
      got    [1]
      help: such as --chat-template-kwargs '{"enable_thinking": false}', or --template-var enable_thinking=false"
  `)
})

test('--weights of bench takes the types that a made-up model may have', () => {
  const program = new Command()
  addCommands(program)
  const bench = program.commands.find((command) => command.name() === 'bench')
  const option = bench?.options.find(({ long }) => long === '--weights')
  expect(option?.argChoices).toEqual(weightTypes)
})

test('no alias is spelled twice', () => expect(flagAliases.size).toBeGreaterThan(100))
