// The one place that touches koffi: loads a shared library and binds C functions by name. Pointers travel as bigint,
// out-parameters as the typed array that receives the value, sizes as plain numbers (below 2^53 by nature).
import { createRequire } from 'node:module'
import { join } from 'node:path'
import type { LibraryHandle } from 'koffi'
import { fail } from '../../ir/diagnostic.ts'
import { packageRoot } from '../../ir/package-root.ts'

type Koffi = typeof import('koffi').default
let loaded: Koffi | undefined

/**
 * koffi, when it is first needed: without a device nothing of it is. By `require`, which bundlers leave alone, since it
 * finds its native half beside itself only. Diagnostics `bundled`, `library-load`.
 */
function koffi(): Koffi {
  if (loaded) return loaded
  const root = packageRoot()
  try {
    loaded = createRequire(join(root, 'package.json'))('koffi') as Koffi
  } catch (error) {
    fail(
      {
        code: 'library-load',
        message: `cannot load koffi: ${error instanceof Error ? error.message.split('\n')[0] : error}`,
        facts: [['needed', 'to call the libraries of devices']],
        help: 'install it with its optional packages (`npm install --include=optional`), and keep it outside of bundles',
      },
      error,
    )
  }
  return loaded
}

/**
 * How a parameter crosses the border. `pointer` takes a bigint address, a typed array (its memory) or null, `texts`
 * an array of strings or null.
 */
export type NativeType = 'pointer' | 'i32' | 'u32' | 'u64' | 'size' | 'f32' | 'text' | 'texts'

/** What a native function gives back: a 32-bit status, a C string, or an address. */
export type NativeResult = 'status' | 'text' | 'pointer'

const cTypes: Record<NativeType | NativeResult, string> = {
  pointer: 'void *',
  i32: 'int',
  u32: 'unsigned int',
  u64: 'uint64_t',
  size: 'size_t',
  f32: 'float',
  text: 'str',
  texts: 'const char **',
  status: 'int',
}

/** A bound C function; `async` runs it on a pool thread (mind: the current device is a property of the thread). */
export interface NativeFunction {
  // biome-ignore lint/suspicious/noExplicitAny: the border to C, typed again by the tables that bind it
  (...args: any[]): any
  // biome-ignore lint/suspicious/noExplicitAny: as above
  async(...args: any[]): void
}

/** An opened shared library. Never unloaded: GPU runtimes keep threads that outlive any handle. */
export interface NativeLibrary {
  readonly path: string
  /** the function, or undefined where the library has no such symbol */
  bind(symbol: string, returns: NativeResult, args: readonly NativeType[]): NativeFunction | undefined
}

const opened = new Map<string, NativeLibrary>()

/** Opens a shared library by absolute path or plain name. Diagnostic `library-load` with the loader's own reason. */
export function openLibrary(path: string): NativeLibrary {
  const known = opened.get(path)
  if (known) return known
  const handle = load(path)
  const library: NativeLibrary = {
    path,
    bind(symbol, returns, args) {
      try {
        return handle.func(
          symbol,
          cTypes[returns],
          args.map((arg) => cTypes[arg]),
        ) as NativeFunction
      } catch {
        return undefined
      }
    },
  }
  opened.set(path, library)
  return library
}

function load(path: string): LibraryHandle {
  try {
    return koffi().load(path)
  } catch (error) {
    const reason = (error instanceof Error ? error.message : String(error)).replace(
      'Failed to load shared library: ',
      '',
    )
    return fail({
      code: 'library-load',
      message: `cannot load ${path}: ${reason}`,
      help: 'install what the loader misses, or name the folder of a complete installation in ROCMFORGE_ROCM_PATH',
    })
  }
}

/** Address of a typed array's memory. The array must have an off-heap buffer (`new ArrayBuffer`) and stay referenced. */
export function addressOf(view: NodeJS.TypedArray | ArrayBuffer): bigint {
  return koffi().address(view)
}

/** Native memory seen as an ArrayBuffer, without a copy; using it after the memory is freed is undefined behaviour. */
export function viewMemory(address: bigint, bytes: number): ArrayBuffer {
  return koffi().view(address, bytes)
}

/** The C string at an address; '' for null. */
export function textAt(address: bigint): string {
  return address === 0n ? '' : koffi().decode.string(address)
}

/**
 * A function that native code may call on this thread while `run` is at work; gone afterwards. Its parameters arrive as
 * bigint addresses, texts and numbers.
 */
export function withCallback<T>(
  returns: NativeType | 'nothing',
  args: readonly NativeType[],
  // biome-ignore lint/suspicious/noExplicitAny: the border to C
  callback: (...args: any[]) => unknown,
  run: (address: bigint) => T,
): T {
  const type = koffi().proto(
    null,
    returns === 'nothing' ? 'void' : cTypes[returns],
    args.map((arg) => cTypes[arg]),
  )
  const address = koffi().register(callback, koffi().pointer(type))
  try {
    return run(address)
  } finally {
    koffi().unregister(address)
  }
}
