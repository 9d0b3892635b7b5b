// The interpreter of chat templates against jinja2: every method, filter, test, statement and operator on values of every
// kind; templates in the manner of published ones; random templates. Right values are data, made by
// scripts/jinja-compare.mjs.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { packageRoot } from '../../../../ir/package-root.ts'
import { agree, type Job, type Outcome, outcomeOf } from './outcome.ts'
import { conversations, templates } from './published.ts'
import { variables } from './template-arbitrary.ts'

const read = (name: string) =>
  JSON.parse(readFileSync(join(packageRoot(), 'test/src/tokenizer/jinja', name), 'utf8')) as readonly unknown[]

/** Where the two differ, as text that tells all. */
const differences = (entries: readonly { job: Job; right: Outcome }[]) =>
  entries.flatMap(({ job, right }) => {
    const ours = outcomeOf(job)
    return agree(job, ours, right) ? [] : [{ template: job.template, ours, right }]
  })

type Entry = { what: string; template: string; variables?: Record<string, unknown> } & Outcome
const table = read('conformance.json') as readonly Entry[]
const kinds = [...new Set(table.map(({ what }) => what))]

describe('conformance', () => {
  test('the table has every kind', () => expect(kinds.length).toBeGreaterThan(100))
  test.each(kinds)('%s', (kind) => {
    const entries = table.filter(({ what }) => what === kind)
    expect(differences(entries.map((entry) => ({ job: entry, right: entry })))).toEqual([])
  })
})

describe('templates in the manner of published ones', () => {
  const rendered = read('published.json') as readonly ({ name: string; over: string } & Outcome)[]
  test.each(Object.entries(templates))('%s', (name, template) => {
    const entries = rendered.filter((entry) => entry.name === name)
    expect(entries.map(({ over }) => over)).toEqual(Object.keys(conversations))
    const jobs = entries.map((right) => ({ job: { template, variables: conversations[right.over]! }, right }))
    expect(differences(jobs)).toEqual([])
  })
  test('each renders some conversation', () => {
    for (const name of Object.keys(templates)) {
      expect(rendered.some((entry) => entry.name === name && 'text' in entry && entry.text !== '')).toBe(true)
    }
  })
})

test('random templates', () => {
  const corpus = read('corpus.json') as readonly (readonly [template: string, right: string | Outcome[keyof Outcome]])[]
  const entries = corpus.map(([template, right]) => ({
    job: { template, variables },
    right: (typeof right === 'string' ? { text: right } : { error: right }) as Outcome,
  }))
  expect(entries.length).toBeGreaterThan(2000)
  expect(differences(entries)).toEqual([])
})

test('long texts take time in proportion', () => {
  const text = 'word é\n'.repeat(300_000) // a quadratic method would take minutes
  const lengths = [
    "rsplit('\\n')",
    "split('\\n')",
    'split()',
    'rsplit()',
    'splitlines()',
    "strip('\\n')",
    "replace('w', '')",
    'title()',
  ]
  const template = lengths.map((method) => `{{ m.${method} | length }}`).join(' ')
  expect(outcomeOf({ template, variables: { m: text } })).toEqual({
    text: '300001 300001 600000 600000 300000 2099999 1800000 2100000',
  })
})

test('the line of what fails inside of a macro is where it is, not where it is called', () => {
  const template = '{% macro f(x) %}\n{{ x.y.z }}\n{% endmacro %}\n\n{{ f({}) }}'
  expect(outcomeOf({ template })).toEqual({ error: ['UndefinedError', "'dict object' has no attribute 'y'", 2] })
})
