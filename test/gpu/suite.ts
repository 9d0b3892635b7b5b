// What a run of the GPU suite collects: checks that pass or fail, figures beside their targets, notes. Nothing stops at a
// failure: the rest of the report is worth having.
import { Diagnostic } from '../../ir/diagnostic.ts'

export interface Check {
  readonly name: string
  readonly outcome: 'passed' | 'failed' | 'skipped'
  readonly ms: number
  /** why it failed or was skipped */
  readonly reason?: string
}

export interface Figure {
  readonly name: string
  readonly value: number
  readonly unit: string
  /** `≤ 5` or `≥ 0.8`, in the figure's unit */
  readonly target?: { readonly most: number } | { readonly least: number }
  readonly note?: string
}

export interface Part {
  readonly title: string
  readonly checks: Check[]
  readonly figures: Figure[]
  readonly notes: string[]
  seconds: number
}

export const meetsTarget = ({ value, target }: Figure): boolean | undefined =>
  target && ('most' in target ? value <= target.most : value >= target.least)

/** Three significant digits; whole numbers from 1000 on. */
export const shortNumber = (value: number): string =>
  Math.abs(value) >= 1000 ? value.toFixed(0) : String(Number(value.toPrecision(3)))

export class Suite {
  readonly parts: Part[] = []
  #part: Part | undefined

  get current(): Part {
    if (!this.#part) throw new Error('a check outside of any part')
    return this.#part
  }

  /** Runs one part; an error that no check caught is a failed check of its own. */
  async part(title: string, run: () => Promise<void> | void): Promise<void> {
    this.#part = { title, checks: [], figures: [], notes: [], seconds: 0 }
    this.parts.push(this.#part)
    console.log(`\n## ${title}`)
    const start = performance.now()
    await this.check('runs to its end', run, { quiet: true })
    this.#part.seconds = (performance.now() - start) / 1e3
    console.log(`   ${this.#part.seconds.toFixed(1)} s`)
  }

  /** True if it passed. */
  async check(
    name: string,
    run: () => Promise<unknown> | unknown,
    options: { readonly quiet?: boolean } = {},
  ): Promise<boolean> {
    const part = this.current
    const start = performance.now()
    try {
      await run()
      if (options.quiet) return true
      part.checks.push({ name, outcome: 'passed', ms: performance.now() - start })
      console.log(`✓ ${name} (${shortNumber(performance.now() - start)} ms)`)
      return true
    } catch (error) {
      const reason = describeError(error)
      part.checks.push({ name, outcome: 'failed', ms: performance.now() - start, reason })
      console.log(`✗ ${name}\n${reason.replaceAll(/^/gm, '    ')}`)
      return false
    }
  }

  skip(name: string, reason: string): void {
    this.current.checks.push({ name, outcome: 'skipped', ms: 0, reason })
    console.log(`- ${name}: skipped, ${reason}`)
  }

  figure(figure: Figure): void {
    this.current.figures.push(figure)
    const { name, value, unit, target, note } = figure
    const wanted = target ? ('most' in target ? ` (target ≤ ${target.most})` : ` (target ≥ ${target.least})`) : ''
    console.log(`  ${name}: ${shortNumber(value)} ${unit}${wanted}${note ? `; ${note}` : ''}`)
  }

  note(text: string): void {
    this.current.notes.push(text)
    console.log(`  ${text}`)
  }

  count(outcome: Check['outcome']): number {
    return this.parts.reduce((sum, { checks }) => sum + checks.filter((check) => check.outcome === outcome).length, 0)
  }
}

export function describeError(error: unknown): string {
  if (error instanceof Diagnostic) return error.message
  if (!(error instanceof Error)) return String(error)
  return error.name === 'AssertionError' ? error.message : (error.stack ?? error.message)
}

export const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[values.length >> 1]!
