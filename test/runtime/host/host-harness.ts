// A plain binding of libhiphost for the tests of the library itself: HIP's names, status numbers returned as they are.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import koffi from 'koffi'
import { packageRoot } from '../../../ir/package-root.ts'
import { compileHostKernel, type HostKernelRequest } from '../../../runtime/host/compiler.ts'
import { hostLibraryPath } from '../../../runtime/host/library.ts'
import { shippedCompiler } from '../../test-compiler.ts'

shippedCompiler()

export type Host = Awaited<ReturnType<typeof loadHost>>

export async function loadHost() {
  const library = koffi.load(await hostLibraryPath())
  const call = (name: string, ...types: string[]) => library.func(name, 'int', types) as (...args: unknown[]) => number
  const text = (name: string, ...types: string[]) => library.func(name, 'str', types) as (...args: unknown[]) => string
  const hip = {
    init: call('hipInit', 'uint32_t'),
    deviceCount: call('hipGetDeviceCount', 'int*'),
    setDevice: call('hipSetDevice', 'int'),
    deviceName: call('hipDeviceGetName', 'char*', 'int', 'int'),
    totalMem: call('hipDeviceTotalMem', 'uint64_t*', 'int'),
    memInfo: call('hipMemGetInfo', 'uint64_t*', 'uint64_t*'),
    attribute: call('hipDeviceGetAttribute', 'int*', 'int', 'int'),
    errorName: text('hipGetErrorName', 'int'),
    errorString: text('hipGetErrorString', 'int'),
    lastError: call('hipGetLastError'),
    lastMessage: text('hiphostLastMessage'),
    setThreads: call('hiphostSetThreads', 'int'),
    getThreads: call('hiphostGetThreads'),
    setSeed: call('hiphostSetSeed', 'uint64_t'),
    malloc: call('hipMalloc', 'uint64_t*', 'size_t'),
    free: call('hipFree', 'uint64_t'),
    hostMalloc: call('hipHostMalloc', 'uint64_t*', 'size_t', 'uint32_t'),
    hostFree: call('hipHostFree', 'uint64_t'),
    freeAsync: call('hipFreeAsync', 'uint64_t', 'uint64_t'),
    htod: call('hipMemcpyHtoD', 'uint64_t', 'void*', 'size_t'),
    dtoh: call('hipMemcpyDtoH', 'void*', 'uint64_t', 'size_t'),
    dtod: call('hipMemcpyDtoD', 'uint64_t', 'uint64_t', 'size_t'),
    htodAsync: call('hipMemcpyHtoDAsync', 'uint64_t', 'void*', 'size_t', 'uint64_t'),
    dtohAsync: call('hipMemcpyDtoHAsync', 'void*', 'uint64_t', 'size_t', 'uint64_t'),
    dtodAsync: call('hipMemcpyDtoDAsync', 'uint64_t', 'uint64_t', 'size_t', 'uint64_t'),
    memsetD8: call('hipMemsetD8', 'uint64_t', 'uint8_t', 'size_t'),
    memsetD32Async: call('hipMemsetD32Async', 'uint64_t', 'int', 'size_t', 'uint64_t'),
    streamCreate: call('hipStreamCreateWithFlags', 'uint64_t*', 'uint32_t'),
    streamDestroy: call('hipStreamDestroy', 'uint64_t'),
    streamSynchronize: call('hipStreamSynchronize', 'uint64_t'),
    streamQuery: call('hipStreamQuery', 'uint64_t'),
    streamWaitEvent: call('hipStreamWaitEvent', 'uint64_t', 'uint64_t', 'uint32_t'),
    deviceSynchronize: call('hipDeviceSynchronize'),
    eventCreate: call('hipEventCreateWithFlags', 'uint64_t*', 'uint32_t'),
    eventDestroy: call('hipEventDestroy', 'uint64_t'),
    eventRecord: call('hipEventRecord', 'uint64_t', 'uint64_t'),
    eventSynchronize: call('hipEventSynchronize', 'uint64_t'),
    eventQuery: call('hipEventQuery', 'uint64_t'),
    eventElapsed: call('hipEventElapsedTime', 'float*', 'uint64_t', 'uint64_t'),
    moduleLoad: call('hipModuleLoadData', 'uint64_t*', 'void*'),
    moduleUnload: call('hipModuleUnload', 'uint64_t'),
    moduleFunction: call('hipModuleGetFunction', 'uint64_t*', 'uint64_t', 'str'),
    functionAttribute: call('hipFuncGetAttribute', 'int*', 'int', 'uint64_t'),
    occupancy: call('hipModuleOccupancyMaxActiveBlocksPerMultiprocessor', 'int*', 'uint64_t', 'int', 'size_t'),
    launch: call('hipModuleLaunchKernel', ...['uint64_t', ...Array(7).fill('uint32_t'), 'uint64_t', 'void*', 'void*']),
    beginCapture: call('hipStreamBeginCapture', 'uint64_t', 'int'),
    endCapture: call('hipStreamEndCapture', 'uint64_t', 'uint64_t*'),
    graphNodes: call('hipGraphGetNodes', 'uint64_t', 'void*', 'uint64_t*'),
    instantiate: call('hipGraphInstantiateWithFlags', 'uint64_t*', 'uint64_t', 'uint64_t'),
    graphLaunch: call('hipGraphLaunch', 'uint64_t', 'uint64_t'),
    graphDestroy: call('hipGraphDestroy', 'uint64_t'),
    execDestroy: call('hipGraphExecDestroy', 'uint64_t'),
  }

  /** the handle that an out-parameter gets; a status other than success is an error of the test */
  const out = (fn: (...args: unknown[]) => number, ...rest: unknown[]): bigint => {
    const box = new BigUint64Array(1)
    ok(fn(box, ...rest))
    return box[0]!
  }
  const ok = (status: number): void => {
    if (status !== 0) throw new Error(`${hip.errorName(status)}: ${hip.lastMessage()}`)
  }
  const attribute = (id: number): number => {
    const box = new Int32Array(1)
    ok(hip.attribute(box, id, 0))
    return box[0]!
  }

  return {
    hip,
    out,
    ok,
    attribute,
    /** device memory with these contents */
    upload(data: NodeJS.TypedArray): bigint {
      const address = out(hip.malloc, data.byteLength)
      ok(hip.htod(address, data, data.byteLength))
      return address
    },
    download<T extends NodeJS.TypedArray>(into: T, address: bigint): T {
      ok(hip.dtoh(into, address, into.byteLength))
      return into
    },
    load: (image: Uint8Array): bigint => out(hip.moduleLoad, image),
    kernel: (module: bigint, name: string): bigint => out(hip.moduleFunction, module, name),
    launch(fn: bigint, grid: number, block: number, args: Arg[], stream = 0n, ldsBytes = 0): number {
      return hip.launch(fn, grid, 1, 1, block, 1, 1, ldsBytes, stream, packParams(args), null)
    },
  }
}

export type Arg = bigint | { i32: number } | { f32: number }

/** What hipModuleLaunchKernel takes: pointers to the values, which lie behind them in the same buffer. */
export function packParams(args: readonly Arg[]): BigUint64Array {
  const block = new BigUint64Array(args.length * 2 + 1)
  const base = koffi.address(block)
  const view = new DataView(block.buffer)
  args.forEach((arg, index) => {
    const at = (args.length + index) * 8
    block[index] = base + BigInt(at)
    if (typeof arg === 'bigint') view.setBigUint64(at, arg, true)
    else if ('i32' in arg) view.setInt32(at, arg.i32, true)
    else view.setFloat32(at, arg.f32, true)
  })
  return block
}

const host = readFileSync(join(packageRoot(), 'hip-templates/prelude/host.h'), 'utf8')

/** Compiles text against host.h alone: these tests do not depend on the rest of the prelude. */
export function compileText(
  source: string,
  kernels: string[],
  options: Partial<HostKernelRequest> & { block?: number; wave?: number } = {},
): Promise<Uint8Array> {
  const { block = 1, wave = 1, mode = 'fast', sanitize = false } = options
  return compileHostKernel({
    template: 'test.hip',
    source: `${host}\n#line 1 "test.hip"\n${source}`,
    kernels,
    defines: [`P_BLOCK=${block}`, `P_WAVE=${wave}`, ...(options.defines ?? [])],
    mode,
    sanitize,
  })
}
