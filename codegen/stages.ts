// The header of a step program: kernels as functions, each in a namespace under its own defines, and the two dispatchers
// that step.hip calls. Everything else is in the templates.
import type { Defines } from './kernel.ts'
import { bodyOf, defineValue } from './source.ts'

/** A template under one list of defines, of which some entries are stages. */
export interface StageSource {
  readonly template: string
  readonly defines: Defines
  /** entry → names of its arguments, in order */
  readonly entries: Readonly<Record<string, readonly string[]>>
}

/** One kernel that a call may name: the number in the table is its place in this list. */
interface StageEntry {
  readonly source: number
  readonly entry: string
  readonly args: number
}

/** Names under which all stages of a step are compiled: the launch's, not a stage's. */
export const sharedDefines: ReadonlySet<string> = new Set(['P_BLOCK', 'P_WAVE', 'P_BLOCKS_PER_CU'])

export const stageEntries = (sources: readonly StageSource[]): StageEntry[] =>
  sources.flatMap(({ entries }, source) =>
    Object.entries(entries).map(([entry, args]) => ({ source, entry, args: args.length })),
  )

/** Can blocks ask for the first weights of this kernel before it runs? Its template then has a function `<entry>_prefetch`. */
export const hasPrefetch = ({ template }: StageSource, entry: string): boolean =>
  bodyOf(template).text.includes(`DEVICE void ${entry}_prefetch(`)

/** The text of `step/stages.h`. */
export function stagesHeader(sources: readonly StageSource[]): string {
  const entries = stageEntries(sources)
  const prelude = new Set(sources.flatMap(({ template }) => bodyOf(template).prelude))
  return [
    '#pragma once',
    ...[...prelude].map((path) => `#include "${path}"`),
    '#undef KERNEL',
    '#define KERNEL DEVICE',
    ...sources.flatMap(namespaceOf),
    '#undef KERNEL',
    '#define KERNEL LAUNCHED_KERNEL',
    ...dispatcher('run_stage', entries, ''),
    ...dispatcher(
      'prefetch_stage',
      entries.map((one) => (hasPrefetch(sources[one.source]!, one.entry) ? one : undefined)),
      '_prefetch',
    ),
    '',
  ].join('\n')
}

function namespaceOf({ template, defines }: StageSource, number: number): string[] {
  const { text } = bodyOf(template)
  const own = Object.entries(defines).filter(([name]) => !sharedDefines.has(name))
  const defined = new Set([...own.map(([name]) => name), ...[...text.matchAll(/^#define (P_\w+)/gm)].map((m) => m[1]!)])
  return [
    ...own.map(([name, value]) => `#define ${name} ${defineValue(name, value)}`),
    `namespace stage_${number} {`,
    text.trimEnd(),
    '}',
    ...[...defined].filter((name) => !sharedDefines.has(name)).map((name) => `#undef ${name}`),
  ]
}

const dispatcher = (name: string, entries: readonly (StageEntry | undefined)[], suffix: string): string[] => [
  `DEVICE void ${name}(u32 stage, const stage_args& a) {`,
  '  switch (stage) {',
  ...entries.flatMap((one, i) => {
    if (!one) return []
    const args = Array.from({ length: one.args }, (_, n) => `a[${n}]`).join(', ')
    return [`    case ${i}: return stage_${one.source}::${one.entry}${suffix}(${args});`]
  }),
  '  }',
  '}',
]
