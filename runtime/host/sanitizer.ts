// Runs kernels under the address and undefined-behaviour sanitizers, in a process of its own (Node is not built with
// them). Buffers are exactly as large as given, so a read or write one byte beyond is found.
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { invariant } from '../../ir/diagnostic.ts'
import { hostRunnerPath } from './library.ts'
import { type Finished, runProcess } from './process.ts'
import { makeTemporaryFolder } from './temporary-folder.ts'

export type SanitizedArg =
  /** index into `buffers`; offset in bytes */
  | { readonly buffer: number; readonly offset?: number }
  | { readonly i32: number }
  | { readonly u32: number }
  | { readonly u64: bigint }
  | { readonly f32: number }

interface SanitizedLaunch {
  /** index into `modules` */
  readonly module: number
  readonly kernel: string
  readonly grid: readonly [number, number?, number?]
  readonly block: readonly [number, number?, number?]
  readonly ldsBytes?: number
  readonly args: readonly SanitizedArg[]
}

interface SanitizedRun {
  /** code objects of `compileHostKernel({ …, sanitize: true })` */
  readonly modules: readonly Uint8Array[]
  /** contents before the first launch; a number of bytes starts as 0xff */
  readonly buffers: readonly (Uint8Array | number)[]
  /** run one after another */
  readonly launches: readonly SanitizedLaunch[]
  /** OS threads; default 2 */
  readonly threads?: number
  /** not 0: fibers run in a random order that it determines */
  readonly seed?: number
  readonly timeoutMs?: number
}

type SanitizedResult =
  | { readonly clean: true; readonly buffers: readonly Uint8Array[] }
  /** `finding`: one line, such as `heap-buffer-overflow` or what a barrier waits for; `report`: all of it */
  | { readonly clean: false; readonly finding: string; readonly report: string }

/** Throws the Diagnostics of `hostRunnerPath` when the runner cannot be built (no compiler, no sanitizer libraries). */
export async function runSanitized(run: SanitizedRun): Promise<SanitizedResult> {
  const runner = await hostRunnerPath()
  const folder = makeTemporaryFolder()
  try {
    const list = join(folder, 'list')
    writeFileSync(list, writeList(run, folder))
    const result = await runProcess([runner, list], {
      timeoutMs: run.timeoutMs ?? 120_000,
      env: {
        // leak checks need a debugger's rights; stack use after return would move frames off the fibers' stacks
        ASAN_OPTIONS: 'detect_leaks=0:detect_stack_use_after_return=0:abort_on_error=0',
        UBSAN_OPTIONS: 'print_stacktrace=1',
      },
    })
    invariant(result.status !== 2, `the sanitized runner cannot read its list: ${result.stderr}`)
    if (result.status !== 0) return { clean: false, finding: findingOf(result), report: result.stderr }
    return { clean: true, buffers: run.buffers.map((_, i) => new Uint8Array(readFileSync(join(folder, `out${i}`)))) }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

function writeList(run: SanitizedRun, folder: string): string {
  mkdirSync(folder, { recursive: true })
  const file = (name: string, bytes: Uint8Array) => {
    writeFileSync(join(folder, name), bytes)
    return join(folder, name)
  }
  return [
    `threads ${run.threads ?? 2}`,
    `seed ${run.seed ?? 0}`,
    ...run.modules.map((image, i) => `module ${i} ${file(`module${i}`, image)}`),
    ...run.buffers.map((start, i) => {
      const bytes = typeof start === 'number' ? new Uint8Array(0) : start
      return `buffer ${i} ${typeof start === 'number' ? start : start.length} ${file(`in${i}`, bytes)}`
    }),
    ...run.launches.map(({ module, kernel, grid, block, ldsBytes, args }) => {
      const dims = [grid, block].flatMap(([x, y, z]) => [x, y ?? 1, z ?? 1])
      return ['launch', module, kernel, ...dims, ldsBytes ?? 0, args.length, ...args.map(writeArg)].join(' ')
    }),
    ...run.buffers.map((_, i) => `save ${i} ${join(folder, `out${i}`)}`),
    '',
  ].join('\n')
}

function writeArg(arg: SanitizedArg): string {
  if ('buffer' in arg) return `p ${arg.buffer} ${arg.offset ?? 0}`
  const bytes = new DataView(new ArrayBuffer(8))
  if ('i32' in arg) bytes.setInt32(0, arg.i32, true)
  else if ('u32' in arg) bytes.setUint32(0, arg.u32, true)
  else if ('f32' in arg) bytes.setFloat32(0, arg.f32, true)
  else bytes.setBigUint64(0, arg.u64, true)
  return `v ${bytes.getBigUint64(0, true).toString(16)}`
}

function findingOf(result: Finished): string {
  if (result.timedOut) return 'the kernels did not finish in time'
  const text = result.stderr
  const address = /ERROR: AddressSanitizer: (\S+)/.exec(text)?.[1]
  const undefinedBehaviour = /^(.*): runtime error: (.*)$/m.exec(text)
  const library = /^hiphost: (.*)$/m.exec(text)?.[1]
  if (undefinedBehaviour) return `${undefinedBehaviour[2]} at ${undefinedBehaviour[1]}`
  return address ?? library ?? `the process ended with ${result.signal ?? `status ${result.status}`}`
}
