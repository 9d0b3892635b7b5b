// The program that asks a GPU runtime what it sees, in a process of its own: some releases crash or hang there.
// Arguments: platform, library, `memory` to ask for free memory too. Answers with one marked line on standard output,
// since runtimes print there as well.
import { writeSync } from 'node:fs'
import { Diagnostic } from '../../ir/diagnostic.ts'
import { bindCalls, type Calls } from './calls.ts'
import { status } from './core.ts'
import { symbolTables } from './driver.ts'
import { openLibrary } from './ffi.ts'
import { type ProbeAnswer, type ProbedDevice, probeMarker } from './probe-answer.ts'
import { amdProperties, nvidiaProperties } from './properties.ts'

class Refused extends Error {}

/** Throws the failing call's name and the runtime's own words. */
function checker(calls: Calls, symbols: Readonly<Record<keyof Calls, string>>) {
  return (code: number, call: keyof Calls): void => {
    if (code !== 0) throw new Refused(`${symbols[call]} failed with ${calls.errorName(code)} (${code})`)
  }
}

function probe(platform: 'amd' | 'nvidia', path: string, askMemory: boolean): ProbeAnswer {
  const { calls, symbols } = bindCalls(openLibrary(path), symbolTables[platform])
  const check = checker(calls, symbols)
  const int = new Int32Array(new ArrayBuffer(8))
  const none = (code: number): boolean => code === status.noDevice || code === status.invalidDevice

  const started = calls.init(0)
  if (none(started)) return { status: 'no-device', detail: `${symbols.init} says ${calls.errorName(started)}` }
  check(started, 'init')
  const counted = calls.deviceCount(int)
  if (none(counted)) return { status: 'no-device', detail: `${symbols.deviceCount} says ${calls.errorName(counted)}` }
  check(counted, 'deviceCount')
  const count = int[0]!
  if (count === 0) return { status: 'no-device', detail: `${symbols.deviceCount} counts 0 devices` }

  const version = (call: 'driverVersion' | 'runtimeVersion'): number => {
    check(calls[call](int), call)
    return int[0]!
  }
  const devices: ProbedDevice[] = []
  const failures: string[] = []
  for (let ordinal = 0; ordinal < count; ordinal++) {
    try {
      const properties = (platform === 'amd' ? amdProperties : nvidiaProperties)(calls, ordinal, check)
      devices.push({ properties, ...(askMemory ? { freeBytes: freeMemory(calls, ordinal, check) } : {}) })
    } catch (error) {
      if (!(error instanceof Refused)) throw error
      failures.push(`device ${ordinal}: ${error.message}`)
    }
  }
  return {
    status: 'ok',
    devices,
    failures,
    driverVersion: version('driverVersion'),
    runtimeVersion: version('runtimeVersion'),
  }
}

function freeMemory(calls: Calls, ordinal: number, check: (code: number, call: keyof Calls) => void): number {
  const int = new Int32Array(new ArrayBuffer(8))
  const context = new BigUint64Array(new ArrayBuffer(8))
  const [free, total] = [new BigUint64Array(new ArrayBuffer(8)), new BigUint64Array(new ArrayBuffer(8))]
  check(calls.deviceGet(int, ordinal), 'deviceGet')
  check(calls.retainContext(context, int[0]!), 'retainContext')
  check(calls.setContext(context[0]!), 'setContext')
  check(calls.memoryInfo(free, total), 'memoryInfo')
  check(calls.releaseContext(int[0]!), 'releaseContext')
  return Number(free[0])
}

function answer(): ProbeAnswer {
  const [platform, path, memory] = process.argv.slice(2)
  try {
    return probe(platform === 'amd' ? 'amd' : 'nvidia', path ?? '', memory === 'memory')
  } catch (error) {
    const detail = error instanceof Diagnostic ? error.summary : error instanceof Error ? error.message : String(error)
    return { status: 'failed', detail }
  }
}

writeSync(1, `\n${probeMarker}${JSON.stringify(answer())}\n`)
process.exit(0) // a runtime's threads must not keep the process
