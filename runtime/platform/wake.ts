// Waking a GPU: its driver and its context take a few tenths of a second to come up. Here they do so on a pool thread, while
// this one reads files and makes graphs; a Driver that is opened meanwhile or later finds them up.
import type { Calls } from './calls.ts'
import type { DeviceReport } from './devices.ts'
import { addressOf, openLibrary } from './ffi.ts'

type Begin = (done: (status: number) => void) => void

/** The status of a call that runs on a pool thread; what goes wrong is told by the Driver that tries the same later. */
const ended = (begin: Begin): Promise<boolean> => new Promise((resolve) => begin((status) => resolve(status === 0)))

/**
 * Wakes the GPU of a report, and holds its context until the result is disposed of, however often. Undefined for other devices. Never
 * rejects.
 */
export async function wakeDevice({
  platform,
  library: path,
  properties,
}: DeviceReport): Promise<Disposable | undefined> {
  if (platform !== 'amd' && platform !== 'nvidia') return undefined
  if (!path || !properties) return undefined
  try {
    const library = openLibrary(path)
    const init = library.bind(platform === 'amd' ? 'hipInit' : 'cuInit', 'status', ['u32'])
    const up = init !== undefined && (await ended((done) => init.async(0, settle(done))))
    if (!up || platform === 'amd') return undefined // HIP makes contexts by itself, at the first call that needs one
    const get = library.bind('cuDeviceGet', 'status', ['pointer', 'i32'])
    const retain = library.bind('cuDevicePrimaryCtxRetain', 'status', ['pointer', 'i32'])
    const release = library.bind('cuDevicePrimaryCtxRelease_v2', 'status', ['i32'])
    const device = new Int32Array(new ArrayBuffer(4))
    if (!get || !retain || !release || get(device, properties.ordinal) !== 0) return undefined
    const context = new BigUint64Array(new ArrayBuffer(8)) // stays referenced while native code writes to it
    const held = await ended((done) => retain.async(addressOf(context), device[0], settle(done)))
    if (!held || context[0] === 0n) return undefined
    let holds = true
    return {
      [Symbol.dispose]() {
        if (holds) release(device[0])
        holds = false
      },
    }
  } catch {
    return undefined
  }
}

const settle =
  (done: (status: number) => void) =>
  (error: unknown, status: ReturnType<Calls['init']>): void =>
    done(error ? -1 : status)
