// The machine's C++ compiler as the host platform's run-time compiler: finds one that is new enough, knows its flags,
// and turns a flattened template into a host code object (the container that libhiphost's hipModuleLoadData reads).
import { createHash } from 'node:crypto'
import { readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { type Diagnostic, fail } from '../../ir/diagnostic.ts'
import { kernelCompileError } from './compile-error.ts'
import { runProcess } from './process.ts'
import { makeTemporaryFolder } from './temporary-folder.ts'

export interface HostCompiler {
  /** program and leading arguments: CXX may read `ccache g++` */
  readonly command: readonly string[]
  readonly kind: 'gcc' | 'clang'
  /** `12.2.0` */
  readonly version: string
  /** flags that select this machine's instructions */
  readonly native: readonly string[]
  /** equal for equal compilers on machines with equal instruction sets: part of every cache key */
  readonly identity: string
}

export type HostMode = 'fast' | 'emulate'

export interface HostKernelRequest {
  /** name for messages: `norm/rms_norm.hip` */
  readonly template: string
  /** flattened text without includes; #line markers give errors their place */
  readonly source: string
  /** extern "C" kernels in it */
  readonly kernels: readonly string[]
  /** `P_HIDDEN=288`; the mode's own defines are added */
  readonly defines: readonly string[]
  readonly mode: HostMode
  /** address and undefined-behaviour checks: such code objects run only in `runSanitized` */
  readonly sanitize?: boolean
}

const oldest = { gcc: 12, clang: 14 }
const compileTimeoutMs = 180_000

const advice =
  'install a C++ compiler: `apt install g++` (Debian, Ubuntu), `dnf install gcc-c++` (Fedora), ' +
  '`xcode-select --install` (macOS); or name one in ROCMFORGE_CXX'

const found = new Map<string, Promise<HostCompiler>>()

/**
 * The compiler that ROCMFORGE_CXX names, or else the first of CXX and the usual names that is new enough. Looks once a
 * process. Throws the Diagnostic `no-host-compiler`, which lists what was tried.
 */
export function findHostCompiler(
  env: Readonly<Record<string, string | undefined>> = process.env,
): Promise<HostCompiler> {
  const chosen = env['ROCMFORGE_CXX']?.trim()
  const candidates = chosen
    ? [chosen]
    : [
        env['CXX']?.trim() ?? '',
        'g++',
        'clang++',
        'c++',
        'g++-14',
        'g++-13',
        'g++-12',
        'clang++-18',
        'clang++-16',
        'clang++-14',
      ]
  const key = candidates.join('\0')
  let search = found.get(key)
  if (!search) {
    search = firstUsable(candidates.filter((name) => name !== ''))
    found.set(key, search)
    search.catch(() => found.delete(key)) // one may be installed meanwhile
  }
  return search
}

async function firstUsable(candidates: readonly string[]): Promise<HostCompiler> {
  const tried: [string, string][] = []
  for (const name of candidates) {
    const compiler = await probe(name)
    if (typeof compiler !== 'string') return compiler
    tried.push([name, compiler])
  }
  const present = tried.filter(([, why]) => why !== 'not found')
  fail({
    code: 'no-host-compiler',
    message: `no usable C++ compiler on this machine (g++ ${oldest.gcc} or clang ${oldest.clang}, or newer)`,
    facts: (present.length > 0 ? present : tried).map(([name, why]) => ['tried', `${name}: ${why}`] as const),
    help: advice,
  })
}

/** One run tells family, version and instruction set; a text says why the compiler cannot be used. */
async function probe(name: string): Promise<HostCompiler | string> {
  const command = name.split(/\s+/)
  for (const native of [['-march=native'], ['-mcpu=native'], []]) {
    let result: Awaited<ReturnType<typeof runProcess>>
    try {
      result = await runProcess([...command, ...native, '-std=c++17', '-dM', '-E', '-x', 'c++', '-'], {
        timeoutMs: 20_000,
      })
    } catch (error) {
      return (error as NodeJS.ErrnoException).code === 'ENOENT' ? 'not found' : String(error)
    }
    if (result.timedOut) return 'does not answer'
    if (result.status !== 0) continue
    const macro = (key: string) => new RegExp(`^#define ${key} (.*)$`, 'm').exec(result.stdout)?.[1]
    const kind = macro('__clang__') ? 'clang' : 'gcc'
    const names =
      kind === 'clang'
        ? ['__clang_major__', '__clang_minor__', '__clang_patchlevel__']
        : ['__GNUC__', '__GNUC_MINOR__', '__GNUC_PATCHLEVEL__']
    const version = names.map((key) => macro(key) ?? '0').join('.')
    if (Number.parseInt(version, 10) < oldest[kind]) return `${kind} ${version}, needs ${oldest[kind]} or newer`
    const macros = createHash('sha256').update(result.stdout.split('\n').sort().join('\n')).digest('hex').slice(0, 16)
    return { command, kind, version, native, identity: `${kind} ${version} ${native.join(' ')} ${macros}` }
  }
  return 'cannot compile'
}

/**
 * Flags that shape the code of a kernel. Not -ffast-math: NaN and infinity must behave, reductions are written with
 * vectors in the templates, and linking with it would change the arithmetic of the whole process.
 */
function kernelFlags(compiler: HostCompiler, request: Pick<HostKernelRequest, 'mode' | 'sanitize'>): string[] {
  const fast = request.mode === 'fast'
  const flags = [
    // threads of emulated waves spend their time in changing places: what optimising takes longer is not won back
    ...(request.sanitize ? ['-O0', '-g1'] : [fast ? '-O3' : '-Og']),
    ...compiler.native,
    '-std=c++17',
    '-fPIC',
    '-shared',
    '-fno-math-errno', // sqrt is one instruction
    '-fno-trapping-math', // lets branches become selects
    '-ffp-contract=fast', // multiply and add in one step, as GPUs do
    '-fno-strict-aliasing', // templates read the same bytes as several types
    '-fno-exceptions',
    '-fno-rtti',
    '-fvisibility=hidden',
    '-fno-stack-protector',
    '-fno-asynchronous-unwind-tables',
    '-fdiagnostics-color=never',
    '-w',
  ]
  if (compiler.kind === 'gcc')
    flags.push('-fno-gnu-unique', '-pipe') // unique symbols would keep dlclose from unloading
  else flags.push('-ferror-limit=5')
  // without the source line, which would be quoted from a file that the text does not come from
  flags.push(compiler.kind === 'gcc' ? '-fno-diagnostics-show-caret' : '-fno-caret-diagnostics')
  if (request.sanitize)
    flags.push('-fsanitize=address,undefined', '-fno-sanitize-recover=all', '-fno-omit-frame-pointer')
  return flags
}

/** No start-up files: a kernel has none to run, and without the C++ library the link takes half the time. */
const linkFlags = (sanitize: boolean): string[] =>
  process.platform === 'darwin' || sanitize ? ['-lm'] : ['-nostdlib', '-Wl,-z,defs', '-lm', '-lc', '-lgcc']

const modeDefines = (mode: HostMode): string[] => (mode === 'emulate' ? ['-DHIPHOST_EMULATE=1'] : [])

/** The options that decide a kernel's bytes beside its text; for cache keys. */
export function hostOptions(compiler: HostCompiler, request: Omit<HostKernelRequest, 'source' | 'template'>): string[] {
  return [
    ...kernelFlags(compiler, request),
    ...modeDefines(request.mode),
    ...request.defines.map((text) => `-D${text}`),
  ]
}

/** The text that the compiler reads: the template, then one entry point a kernel. */
function hostSource(request: Pick<HostKernelRequest, 'source' | 'kernels'>): string {
  const entries = request.kernels.map((name) => `HIPHOST_ENTRY(${name})`)
  return `${request.source}\n#line 1 "host entry points"\n${entries.join('\n')}\n`
}

/** The full command; the source is read from standard input. */
export function hostCompileCommand(compiler: HostCompiler, request: HostKernelRequest, output: string): string[] {
  const options = hostOptions(compiler, request)
  return [...compiler.command, ...options, '-x', 'c++', '-', '-o', output, ...linkFlags(request.sanitize ?? false)]
}

/**
 * Compiles to a host code object. Throws the Diagnostic `kernel-compile` (template, line, message, defines, command) or
 * `no-host-compiler`.
 */
export async function compileHostKernel(
  request: HostKernelRequest,
  options: { readonly timeoutMs?: number; readonly signal?: AbortSignal; readonly compiler?: HostCompiler } = {},
): Promise<Uint8Array> {
  const compiler = options.compiler ?? (await findHostCompiler())
  const folder = makeTemporaryFolder()
  try {
    const output = join(folder, 'kernel.so')
    const command = hostCompileCommand(compiler, request, output)
    const timeoutMs = options.timeoutMs ?? compileTimeoutMs
    const result = await runProcess(command, {
      input: hostSource(request),
      timeoutMs,
      ...(options.signal ? { signal: options.signal } : {}),
    })
    if (result.status !== 0) throw compileError(compiler, request, result, timeoutMs)
    return packImage(readFileSync(output))
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

function compileError(
  compiler: HostCompiler,
  request: HostKernelRequest,
  result: Awaited<ReturnType<typeof runProcess>>,
  timeoutMs: number,
): Diagnostic {
  const flags = [...kernelFlags(compiler, request), ...modeDefines(request.mode)].filter((flag) => flag !== '-w')
  return kernelCompileError({
    template: request.template,
    compiler: `${compiler.kind} ${compiler.version}`,
    output: result.stderr,
    outcome: result.timedOut
      ? `was stopped after ${timeoutMs / 1000} s`
      : result.signal
        ? `died of ${result.signal}`
        : '',
    defines: request.defines,
    source: request.source,
    command: [...compiler.command, ...flags],
    link: linkFlags(request.sanitize ?? false),
  })
}

const magic = Buffer.from('HIPHOST\x01', 'latin1')

/** Wraps a shared object as the image that hipModuleLoadData takes, which has no length argument. */
function packImage(sharedObject: Uint8Array): Uint8Array {
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(sharedObject.length))
  return new Uint8Array(Buffer.concat([magic, length, sharedObject]))
}

/** The shared object in a host code object, for disassemblers; undefined when `image` is something else. */
export function sharedObjectIn(image: Uint8Array): Uint8Array | undefined {
  if (image.length < 16 || Buffer.compare(image.subarray(0, 8), magic) !== 0) return undefined
  const length = Number(new DataView(image.buffer, image.byteOffset).getBigUint64(8, true))
  return image.length === 16 + length ? image.subarray(16) : undefined
}
