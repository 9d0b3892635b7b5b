// CUDA's driver API (libcuda.so.1). Names carry the suffix that the header's macros hide; shapes that differ from
// HIP's are adapted here and nowhere else.
import { type Binder, type Calls, direct, type SymbolTable } from './calls.ts'
import { addressOf, textAt } from './ffi.ts'

/** cuGetErrorName and cuGetErrorString write a `const char*` instead of returning it. */
function errorText(bind: Binder, symbol: string): ((code: number) => string) | undefined {
  const lookup = bind(symbol, ['i32', 'pointer'])
  if (!lookup) return undefined
  const text = new BigUint64Array(new ArrayBuffer(8))
  return (code) => (lookup(code, text) === 0 ? textAt(text[0]!) : `CUresult ${code}`)
}

/**
 * cuLaunchKernelEx with the attribute `programmaticStreamSerializationAllowed` (CUDA Driver API, CUlaunchConfig and
 * CUlaunchAttribute). Bytes of the configuration, which the driver copies: grid and block 0 … 23, LDS 24, stream 32, address of
 * the attributes 40, their number 48; the attribute at 56 has its id, 8 bytes, and its value.
 */
function earlyLaunch(bind: Binder): Calls['launchEarly'] {
  const launch = bind('cuLaunchKernelEx', ['pointer', 'pointer', 'pointer', 'pointer'])
  if (!launch) return undefined
  const programmaticStreamSerialization = 6
  const memory = new ArrayBuffer(128)
  const [u32, u64] = [new Uint32Array(memory), new BigUint64Array(memory)]
  const config = addressOf(u64)
  u64[5] = config + 56n
  u32[12] = 1
  u32[14] = programmaticStreamSerialization
  u32[16] = 1
  return (fn, ...shape) => {
    const [stream, params] = [shape[7], shape[8]]
    for (let i = 0; i < 7; i++) u32[i] = shape[i] as number
    u64[4] = stream
    return launch(config, fn, params, null)
  }
}

export const nvidiaSymbols: SymbolTable = {
  init: direct('cuInit', 'u32'),
  driverVersion: direct('cuDriverGetVersion', 'pointer'),
  runtimeVersion: direct('cuDriverGetVersion', 'pointer'),
  deviceCount: direct('cuDeviceGetCount', 'pointer'),
  deviceGet: direct('cuDeviceGet', 'pointer', 'i32'),
  retainContext: direct('cuDevicePrimaryCtxRetain', 'pointer', 'i32'),
  releaseContext: direct('cuDevicePrimaryCtxRelease_v2', 'i32'),
  setContext: direct('cuCtxSetCurrent', 'pointer'),
  deviceSynchronize: direct('cuCtxSynchronize'),
  deviceName: direct('cuDeviceGetName', 'pointer', 'i32', 'i32'),
  deviceMemory: direct('cuDeviceTotalMem_v2', 'pointer', 'i32'),
  memoryInfo: direct('cuMemGetInfo_v2', 'pointer', 'pointer'),
  attribute: direct('cuDeviceGetAttribute', 'pointer', 'i32', 'i32'),
  pciBusId: direct('cuDeviceGetPCIBusId', 'pointer', 'i32', 'i32'),
  uuid: direct(['cuDeviceGetUuid_v2', 'cuDeviceGetUuid'], 'pointer', 'i32'),
  propertiesR0600: { absent: 'the driver API has attributes only' },
  propertiesOld: { absent: 'the driver API has attributes only' },
  errorName: { symbol: 'cuGetErrorName', adapt: (bind) => errorText(bind, 'cuGetErrorName') },
  errorString: { symbol: 'cuGetErrorString', adapt: (bind) => errorText(bind, 'cuGetErrorString') },
  lastMessage: { absent: 'statuses only' },

  moduleLoad: direct('cuModuleLoadData', 'pointer', 'pointer'),
  moduleUnload: direct('cuModuleUnload', 'pointer'),
  moduleFunction: direct('cuModuleGetFunction', 'pointer', 'pointer', 'text'),
  moduleGlobal: direct('cuModuleGetGlobal_v2', 'pointer', 'pointer', 'pointer', 'text'),
  functionAttribute: direct('cuFuncGetAttribute', 'pointer', 'i32', 'pointer'),
  setFunctionAttribute: direct('cuFuncSetAttribute', 'pointer', 'i32', 'i32'),
  occupancy: direct('cuOccupancyMaxActiveBlocksPerMultiprocessor', 'pointer', 'pointer', 'i32', 'size'),
  // biome-ignore format: grid, block, then the rest
  launch: direct('cuLaunchKernel', 'pointer', 'u32', 'u32', 'u32', 'u32', 'u32', 'u32',
    'u32', 'pointer', 'pointer', 'pointer'),
  // biome-ignore format: as launch
  launchCooperative: direct('cuLaunchCooperativeKernel', 'pointer', 'u32', 'u32', 'u32', 'u32', 'u32', 'u32',
    'u32', 'pointer', 'pointer'),
  launchEarly: { symbol: 'cuLaunchKernelEx', adapt: earlyLaunch },

  alloc: direct('cuMemAlloc_v2', 'pointer', 'size'),
  free: direct('cuMemFree_v2', 'pointer'),
  allocAsync: direct('cuMemAllocAsync', 'pointer', 'size', 'pointer'),
  freeAsync: direct('cuMemFreeAsync', 'pointer', 'pointer'),
  hostAlloc: direct('cuMemHostAlloc', 'pointer', 'size', 'u32'),
  hostFree: direct('cuMemFreeHost', 'pointer'),
  hostDeviceAddress: direct('cuMemHostGetDevicePointer_v2', 'pointer', 'pointer', 'u32'),
  copyToDevice: direct('cuMemcpyHtoD_v2', 'pointer', 'pointer', 'size'),
  copyToHost: direct('cuMemcpyDtoH_v2', 'pointer', 'pointer', 'size'),
  copyOnDevice: direct('cuMemcpyDtoD_v2', 'pointer', 'pointer', 'size'),
  copyToDeviceAsync: direct('cuMemcpyHtoDAsync_v2', 'pointer', 'pointer', 'size', 'pointer'),
  copyToHostAsync: direct('cuMemcpyDtoHAsync_v2', 'pointer', 'pointer', 'size', 'pointer'),
  copyOnDeviceAsync: direct('cuMemcpyDtoDAsync_v2', 'pointer', 'pointer', 'size', 'pointer'),
  fill8: direct('cuMemsetD8_v2', 'pointer', 'i32', 'size'),
  fill8Async: direct('cuMemsetD8Async', 'pointer', 'i32', 'size', 'pointer'),
  fill32: direct('cuMemsetD32_v2', 'pointer', 'i32', 'size'),
  fill32Async: direct('cuMemsetD32Async', 'pointer', 'i32', 'size', 'pointer'),

  streamCreate: direct('cuStreamCreate', 'pointer', 'u32'),
  streamDestroy: direct('cuStreamDestroy_v2', 'pointer'),
  streamSynchronize: direct('cuStreamSynchronize', 'pointer'),
  streamQuery: direct('cuStreamQuery', 'pointer'),
  streamWaitEvent: direct('cuStreamWaitEvent', 'pointer', 'pointer', 'u32'),
  eventCreate: direct('cuEventCreate', 'pointer', 'u32'),
  eventDestroy: direct('cuEventDestroy_v2', 'pointer'),
  eventRecord: direct('cuEventRecord', 'pointer', 'pointer'),
  eventSynchronize: direct('cuEventSynchronize', 'pointer'),
  eventQuery: direct('cuEventQuery', 'pointer'),
  eventElapsed: direct(['cuEventElapsedTime_v2', 'cuEventElapsedTime'], 'pointer', 'pointer', 'pointer'),

  captureBegin: direct('cuStreamBeginCapture_v2', 'pointer', 'i32'),
  captureEnd: direct('cuStreamEndCapture', 'pointer', 'pointer'),
  graphInstantiate: {
    symbol: 'cuGraphInstantiateWithFlags', // plain cuGraphInstantiate changed its meaning between releases
    adapt(bind): Calls['graphInstantiate'] {
      const instantiate = bind('cuGraphInstantiateWithFlags', ['pointer', 'pointer', 'u64'])
      return instantiate && ((exec, graph) => instantiate(exec, graph, 0))
    },
  },
  graphLaunch: direct('cuGraphLaunch', 'pointer', 'pointer'),
  graphExecDestroy: direct('cuGraphExecDestroy', 'pointer'),
  graphDestroy: direct('cuGraphDestroy', 'pointer'),
}
