// The child processes of all compilers: a pool for each toolchain, and what comes of a job there.
import { Diagnostic, invariant } from '../../ir/diagnostic.ts'
import { crashedError, type FailedJob, refusedError, timeoutError, toolchainName } from './error.ts'
import { CompilePool, type CompilePoolOptions } from './pool.ts'
import type { Slots } from './slots.ts'
import type { Toolchain } from './toolchains.ts'

export class CompilerChildren {
  readonly #options: Pick<CompilePoolOptions, 'entry' | 'timeoutMs'>
  readonly #limit: Slots
  readonly #pools = new Map<string, CompilePool>()
  #jobs = 0

  constructor(options: Pick<CompilePoolOptions, 'entry' | 'timeoutMs'>, limit: Slots) {
    this.#options = options
    this.#limit = limit
  }

  /** An id for a job, which its answer repeats. */
  nextId(): number {
    return this.#jobs++
  }

  #poolOf(toolchain: Toolchain): CompilePool {
    const key = [...toolchain.launcher, toolchain.identity].join(' ') // one release may be installed and unpacked too
    let pool = this.#pools.get(key)
    if (!pool) {
      pool = new CompilePool({ ...this.#options, launcher: toolchain.launcher })
      this.#pools.set(key, pool)
    }
    return pool
  }

  /** Code and warnings of a job; Diagnostics `kernel-compile`, `compiler-crashed`, `compile-timeout`, `unsupported-target`. */
  async compile(failed: FailedJob, signal: AbortSignal | undefined): Promise<{ image: Uint8Array; log: string }> {
    const { job, toolchain, target } = failed
    for (let attempt = 0; ; attempt++) {
      const outcome = await this.#poolOf(toolchain).run(job, signal)
      if (outcome.kind === 'timeout') throw timeoutError(failed, this.#options.timeoutMs)
      if (outcome.kind === 'died') {
        // A compiler that gives up says why. Silence means that something else ended it, such as the system when
        // memory ran out: worth one more try.
        if (outcome.stderr === '' && attempt === 0) continue
        throw crashedError(failed, outcome.how, outcome.stderr)
      }
      const { reply } = outcome
      if (reply.kind === 'failed') throw new Diagnostic(reply.diagnostic)
      if (reply.kind === 'unknown-target') throw unsupportedTarget(target, toolchain, reply.known)
      invariant(reply.kind === 'done', 'a compiler answered another question')
      if (reply.code !== 0 || !reply.image) throw refusedError(failed, reply.codeName, reply.log)
      return { image: reply.image, log: reply.log }
    }
  }

  /** The instructions of a code object, by the first comgr that can. */
  async disassemble(toolchains: readonly Toolchain[], target: string, image: Uint8Array): Promise<string | undefined> {
    for (const toolchain of toolchains) {
      const comgr = toolchain.hip?.comgr
      if (!comgr) continue
      const job = { id: this.nextId(), comgr, target, image }
      const outcome = await this.#limit(() => this.#poolOf(toolchain).run(job))
      if (outcome.kind === 'reply' && outcome.reply.kind === 'disassembled' && outcome.reply.text)
        return outcome.reply.text
    }
    return undefined
  }

  [Symbol.dispose](): void {
    for (const pool of this.#pools.values()) pool[Symbol.dispose]()
    this.#pools.clear()
  }
}

function unsupportedTarget(target: string, toolchain: Toolchain, known: readonly string[]): Diagnostic {
  return new Diagnostic({
    code: 'unsupported-target',
    message: `${toolchainName(toolchain)} has no target ${target}`,
    facts: [
      ['found', toolchain.origin],
      ['knows', known.join(' ')],
    ],
    help: 'another release may know it: ROCMFORGE_HIPRTC chooses one, `rocmforge toolchain` brings them to Debian',
  })
}
