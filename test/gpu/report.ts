// The report as Markdown: what ran where, figures beside their targets, what failed.
import { availableParallelism, cpus, totalmem } from 'node:os'
import { basename } from 'node:path'
import { targetId } from '../../ir/target.ts'
import { peerTable } from './peers.ts'
import { type Figure, meetsTarget, type Part, type Suite, shortNumber } from './suite.ts'
import type { SuiteDevice } from './suite-device.ts'

export interface RunFacts {
  readonly command: string
  readonly seconds: number
  readonly compiler: string
}

export function machineFacts(
  { driver, target, id, report }: SuiteDevice,
  { command, seconds, compiler }: RunFacts,
): string[] {
  const { properties, version } = driver
  const gib = (bytes: number) => `${(bytes / 2 ** 30).toFixed(1)} GiB`
  return [
    `Command: \`${command}\` (${seconds.toFixed(0)} s)`,
    `Device: ${properties.name} (${id}), ${targetId(target)}, ${properties.computeUnits} compute units, waves of ${properties.wave}, ${gib(properties.memoryBytes)}, L2 ${(properties.l2Bytes / 2 ** 20).toFixed(0)} MiB, clock ${(properties.clockKHz / 1e6).toFixed(2)} GHz`,
    `Driver library: ${report.library ? basename(report.library) : 'libhiphost'}, driver ${version.driver}, runtime ${version.runtime}`,
    `Run-time compiler: ${compiler}`,
    `Machine: ${availableParallelism()} cores (${cpus()[0]?.model.trim() ?? 'unknown'}), ${gib(totalmem())} of memory, Node ${process.version}`,
  ]
}

export function renderReport(suite: Suite, facts: readonly string[], deviceName: string): string {
  const counts = (['passed', 'failed', 'skipped'] as const).map((outcome) => `${suite.count(outcome)} ${outcome}`)
  const failures = suite.parts.flatMap(({ title, checks }) =>
    checks.filter(({ outcome }) => outcome !== 'passed').map((check) => ({ title, ...check })),
  )
  return [
    '# GPU report',
    '',
    'Written by `npm run test:gpu`, which anyone with a GPU can run; on a machine without Node and npm by `scripts/gpu-pack.mjs` elsewhere and `bash scripts/gpu-run.sh` there.',
    '',
    ...facts.map((fact) => `- ${fact}`),
    `- Checks: ${counts.join(', ')}`,
    '',
    ...(failures.length
      ? [
          '## Failed and skipped',
          '',
          ...failures.map(
            ({ title, name, outcome, reason }) =>
              `- ${outcome}: ${title}: ${name}\n\n${(reason ?? '').replaceAll(/^/gm, '      ')}\n`,
          ),
          '',
        ]
      : []),
    ...(deviceName.includes('H200') ? peerTable(figures(suite)) : []),
    ...suite.parts.flatMap(renderPart),
  ].join('\n')
}

/** The value of a figure by its name. */
const figures =
  (suite: Suite) =>
  (name: string): number | undefined =>
    suite.parts.flatMap((part) => part.figures).find((figure) => figure.name === name)?.value

function renderPart({ title, checks, figures, notes, seconds }: Part): string[] {
  return [
    `## ${title}`,
    '',
    `${checks.filter(({ outcome }) => outcome === 'passed').length} of ${checks.length} checks passed, ${seconds.toFixed(1)} s.`,
    '',
    ...(figures.length
      ? ['| figure | value | target | |', '| --- | --- | --- | --- |', ...figures.map(renderFigure), '']
      : []),
    ...(checks.length
      ? [
          ...checks.map(
            ({ name, outcome, ms }) =>
              `- ${outcome === 'passed' ? '✓' : outcome === 'failed' ? '✗' : '–'} ${name} (${shortNumber(ms)} ms)`,
          ),
          '',
        ]
      : []),
    ...notes.flatMap((note) => [note, '']),
  ]
}

function renderFigure(figure: Figure): string {
  const { name, value, unit, target, note = '' } = figure
  const met = meetsTarget(figure)
  const wanted = target
    ? `${'most' in target ? `≤ ${target.most}` : `≥ ${target.least}`}${met ? ' ✓' : ' ✗ missed'}`
    : ''
  return `| ${name} | ${shortNumber(value)} ${unit} | ${wanted} | ${note} |`
}
