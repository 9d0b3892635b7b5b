// HIP's names (libamdhip64 5, 6 and 7). Symbols newer than 5.0 are optional or have an older name behind them.
import { type Calls, direct, type SymbolTable } from './calls.ts'

export const amdSymbols: SymbolTable = {
  init: direct('hipInit', 'u32'),
  driverVersion: direct('hipDriverGetVersion', 'pointer'),
  runtimeVersion: direct('hipRuntimeGetVersion', 'pointer'),
  deviceCount: direct('hipGetDeviceCount', 'pointer'),
  deviceGet: direct('hipDeviceGet', 'pointer', 'i32'),
  retainContext: {
    symbol: 'hipSetDevice', // HIP's context is the ordinal: nothing to retain
    adapt: () => (out, device) => {
      out[0] = BigInt(device)
      return 0
    },
  },
  releaseContext: { symbol: 'hipSetDevice', adapt: () => () => 0 },
  setContext: {
    symbol: 'hipSetDevice',
    adapt(bind): Calls['setContext'] | undefined {
      const setDevice = bind('hipSetDevice', ['i32'])
      return setDevice && ((context) => setDevice(Number(context)))
    },
  },
  deviceSynchronize: direct('hipDeviceSynchronize'),
  deviceName: direct('hipDeviceGetName', 'pointer', 'i32', 'i32'),
  deviceMemory: direct('hipDeviceTotalMem', 'pointer', 'i32'),
  memoryInfo: direct('hipMemGetInfo', 'pointer', 'pointer'),
  attribute: direct('hipDeviceGetAttribute', 'pointer', 'i32', 'i32'),
  pciBusId: direct('hipDeviceGetPCIBusId', 'pointer', 'i32', 'i32'),
  uuid: direct('hipDeviceGetUuid', 'pointer', 'i32'),
  propertiesR0600: direct('hipGetDevicePropertiesR0600', 'pointer', 'i32'),
  // the plain symbol writes HIP 5's layout in every release, also in 6 and 7 whose headers rename it
  propertiesOld: direct('hipGetDeviceProperties', 'pointer', 'i32'),
  errorName: { ...direct('hipGetErrorName', 'i32'), returns: 'text' },
  errorString: { ...direct('hipGetErrorString', 'i32'), returns: 'text' },
  lastMessage: { absent: 'statuses only' },

  moduleLoad: direct('hipModuleLoadData', 'pointer', 'pointer'),
  moduleUnload: direct('hipModuleUnload', 'pointer'),
  moduleFunction: direct('hipModuleGetFunction', 'pointer', 'pointer', 'text'),
  moduleGlobal: direct('hipModuleGetGlobal', 'pointer', 'pointer', 'pointer', 'text'),
  functionAttribute: direct('hipFuncGetAttribute', 'pointer', 'i32', 'pointer'),
  setFunctionAttribute: { absent: 'dynamic LDS needs no opt-in; hipFuncSetAttribute takes host function pointers' },
  occupancy: direct('hipModuleOccupancyMaxActiveBlocksPerMultiprocessor', 'pointer', 'pointer', 'i32', 'size'),
  // biome-ignore format: grid, block, then the rest
  launch: direct('hipModuleLaunchKernel', 'pointer', 'u32', 'u32', 'u32', 'u32', 'u32', 'u32',
    'u32', 'pointer', 'pointer', 'pointer'),
  launchEarly: { absent: 'HIP starts a kernel when those ahead of it in the stream are done' },
  // biome-ignore format: as launch
  launchCooperative: direct('hipModuleLaunchCooperativeKernel', 'pointer', 'u32', 'u32', 'u32', 'u32', 'u32', 'u32',
    'u32', 'pointer', 'pointer'),

  alloc: direct('hipMalloc', 'pointer', 'size'),
  free: direct('hipFree', 'pointer'),
  allocAsync: direct('hipMallocAsync', 'pointer', 'size', 'pointer'),
  freeAsync: direct('hipFreeAsync', 'pointer', 'pointer'),
  hostAlloc: direct('hipHostMalloc', 'pointer', 'size', 'u32'),
  hostFree: direct('hipHostFree', 'pointer'),
  hostDeviceAddress: direct('hipHostGetDevicePointer', 'pointer', 'pointer', 'u32'),
  copyToDevice: direct('hipMemcpyHtoD', 'pointer', 'pointer', 'size'),
  copyToHost: direct('hipMemcpyDtoH', 'pointer', 'pointer', 'size'),
  copyOnDevice: direct('hipMemcpyDtoD', 'pointer', 'pointer', 'size'),
  copyToDeviceAsync: direct('hipMemcpyHtoDAsync', 'pointer', 'pointer', 'size', 'pointer'),
  copyToHostAsync: direct('hipMemcpyDtoHAsync', 'pointer', 'pointer', 'size', 'pointer'),
  copyOnDeviceAsync: direct('hipMemcpyDtoDAsync', 'pointer', 'pointer', 'size', 'pointer'),
  fill8: direct('hipMemset', 'pointer', 'i32', 'size'),
  fill8Async: direct('hipMemsetAsync', 'pointer', 'i32', 'size', 'pointer'),
  fill32: direct('hipMemsetD32', 'pointer', 'i32', 'size'),
  fill32Async: direct('hipMemsetD32Async', 'pointer', 'i32', 'size', 'pointer'),

  streamCreate: direct('hipStreamCreateWithFlags', 'pointer', 'u32'),
  streamDestroy: direct('hipStreamDestroy', 'pointer'),
  streamSynchronize: direct('hipStreamSynchronize', 'pointer'),
  streamQuery: direct('hipStreamQuery', 'pointer'),
  streamWaitEvent: direct('hipStreamWaitEvent', 'pointer', 'pointer', 'u32'),
  eventCreate: direct('hipEventCreateWithFlags', 'pointer', 'u32'),
  eventDestroy: direct('hipEventDestroy', 'pointer'),
  eventRecord: direct('hipEventRecord', 'pointer', 'pointer'),
  eventSynchronize: direct('hipEventSynchronize', 'pointer'),
  eventQuery: direct('hipEventQuery', 'pointer'),
  eventElapsed: direct('hipEventElapsedTime', 'pointer', 'pointer', 'pointer'),

  captureBegin: direct('hipStreamBeginCapture', 'pointer', 'i32'),
  captureEnd: direct('hipStreamEndCapture', 'pointer', 'pointer'),
  graphInstantiate: {
    symbol: 'hipGraphInstantiate',
    adapt(bind): Calls['graphInstantiate'] {
      const instantiate = bind('hipGraphInstantiate', ['pointer', 'pointer', 'pointer', 'pointer', 'size'])
      return instantiate && ((exec, graph) => instantiate(exec, graph, null, null, 0))
    },
  },
  graphLaunch: direct('hipGraphLaunch', 'pointer', 'pointer'),
  graphExecDestroy: direct('hipGraphExecDestroy', 'pointer'),
  graphDestroy: direct('hipGraphDestroy', 'pointer'),
}
