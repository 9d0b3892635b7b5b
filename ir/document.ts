// docs/ops.md, written from the declarations of the ops: nothing about an op is said twice.
import { z } from 'zod'
import { allOps, type OpDefinition } from './op.ts'
import './ops/index.ts'

interface Schema {
  readonly type?: string
  readonly enum?: readonly unknown[]
  readonly anyOf?: readonly Schema[]
  readonly items?: Schema
  readonly properties?: Readonly<Record<string, Schema>>
  readonly required?: readonly string[]
  readonly default?: unknown
  readonly description?: string
  readonly minimum?: number
  readonly exclusiveMinimum?: number
  readonly maximum?: number
  readonly multipleOf?: number
}

/** Every op as Markdown: model ops first, then fused ones, by name. */
export function documentOps(): string {
  const byName = (a: OpDefinition, b: OpDefinition) => (a.name < b.name ? -1 : 1)
  const ops = allOps().sort(byName)
  const section = (title: string, text: string, list: readonly OpDefinition[]) => [
    `## ${title}`,
    text,
    list.map(({ name }) => `[${name}](#${name})`).join(' · '),
    ...list.map((definition) => documentOp({ definition })),
  ]
  return `${[
    '# Ops',
    'Written from the declarations in `ir/ops` by `npm run docs`; a test fails when this file is stale.',
    'Dims: `T` tokens in the step, `R` requests, `L` context length, `P` pages in a cache, `M` pages of a request, `D` hidden, ' +
      '`H` query heads, `Hkv` key/value heads, `C` channels of a head, `F` feed-forward, `V` vocabulary; `M`, `N`, `K` inside ' +
      'matmul. `float` is f32, f16 or bf16; `any` is every dtype, block-quantised ones included. References hold values in f32 ' +
      'and sum in f64.',
    ...section(
      'Model ops',
      'What front ends and scripts write a model with.',
      ops.filter((op) => !op.expand),
    ),
    ...section(
      'Fused ops',
      'What passes put in place of model ops. A fused op is its expansion: type, reference and fallback follow from it.',
      ops.filter((op) => op.expand),
    ),
  ].join('\n\n')}\n`
}

const traits: Record<string, string> = {
  view: 'a view of its operand: no kernel',
  load: 'evaluated once, when weights are loaded',
  elementwise: 'elementwise',
  rowwise: 'each row of the result depends on one row of the operand',
}

/** One op as Markdown. */
export function documentOp({ definition: op }: { readonly definition: OpDefinition }): string {
  const operand = (name: string, doc: string, optional: boolean) =>
    `| \`${name}\` | ${cell(doc)} |${optional ? ' may be left out |' : ` ${updates(op, name)} |`}`
  const notes = op.traits.map((trait) => traits[trait])
  return [
    `### ${op.name}`,
    `${op.doc}${op.doc.endsWith('.') ? '' : '.'}`,
    ...(notes.length ? [`*${notes.join('; ')}*`] : []),
    [
      '| operand | type and meaning | |',
      '| --- | --- | --- |',
      ...Object.entries(op.operands).map(([name, doc]) => operand(name, doc, false)),
      ...Object.entries(op.optional).map(([name, doc]) => operand(name, doc, true)),
    ].join('\n'),
    ...documentAttrs(op),
    ...(op.results.length > 1 ? [`Results: ${op.results.map((name) => `\`${name}\``).join(', ')}.`] : []),
  ].join('\n\n')
}

const updates = (op: OpDefinition, name: string): string =>
  Object.values(op.aliases).includes(name) ? 'updated in place' : ''

function documentAttrs(op: OpDefinition): string[] {
  const { properties = {}, required = [] } = z.toJSONSchema(op.attrs as z.ZodType, {
    io: 'input',
    unrepresentable: 'any',
  }) as Schema
  const rows = Object.entries(properties).map(([name, schema]) => {
    const given =
      schema.default !== undefined
        ? `default ${JSON.stringify(schema.default)}`
        : required.includes(name)
          ? ''
          : 'may be left out'
    return `| \`${name}\` | ${cell(kindOf(schema))} | ${given} | ${cell(schema.description ?? '')} |`
  })
  return rows.length ? [['| attribute | kind | | meaning |', '| --- | --- | --- | --- |', ...rows].join('\n')] : []
}

function kindOf(schema: Schema): string {
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(', ')
  if (schema.anyOf) return schema.anyOf.map((one) => one.description ?? kindOf(one)).join(', or ')
  if (schema.type === 'array') return `list of ${kindOf(schema.items ?? {})}`
  const { minimum, exclusiveMinimum, maximum, multipleOf } = schema
  const bounds = [
    ...(exclusiveMinimum !== undefined ? [`above ${exclusiveMinimum}`] : []),
    ...(minimum !== undefined && minimum > Number.MIN_SAFE_INTEGER ? [`from ${minimum}`] : []),
    ...(maximum !== undefined && maximum < Number.MAX_SAFE_INTEGER ? [`to ${maximum}`] : []),
    ...(multipleOf !== undefined ? [`a multiple of ${multipleOf}`] : []),
  ]
  return [schema.type === 'integer' ? 'whole number' : (schema.type ?? 'value'), ...bounds].join(' ')
}

const cell = (text: string): string => text.replaceAll('|', '\\|')
