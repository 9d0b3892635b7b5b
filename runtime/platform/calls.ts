// What the driver asks of a platform, in one neutral form, and how a symbol table is bound to a loaded library.
// HIP's shapes are the norm; the NVIDIA table adapts where CUDA's differ.
import { fail } from '../../ir/diagnostic.ts'
import type { NativeFunction, NativeLibrary, NativeResult, NativeType } from './ffi.ts'

export type PlatformName = 'amd' | 'nvidia' | 'host'

/** receives a pointer or a 64-bit count at index 0 */
type Out64 = BigUint64Array
/** receives an int at index 0 */
type Out32 = Int32Array

type Pointer = bigint
type Status = number

/**
 * Every call returns a status (0 is success; HIP and CUDA share the numbers) unless it says otherwise. `context` is
 * what makes a device current on a thread: the ordinal on HIP, the primary context on CUDA.
 */
export interface Calls {
  init(flags: 0): Status
  driverVersion(out: Out32): Status
  runtimeVersion(out: Out32): Status
  deviceCount(out: Out32): Status
  deviceGet(out: Out32, ordinal: number): Status
  /** takes hold of the device's context (HIP: the ordinal itself) */
  retainContext(out: Out64, device: number): Status
  releaseContext(device: number): Status
  setContext(context: Pointer): Status
  deviceSynchronize(): Status
  deviceName(out: Uint8Array, bytes: number, device: number): Status
  deviceMemory(out: Out64, device: number): Status
  memoryInfo(free: Out64, total: Out64): Status
  attribute(out: Out32, attribute: number, device: number): Status
  pciBusId(out: Uint8Array, bytes: number, device: number): Status
  uuid?(out: Uint8Array, device: number): Status
  /** fills hipDeviceProp_t in the layout of R0600 (HIP 6 and later) */
  propertiesR0600?(out: Uint8Array, device: number): Status
  /** fills hipDeviceProp_t in the layout of HIP 5 */
  propertiesOld?(out: Uint8Array, device: number): Status
  errorName(code: Status): string
  errorString(code: Status): string
  /** what the host library has to say about the last failure: a loader's text, a faulted kernel; '' for nothing */
  lastMessage?(): string

  moduleLoad(out: Out64, image: Uint8Array): Status
  moduleUnload(module: Pointer): Status
  moduleFunction(out: Out64, module: Pointer, name: string): Status
  moduleGlobal?(out: Out64, bytes: Out64, module: Pointer, name: string): Status
  functionAttribute?(out: Out32, attribute: number, fn: Pointer): Status
  /** absent on HIP: dynamic LDS needs no opt-in there */
  setFunctionAttribute?(fn: Pointer, attribute: number, value: number): Status
  occupancy?(out: Out32, fn: Pointer, block: number, dynamicLdsBytes: number): Status
  // biome-ignore format: one line a group of three
  launch(
    fn: Pointer, gridX: number, gridY: number, gridZ: number, blockX: number, blockY: number, blockZ: number,
    ldsBytes: number, stream: Pointer, params: Pointer | null, extra: Pointer | null,
  ): Status
  /** as launch, refused if not all blocks are resident at once */
  // biome-ignore format: one line a group of three
  launchCooperative?(
    fn: Pointer, gridX: number, gridY: number, gridZ: number, blockX: number, blockY: number, blockZ: number,
    ldsBytes: number, stream: Pointer, params: Pointer | null,
  ): Status
  /** as launch; it may start before what is ahead of it in the stream is done */
  // biome-ignore format: one line a group of three
  launchEarly?(
    fn: Pointer, gridX: number, gridY: number, gridZ: number, blockX: number, blockY: number, blockZ: number,
    ldsBytes: number, stream: Pointer, params: Pointer | null,
  ): Status

  alloc(out: Out64, bytes: number): Status
  free(address: Pointer): Status
  allocAsync?(out: Out64, bytes: number, stream: Pointer): Status
  freeAsync?(address: Pointer, stream: Pointer): Status
  hostAlloc(out: Out64, bytes: number, flags: number): Status
  hostFree(address: Pointer): Status
  /** where kernels find pinned memory; fails if they cannot */
  hostDeviceAddress?(out: Out64, address: Pointer, flags: number): Status
  copyToDevice(to: Pointer, from: Uint8Array | Pointer, bytes: number): Status
  copyToHost(to: Uint8Array | Pointer, from: Pointer, bytes: number): Status
  copyOnDevice(to: Pointer, from: Pointer, bytes: number): Status
  copyToDeviceAsync(to: Pointer, from: Uint8Array | Pointer, bytes: number, stream: Pointer): Status
  copyToHostAsync(to: Uint8Array | Pointer, from: Pointer, bytes: number, stream: Pointer): Status
  copyOnDeviceAsync(to: Pointer, from: Pointer, bytes: number, stream: Pointer): Status
  fill8(to: Pointer, byte: number, count: number): Status
  fill8Async(to: Pointer, byte: number, count: number, stream: Pointer): Status
  fill32(to: Pointer, word: number, count: number): Status
  fill32Async(to: Pointer, word: number, count: number, stream: Pointer): Status

  streamCreate(out: Out64, flags: number): Status
  streamDestroy(stream: Pointer): Status
  streamSynchronize(stream: Pointer): Status
  streamQuery(stream: Pointer): Status
  streamWaitEvent(stream: Pointer, event: Pointer, flags: number): Status
  eventCreate(out: Out64, flags: number): Status
  eventDestroy(event: Pointer): Status
  eventRecord(event: Pointer, stream: Pointer): Status
  eventSynchronize(event: Pointer): Status
  eventQuery(event: Pointer): Status
  eventElapsed(milliseconds: Float32Array, start: Pointer, stop: Pointer): Status

  captureBegin?(stream: Pointer, mode: number): Status
  captureEnd?(stream: Pointer, graph: Out64): Status
  graphInstantiate?(exec: Out64, graph: Pointer): Status
  graphLaunch?(exec: Pointer, stream: Pointer): Status
  graphExecDestroy?(exec: Pointer): Status
  graphDestroy?(graph: Pointer): Status
}

export type CallName = keyof Calls
type RequiredCall = { [K in CallName]-?: undefined extends Calls[K] ? never : K }[CallName]

/** The C function behind a call: the first of `symbols` that the library exports, called with the same arguments. */
export interface Direct {
  readonly symbols: readonly string[]
  readonly args: readonly NativeType[]
  readonly returns?: NativeResult
}

/** Binds a symbol of the same library, for entries that need more than renaming; undefined where it is absent. */
export type Binder = (
  symbols: string | readonly string[],
  args: readonly NativeType[],
  returns?: NativeResult,
) => NativeFunction | undefined

/** A call whose shape differs from HIP's; `symbol` is what errors name. */
interface Adapted<F> {
  readonly symbol: string
  adapt(bind: Binder): F | undefined
}

/** This platform has no such call; the reason is for the reader. */
interface Absent {
  readonly absent: string
}

type Entry<K extends CallName> = Direct | Adapted<NonNullable<Calls[K]>> | (K extends RequiredCall ? never : Absent)

/** One platform's names and shapes, complete by construction: a call is bound, adapted, or absent with a reason. */
export type SymbolTable = { readonly [K in CallName]-?: Entry<K> }

/** Shorthand for a direct entry. */
export const direct = (symbols: string | readonly string[], ...args: NativeType[]): Direct => ({
  symbols: typeof symbols === 'string' ? [symbols] : symbols,
  args,
})

export interface BoundCalls {
  readonly calls: Calls
  /** the C symbol behind each call, for error texts */
  readonly symbols: Readonly<Record<CallName, string>>
  /** `calls.streamSynchronize` on a pool thread, so that the event loop goes on */
  readonly streamSynchronizeAsync: (stream: bigint) => Promise<number>
  /** `calls.eventSynchronize` on a pool thread */
  readonly eventSynchronizeAsync: (event: bigint) => Promise<number>
}

/** calls that a driver can do without: it says so where it matters (graphs, stream-ordered memory) */
export const optionalCalls: ReadonlySet<CallName> = new Set<Exclude<CallName, RequiredCall>>([
  'uuid',
  'propertiesR0600',
  'propertiesOld',
  'lastMessage',
  'moduleGlobal',
  'functionAttribute',
  'setFunctionAttribute',
  'occupancy',
  'launchCooperative',
  'launchEarly',
  'hostDeviceAddress',
  'allocAsync',
  'freeAsync',
  'captureBegin',
  'captureEnd',
  'graphInstantiate',
  'graphLaunch',
  'graphExecDestroy',
  'graphDestroy',
])

/** Binds a table to a loaded library. A required symbol that is missing is a Diagnostic `library-symbol`. */
export function bindCalls(library: NativeLibrary, table: SymbolTable): BoundCalls {
  const bind: Binder = (symbols, args, returns = 'status') => {
    for (const symbol of typeof symbols === 'string' ? [symbols] : symbols) {
      const bound = library.bind(symbol, returns, args)
      if (bound) return bound
    }
    return undefined
  }
  const calls: Partial<Record<CallName, unknown>> = {}
  const symbols = {} as Record<CallName, string>
  const missing: string[] = []
  for (const name of Object.keys(table) as CallName[]) {
    const entry: Direct | Adapted<unknown> | Absent = table[name]
    symbols[name] = 'symbols' in entry ? entry.symbols[0]! : 'symbol' in entry ? entry.symbol : name
    if ('absent' in entry) continue
    const bound = 'symbols' in entry ? bind(entry.symbols, entry.args, entry.returns) : entry.adapt(bind)
    if (bound) calls[name] = bound
    else if (!optionalCalls.has(name)) missing.push(symbols[name])
  }
  if (missing.length > 0) {
    fail({
      code: 'library-symbol',
      message: `${library.path} lacks functions that the driver needs`,
      facts: [['missing', missing.join(', ')]],
      help: 'the library is older than HIP 5.0 or not the runtime it claims to be: name another folder in ROCMFORGE_ROCM_PATH',
    })
  }
  /** a call with one handle, on a pool thread */
  const onPoolThread = (entry: unknown) => {
    const call = bind((entry as Direct).symbols, ['pointer'])
    return (handle: bigint): Promise<number> =>
      new Promise((resolve, reject) => {
        call!.async(handle, (error: unknown, status: number) => (error ? reject(error) : resolve(status)))
      })
  }
  return {
    calls: calls as unknown as Calls,
    symbols,
    streamSynchronizeAsync: onPoolThread(table.streamSynchronize),
    eventSynchronizeAsync: onPoolThread(table.eventSynchronize),
  }
}
