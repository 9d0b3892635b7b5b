// Run-time compilers: hipRTC and NVRTC, which have the same calls, and comgr's list of targets. Only child processes
// use this file: hipRTC may abort its process on a source or target it does not like.
import { basename, dirname, join } from 'node:path'
import { fail } from '../../ir/diagnostic.ts'
import type { FoundLibrary, HipLibraries } from './discovery.ts'
import { type NativeLibrary, type NativeResult, type NativeType, openLibrary, textAt } from './ffi.ts'
import { systemFiles } from './file-view.ts'
import { closureBeside, isOfGlibc, mappedFiles } from './needed-libraries.ts'

/**
 * Opens a library after those beside it that it needs, each by its path: the loader asks for no name then that the
 * machine may have a copy of. What is in the process already (Node's own libstdc++) stays the one.
 */
export function openAlone(path: string): NativeLibrary {
  if (process.platform === 'linux') {
    const folder = dirname(path)
    const mapped = mappedFiles().map((file) => basename(file))
    const isMapped = (name: string) => mapped.some((file) => file === name || file.startsWith(`${name}.`))
    for (const name of closureBeside(folder, [basename(path)]))
      if (!isOfGlibc(name) && !isMapped(name)) openLibrary(join(folder, name))
  }
  return openLibrary(path)
}

/** One program to compile. */
interface RtcInput {
  readonly source: string
  /** appears in diagnostics as the file's name */
  readonly name: string
  /** as the compiler takes them, the target among them */
  readonly options: readonly string[]
}

interface RtcResult {
  /** 0 is success; hipRTC and NVRTC share the numbers */
  readonly code: number
  /** `HIPRTC_ERROR_COMPILATION` */
  readonly codeName: string
  /** warnings and errors; '' when the compiler has nothing to say */
  readonly log: string
  /** the code object, cubin or NUL-terminated PTX; undefined after a failure */
  readonly image?: Uint8Array
  readonly kind?: 'code-object' | 'cubin' | 'ptx'
}

export interface RunTimeCompiler {
  readonly family: 'hiprtc' | 'nvrtc'
  readonly path: string
  compile(input: RtcInput): RtcResult
}

/** Looks a required function up; a library without it is the wrong one. */
function need(library: NativeLibrary, symbol: string, returns: NativeResult, ...args: NativeType[]) {
  const bound = library.bind(symbol, returns, args)
  if (bound) return bound
  return fail({
    code: 'library-symbol',
    message: `${library.path} has no ${symbol}`,
    help: 'this is not the library its name says, or of an unknown release',
  })
}

const outPointer = (): BigUint64Array => new BigUint64Array(new ArrayBuffer(8))

/** Binds the calls that both compilers have, under `prefix`. */
function bindCompiler(library: NativeLibrary, prefix: 'hiprtc' | 'nvrtc'): RunTimeCompiler {
  const create = need(library, `${prefix}CreateProgram`, 'status', 'pointer', 'text', 'text', 'i32', 'texts', 'texts')
  const compile = need(library, `${prefix}CompileProgram`, 'status', 'pointer', 'i32', 'texts')
  const logSize = need(library, `${prefix}GetProgramLogSize`, 'status', 'pointer', 'pointer')
  const log = need(library, `${prefix}GetProgramLog`, 'status', 'pointer', 'pointer')
  const destroy = need(library, `${prefix}DestroyProgram`, 'status', 'pointer')
  const errorString = need(library, `${prefix}GetErrorString`, 'text', 'i32')

  /** Reads one of the program's byte strings by its pair of size and content calls. */
  const read = (program: bigint, what: string): Uint8Array | undefined => {
    const size = library.bind(`${prefix}Get${what}Size`, 'status', ['pointer', 'pointer'])
    const content = library.bind(`${prefix}Get${what}`, 'status', ['pointer', 'pointer'])
    const bytes = outPointer()
    if (!size || !content || size(program, bytes) !== 0 || bytes[0] === 0n) return undefined
    const image = new Uint8Array(new ArrayBuffer(Number(bytes[0])))
    return content(program, image) === 0 ? image : undefined
  }
  const images: readonly (readonly [string, NonNullable<RtcResult['kind']>])[] =
    prefix === 'hiprtc'
      ? [['Code', 'code-object']]
      : [
          ['CUBIN', 'cubin'], // there when a real target (sm_90) was named
          ['PTX', 'ptx'],
        ]

  return {
    family: prefix,
    path: library.path,
    compile({ source, name, options }) {
      const handle = outPointer()
      const created: number = create(handle, source, name, 0, null, null)
      if (created !== 0) return { code: created, codeName: errorString(created), log: '' }
      const program = handle[0]!
      try {
        const code: number = compile(program, options.length, options)
        const size = outPointer()
        let text = ''
        if (logSize(program, size) === 0 && size[0]! > 1n) {
          const bytes = new Uint8Array(new ArrayBuffer(Number(size[0]) + 1)) // hipRTC's size leaves the NUL out
          if (log(program, bytes) === 0) text = decodeText(bytes)
        }
        const result = { code, codeName: errorString(code), log: text }
        if (code !== 0) return result
        for (const [what, kind] of images) {
          const image = read(program, what)
          if (image) return { ...result, image, kind }
        }
        return { ...result, code: -1, codeName: 'no code in the compiled program' }
      } finally {
        destroy(handle)
      }
    },
  }
}

function decodeText(bytes: Uint8Array): string {
  const end = bytes.indexOf(0)
  return new TextDecoder().decode(end < 0 ? bytes : bytes.subarray(0, end)).trim()
}

/**
 * hipRTC of an installation. comgr (and LLVM behind it) is loaded first: hipRTC loads it by plain name only when it
 * compiles, and crashes when that fails.
 */
export function openHipRtc(libraries: HipLibraries): RunTimeCompiler {
  const { compiler, builtins, comgr } = libraries
  if (!compiler || !comgr) {
    return fail({
      code: 'no-compiler',
      message: 'hipRTC and comgr were not found together',
      help: 'install the ROCm run-time compiler (libhiprtc and libamd_comgr), or name its folder in ROCMFORGE_ROCM_PATH',
    })
  }
  openAlone(comgr.path)
  if (builtins) openAlone(builtins.path)
  return bindCompiler(openAlone(compiler.path), 'hiprtc')
}

interface Nvrtc extends RunTimeCompiler {
  /** `13.0` */
  readonly version: string
  /** compute capabilities it has targets for: 90 is sm_90 */
  readonly targets: readonly number[]
}

/** NVRTC, with the targets that this release knows. */
export function openNvrtc(found: FoundLibrary): Nvrtc {
  // its built-ins lie beside it, but it asks the loader for them by plain name
  const folder = dirname(found.path)
  const builtins = systemFiles()
    .list(folder)
    .find((name) => /^(lib)?nvrtc-builtins(64_\d+)?\.(so|dll)/.test(name))
  if (builtins) openAlone(join(folder, builtins))
  const library = openAlone(found.path)
  const [major, minor] = [new Int32Array(new ArrayBuffer(8)), new Int32Array(new ArrayBuffer(8))]
  need(library, 'nvrtcVersion', 'status', 'pointer', 'pointer')(major, minor)
  const count = new Int32Array(new ArrayBuffer(8))
  const numTargets = library.bind('nvrtcGetNumSupportedArchs', 'status', ['pointer'])
  const listTargets = library.bind('nvrtcGetSupportedArchs', 'status', ['pointer'])
  let targets: number[] = []
  if (numTargets?.(count) === 0 && listTargets) {
    const list = new Int32Array(new ArrayBuffer(Math.max(1, count[0]!) * 4))
    if (listTargets(list) === 0) targets = [...list.subarray(0, count[0]!)]
  }
  return { ...bindCompiler(library, 'nvrtc'), version: `${major[0]}.${minor[0]}`, targets }
}

const isaPrefix = 'amdgcn-amd-amdhsa--'

/** The targets that comgr's compiler knows, sorted: `gfx90a`, `gfx1100`, … without generic ones. */
export function comgrTargets(comgr: FoundLibrary): string[] {
  const library = openAlone(comgr.path)
  const count = need(library, 'amd_comgr_get_isa_count', 'status', 'pointer')
  const nameAt = need(library, 'amd_comgr_get_isa_name', 'status', 'size', 'pointer')
  const value = outPointer()
  if (count(value) !== 0) return []
  const names: string[] = []
  for (let i = 0, total = Number(value[0]); i < total; i++) {
    if (nameAt(i, value) !== 0) continue
    const name = textAt(value[0]!)
    const target = name.startsWith(isaPrefix) ? name.slice(isaPrefix.length) : name
    if (/^gfx[0-9a-f]+$/.test(target)) names.push(target)
  }
  return names.sort((a, b) => a.length - b.length || (a < b ? -1 : a > b ? 1 : 0))
}

/** Version of the HIP runtime as `major·10⁷ + minor·10⁵ + patch`; needs no GPU. Undefined where the file has no such call. */
export function hipRuntimeVersion(runtime: FoundLibrary): number | undefined {
  const version = openLibrary(runtime.path).bind('hipRuntimeGetVersion', 'status', ['pointer'])
  const value = new Int32Array(new ArrayBuffer(8))
  return version?.(value) === 0 ? value[0] : undefined
}
