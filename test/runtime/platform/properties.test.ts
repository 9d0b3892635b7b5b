// hipDeviceProp_t in both layouts, from buffers written here field by field.
import { describe, expect, test } from 'vitest'
import type { Calls } from '../../../runtime/platform/calls.ts'
import {
  amdProperties,
  type DeviceProperties,
  hostProperties,
  layoutOld,
  layoutR0600,
  nvidiaProperties,
  readProperties,
} from '../../../runtime/platform/properties.ts'

/** Offsets as literals, so that the layouts under test are checked against something. */
function write(fields: { at: number; i32?: number; u64?: number; text?: string }[]): Uint8Array {
  const bytes = new Uint8Array(4096)
  const data = new DataView(bytes.buffer)
  for (const { at, i32, u64, text } of fields) {
    if (i32 !== undefined) data.setInt32(at, i32, true)
    if (u64 !== undefined) data.setBigUint64(at, BigInt(u64), true)
    if (text !== undefined) bytes.set(new TextEncoder().encode(text), at)
  }
  return bytes
}

const mi210Old = () =>
  write([
    { at: 0, text: 'AMD Instinct MI210' },
    { at: 256, u64: 68_702_699_520 },
    { at: 264, u64: 65_536 },
    { at: 276, i32: 64 },
    { at: 280, i32: 1024 },
    { at: 308, i32: 1_700_000 },
    { at: 312, i32: 1_600_000 },
    { at: 316, i32: 4096 },
    { at: 336, i32: 104 },
    { at: 340, i32: 8_388_608 },
    { at: 344, i32: 2048 },
    { at: 364, i32: 0 },
    { at: 368, i32: 0x63 },
    { at: 372, i32: 0 },
    { at: 376, u64: 65_536 },
    { at: 396, text: 'gfx90a:sramecc+:xnack-' },
    { at: 652, i32: 0 },
    { at: 656, i32: 1 },
  ])

const rx7900New = () =>
  write([
    { at: 0, text: 'Radeon RX 7900 XTX' },
    { at: 256, text: '0123456789abcdef' },
    { at: 288, u64: 25_753_026_560 },
    { at: 296, u64: 65_536 },
    { at: 308, i32: 32 },
    { at: 320, i32: 1024 },
    { at: 348, i32: 2_482_000 },
    { at: 388, i32: 48 },
    { at: 396, i32: 0 },
    { at: 584, i32: 3 },
    { at: 588, i32: 0 },
    { at: 592, i32: 0 },
    { at: 608, i32: 1_249_000 },
    { at: 612, i32: 384 },
    { at: 616, i32: 6_291_456 },
    { at: 624, i32: 2048 },
    { at: 640, u64: 65_536 },
    { at: 688, i32: 1 },
    { at: 1160, text: 'gfx1100' },
  ])

const mi210: DeviceProperties = {
  platform: 'amd',
  ordinal: 1,
  name: 'AMD Instinct MI210',
  target: 'gfx90a',
  targetId: 'gfx90a:sramecc+:xnack-',
  wave: 64,
  computeUnits: 104,
  multiprocessors: 104,
  ldsBytesPerBlock: 65_536,
  ldsBytesPerMultiprocessor: 65_536,
  maxThreadsPerBlock: 1024,
  maxThreadsPerMultiprocessor: 2048,
  memoryBytes: 68_702_699_520,
  l2Bytes: 8_388_608,
  clockKHz: 1_700_000,
  memoryClockKHz: 1_600_000,
  memoryBusBits: 4096,
  pciBusId: '0000:63:00.0',
  integrated: false,
  cooperativeLaunch: true,
}

/** A call that fills its out-parameter with these values. */
const answering =
  <T extends number | bigint>(values: ArrayLike<T>) =>
  (out: { set(values: ArrayLike<T>): void }): number => {
    out.set(values)
    return 0
  }

describe('hipDeviceProp_t', () => {
  test('in the layout of HIP 5', () => {
    expect(readProperties(mi210Old(), layoutOld, 1)).toEqual(mi210)
  })

  test('in the layout of HIP 6 and 7; RDNA counts pairs of compute units', () => {
    expect(readProperties(rx7900New(), layoutR0600, 0, 96)).toEqual({
      platform: 'amd',
      ordinal: 0,
      name: 'Radeon RX 7900 XTX',
      target: 'gfx1100',
      targetId: 'gfx1100',
      wave: 32,
      computeUnits: 96,
      multiprocessors: 48,
      ldsBytesPerBlock: 65_536,
      ldsBytesPerMultiprocessor: 65_536,
      maxThreadsPerBlock: 1024,
      maxThreadsPerMultiprocessor: 2048,
      memoryBytes: 25_753_026_560,
      l2Bytes: 6_291_456,
      clockKHz: 2_482_000,
      memoryClockKHz: 1_249_000,
      memoryBusBits: 384,
      uuid: 'GPU-0123456789abcdef',
      pciBusId: '0000:03:00.0',
      integrated: false,
      cooperativeLaunch: true,
    })
  })

  test.each([
    ['unknown', undefined, 96],
    ['an odd number of units', 95, 95],
    ['nonsense', 7, 96],
  ])('compute units of RDNA when the physical count is %s', (_, physical, expected) => {
    expect(readProperties(rx7900New(), layoutR0600, 0, physical).computeUnits).toBe(expected)
  })

  test('R0600 is asked when the runtime has it: the plain symbol keeps the old layout', () => {
    const base = { attribute: () => 1 } as Partial<Calls>
    const old = { ...base, propertiesOld: answering(mi210Old()) } as Calls
    const both = { ...old, propertiesR0600: answering(rx7900New()) } as Calls
    expect(amdProperties(old, 0, () => {}).target).toBe('gfx90a')
    expect(amdProperties(both, 0, () => {}).target).toBe('gfx1100')
  })
})

test('an NVIDIA device is read by attributes', () => {
  const attributes: Record<number, number> = { 75: 9, 76: 0, 10: 32, 16: 132, 97: 232_448, 1: 1024, 37: 6144 }
  const text = (value: string) => answering(new TextEncoder().encode(value))
  const calls = {
    deviceGet: (out: Int32Array, ordinal: number) => answering([ordinal])(out),
    attribute: (out: Int32Array, id: number) => answering([attributes[id] ?? 0])(out),
    deviceName: text('NVIDIA H200'),
    pciBusId: text('0000:CA:00.0'),
    deviceMemory: answering([150_000_000_000n]),
    uuid: answering(Array.from({ length: 16 }, (_, i) => i * 17)),
  } as unknown as Calls
  expect(nvidiaProperties(calls, 2, () => {})).toMatchObject({
    platform: 'nvidia',
    ordinal: 2,
    name: 'NVIDIA H200',
    target: 'sm_90',
    wave: 32,
    computeUnits: 132,
    ldsBytesPerBlock: 232_448,
    memoryBytes: 150_000_000_000,
    uuid: 'GPU-00112233-4455-6677-8899-aabbccddeeff',
    pciBusId: '0000:ca:00.0',
    integrated: false,
  })
})

test('the host describes itself without a library', () => {
  const host = hostProperties()
  expect(host).toMatchObject({ platform: 'host', target: 'host', integrated: true })
  expect(host.computeUnits).toBeGreaterThan(0)
  expect(host.memoryBytes).toBeGreaterThan(0)
})
