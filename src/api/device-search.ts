// Looking for a device and waking it, while its model's files are read.
import type { DeviceReport } from '../../runtime/platform/devices.ts'
import { wakeDevice } from '../../runtime/platform/wake.ts'
import { findDevice } from './device.ts'

export interface DeviceSearch {
  readonly found: Promise<DeviceReport>
  /** settles when the device's context is up, or when there is none to wake; never rejects */
  readonly awake: Promise<unknown>
  /** lets go of the context, which a driver that is open holds too */
  release(): void
  cancel(): void
}

export function searchDevice(spec: string): DeviceSearch {
  const abort = new AbortController()
  const found = findDevice(spec, abort.signal)
  const awake = found.then(wakeDevice, () => undefined)
  const release = () => void awake.then((context) => context?.[Symbol.dispose]())
  return {
    found,
    awake,
    release,
    cancel() {
      abort.abort()
      release()
    },
  }
}
