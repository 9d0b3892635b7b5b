// What the two sides of a comparison say to each other: a runner is a process that loads one model file, reports that it is
// ready, and then measures a round for every line it gets. One JSON object a line.
import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface, type Interface } from 'node:readline'

export interface RoundRequest {
  /** tokens of the prompt whose reading is timed */
  readonly prefill: number
  /** tokens generated behind a short prompt, greedily */
  readonly decode: number
}

/** Seconds: from the prompt to the logits of its last token; between the first and the last generated token. */
export interface Round {
  readonly prefillSeconds: number
  readonly decodeSeconds: number
}

/** Ids that every vocabulary here has; the same for both sides. */
export const promptOf = (tokens: number): number[] => Array.from({ length: tokens }, (_, i) => 3 + ((i * 37) % 4000))

/** Serves rounds on standard input and output until the input ends. */
export async function serveRounds(measure: (request: RoundRequest) => Promise<Round>): Promise<void> {
  process.stdout.write(`${JSON.stringify({ ready: true })}\n`)
  for await (const line of createInterface({ input: process.stdin })) {
    process.stdout.write(`${JSON.stringify(await measure(JSON.parse(line) as RoundRequest))}\n`)
  }
}

/** A runner in a process of its own. */
export class Runner implements Disposable {
  readonly #child: ChildProcess
  readonly #lines: AsyncIterator<string>
  readonly #input: Interface

  private constructor(script: string, args: readonly string[], env: Readonly<Record<string, string>>) {
    const stdio = ['pipe', 'pipe', 'inherit'] as const
    this.#child = spawn(process.execPath, [script, ...args], { stdio: [...stdio], env: { ...process.env, ...env } })
    this.#input = createInterface({ input: this.#child.stdout! })
    this.#lines = this.#input[Symbol.asyncIterator]()
  }

  /** Resolves when the model is loaded. */
  static async start(script: string, args: readonly string[], env: Readonly<Record<string, string>> = {}) {
    const runner = new Runner(script, args, env)
    await runner.#next()
    return runner
  }

  async round(request: RoundRequest): Promise<Round> {
    this.#child.stdin!.write(`${JSON.stringify(request)}\n`)
    return (await this.#next()) as Round
  }

  async #next(): Promise<unknown> {
    const line = await this.#lines.next()
    if (line.done) throw new Error(`${this.#child.spawnargs.slice(1).join(' ')} ended without an answer`)
    return JSON.parse(line.value)
  }

  [Symbol.dispose](): void {
    this.#input.close()
    this.#child.kill()
  }
}
