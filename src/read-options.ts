// Options checked where a caller hands them over: the Diagnostic names the option, what it may be, what it was, and the word
// that was probably meant.
import type { z } from 'zod'
import { type Fact, fail } from '../ir/diagnostic.ts'
import { editDistance } from '../ir/near-match.ts'
import { shown } from '../ir/shown.ts'

/** Names that other programs have for our options. */
const synonyms: Readonly<Record<string, string>> = {
  abortsignal: 'signal',
  batch: 'maxBatch',
  batchsize: 'maxBatch',
  cachedtype: 'kvDtype',
  chattemplatevariables: 'chatTemplateKwargs',
  contextlength: 'context',
  contextsize: 'context',
  ctx: 'context',
  ctxsize: 'context',
  enablethinking: 'chatTemplateKwargs: { enable_thinking: … }',
  functions: 'tools',
  maxcompletiontokens: 'maxTokens',
  maxcontext: 'context',
  maxlength: 'maxTokens',
  maxmodellen: 'context',
  maxnewtokens: 'maxTokens',
  nctx: 'context',
  npredict: 'maxTokens',
  numctx: 'context',
  numpredict: 'maxTokens',
  opt: 'optLevel',
  o: 'optLevel',
  randomseed: 'seed',
  repetitionpenalty: 'repeatPenalty',
  stopsequences: 'stop',
  stopstrings: 'stop',
  temp: 'temperature',
  template: 'chatTemplate',
  templatevariables: 'chatTemplateKwargs',
}

const plain = (name: string): string => name.toLowerCase().replaceAll(/[-_ ]/g, '')

/** The known name that `word` is meant to be, if one is near. */
function meantName(word: string, known: readonly string[]): string | undefined {
  const key = plain(word)
  const same = known.find((name) => plain(name) === key)
  if (same) return same
  const synonym = synonyms[key]
  if (synonym && known.includes(synonym.split(':')[0]!)) return synonym
  const [near] = known
    .map((name) => ({ name, distance: editDistance(key, plain(name)) }))
    .sort((a, b) => a.distance - b.distance)
  return near && near.distance <= Math.max(1, Math.floor(near.name.length * 0.34)) ? near.name : undefined
}

/** `given` as the schema has it, defaults in place. Diagnostic `bad-option`. */
export function readOptions<S extends z.ZodObject>(schema: S, given: unknown): z.output<S> {
  if (given !== undefined && (typeof given !== 'object' || given === null || Array.isArray(given)))
    fail({
      code: 'bad-option',
      message: `options are an object, not ${shown(given)}`,
      help: `options are ${Object.keys(schema.shape).join(', ')}`,
    })
  const parsed = schema.safeParse(given ?? {})
  if (parsed.success) return parsed.data
  // a misspelt name first: it is why the option that is meant is missing
  const unknown = parsed.error.issues.find(({ code, path }) => code === 'unrecognized_keys' && path.length === 0)
  if (unknown?.code === 'unrecognized_keys') return refuseUnknown(schema, unknown.keys)
  const issue = parsed.error.issues[0]!
  const name = issue.path.join('.')
  const value = issue.path.reduce<unknown>((at, key) => (at as Record<PropertyKey, unknown>)?.[key], given)
  const option = String(issue.path[0])
  const about = (schema.shape[option] as z.ZodType | undefined)?.description
  const facts: Fact[] = [['got', shown(value)], ...(about ? [['option', `${option}: ${about}`] as const] : [])]
  const meant =
    issue.code === 'invalid_value' && typeof value === 'string' ? meantName(value, issue.values.map(String)) : undefined
  return fail({
    code: 'bad-option',
    message: `option ${name} is not valid: ${expectation(issue)}`,
    facts,
    ...(meant ? { help: `did you mean ${meant}?` } : {}),
  })
}

function refuseUnknown(schema: z.ZodObject, unknown: readonly string[]): never {
  const known = Object.keys(schema.shape)
  const meant = [...new Set(unknown.flatMap((name) => meantName(name, known) ?? []))]
  const all = `options are ${known.join(', ')}`
  return fail({
    code: 'bad-option',
    message: `there is no option ${unknown.join(', ')}`,
    help: meant.length ? `did you mean ${meant.join(', ')}? ${all}` : all,
  })
}

/** What zod says, in our words where its own are of its types. */
function expectation(issue: z.core.$ZodIssue): string {
  switch (issue.code) {
    case 'invalid_type':
      return issue.expected === 'int' ? 'expected a whole number' : `expected ${withArticle(issue.expected)}`
    case 'invalid_value':
      return `expected one of ${issue.values.map(String).join(', ')}`
    case 'invalid_union':
      return `expected ${[...new Set(issue.errors.flatMap(([first]) => (first ? [expectation(first)] : [])))]
        .map((text) => text.replace(/^expected /, ''))
        .join(' or ')}`
    case 'invalid_key':
      return `expected ${issue.issues[0]?.message ?? 'another key'}`
    case 'too_small':
      if (issue.origin === 'string') return 'expected a text that is not empty'
      return `expected a ${issue.origin === 'int' ? 'whole ' : ''}number ${issue.inclusive ? 'from' : 'above'} ${issue.minimum}${issue.inclusive ? ' up' : ''}`
    case 'too_big':
      return issue.origin === 'array'
        ? `expected at most ${issue.maximum} of them`
        : `expected a number of at most ${issue.maximum}`
    default:
      return issue.message
  }
}

const withArticle = (type: string): string =>
  type === 'string' ? 'a text' : /^[aeiou]/.test(type) ? `an ${type}` : `a ${type}`
