// Waking a device is a favour: whatever is wrong with it, nothing is thrown, and the driver tells later.
import { expect, test } from 'vitest'
import type { DeviceReport } from '../../../runtime/platform/devices.ts'
import { hostProperties } from '../../../runtime/platform/properties.ts'
import { wakeDevice } from '../../../runtime/platform/wake.ts'

const report = (platform: DeviceReport['platform'], library?: string): DeviceReport => ({
  id: `${platform}:0`,
  platform,
  properties: hostProperties(),
  use: 'default',
  reason: '',
  ...(library ? { library } : {}),
})

test.each([
  ['the CPU', report('host')],
  ['the reference executor', report('reference')],
  ['a GPU without a library', report('nvidia')],
  ['a library that is not there', report('nvidia', '/nowhere/libcuda.so.1')],
  ['a library that is none', report('amd', import.meta.filename)],
  ['a library of something else', report('nvidia', 'libc.so.6')],
])('%s has nothing to wake', async (_, device) => {
  expect(await wakeDevice(device)).toBeUndefined()
})
