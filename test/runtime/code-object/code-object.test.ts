import { describe, expect, test } from 'vitest'
import { findTarget, hostTarget } from '../../../codegen/targets.ts'
import { occupancy, readCodeObject, spills } from '../../../runtime/code-object/code-object.ts'
import { readElf } from '../../../runtime/code-object/elf.ts'
import { readMessagePack } from '../../../runtime/code-object/message-pack.ts'
import { atLeast, buildId, versionInName } from '../../../runtime/compile/toolchains.ts'
import fc from '../../fast-check.ts'

/** Packs plain values: as much MessagePack as a compiler's metadata needs. */
function pack(value: unknown): Buffer {
  if (typeof value === 'string') return Buffer.concat([Buffer.of(0xd9, Buffer.byteLength(value)), Buffer.from(value)])
  if (typeof value === 'number') {
    const bytes = Buffer.alloc(5, 0xce)
    bytes.writeUInt32BE(value, 1)
    return value < 128 ? Buffer.of(value) : bytes
  }
  if (Array.isArray(value)) return Buffer.concat([Buffer.of(0xdc, 0, value.length), ...value.map(pack)])
  const pairs = Object.entries(value as object)
  return Buffer.concat([Buffer.of(0xde, 0, pairs.length), ...pairs.flatMap(([key, item]) => [pack(key), pack(item)])])
}

/** The smallest ELF that holds sections of these contents. */
function elf(machine: number, sections: { name: string; type: number; content: Buffer; link?: number }[]): Buffer {
  const all = [{ name: '', type: 0, content: Buffer.alloc(0), link: 0 }, ...sections]
  const names = Buffer.from(`${all.map(({ name }) => name).join('\0')}\0.names\0`)
  all.push({ name: '.names', type: 3, content: names, link: 0 })
  const header = Buffer.alloc(64)
  header.write('\x7fELF', 'latin1')
  header[4] = 2
  header[5] = 1
  header[8] = 3
  header.writeUInt16LE(machine, 18)
  let at = 64
  let nameAt = 0
  const rows = all.map(({ name, type, content, link = 0 }) => {
    const row = Buffer.alloc(64)
    row.writeUInt32LE(nameAt, 0)
    row.writeUInt32LE(type, 4)
    row.writeBigUInt64LE(BigInt(at), 24)
    row.writeBigUInt64LE(BigInt(content.length), 32)
    row.writeUInt32LE(link, 40)
    at += content.length
    nameAt += name.length + 1
    return row
  })
  header.writeBigUInt64LE(BigInt(at), 40)
  header.writeUInt16LE(64, 58)
  header.writeUInt16LE(all.length, 60)
  header.writeUInt16LE(all.length - 1, 62)
  return Buffer.concat([header, ...all.map(({ content }) => content), ...rows])
}

const u32 = (...values: number[]) => Buffer.concat(values.map((value) => Buffer.from(Uint32Array.of(value).buffer)))

function amdObject(kernels: object[]): Buffer {
  const metadata = pack({ 'amdhsa.target': 'amdgcn-amd-amdhsa--gfx90a:xnack-', 'amdhsa.kernels': kernels })
  const note = Buffer.concat([u32(7, metadata.length, 32), Buffer.from('AMDGPU\0\0'), metadata])
  return elf(224, [{ name: '.note', type: 7, content: note }])
}

const kernel = {
  '.name': 'softmax',
  '.vgpr_count': 20,
  '.agpr_count': 4,
  '.sgpr_count': 28,
  '.vgpr_spill_count': 0,
  '.sgpr_spill_count': 0,
  '.group_segment_fixed_size': 40_000,
  '.private_segment_fixed_size': 0,
  '.wavefront_size': 64,
  '.max_flat_workgroup_size': 256,
  '.kernarg_segment_size': 280,
  '.args': [{ '.offset': 0, '.value_kind': 'global_buffer' }],
}

describe('AMD code objects', () => {
  test('tell target, version and resources', () => {
    expect(readCodeObject(amdObject([kernel, { ...kernel, '.name': 'other', '.agpr_count': 0 }]))).toEqual({
      format: 'amd',
      target: 'gfx90a:xnack-',
      version: 5,
      kernels: [
        {
          name: 'softmax',
          vgprs: 20,
          agprs: 4,
          sgprs: 28,
          vgprSpills: 0,
          sgprSpills: 0,
          ldsBytes: 40_000,
          scratchBytes: 0,
          waveSize: 64,
          maxBlock: 256,
          kernargBytes: 280,
        },
        expect.objectContaining({ name: 'other', agprs: 0 }),
      ],
    })
  })

  test('cut or damaged anywhere are no code objects, or others, but never an exception', () => {
    const whole = amdObject([kernel])
    for (let size = 0; size < whole.length - 64; size++) expect(readCodeObject(whole.subarray(0, size))).toBeUndefined()
    fc.assert(
      fc.property(fc.nat(whole.length - 1), fc.nat(255), (at, value) => {
        const bytes = Buffer.from(whole)
        bytes[at] = value
        readCodeObject(bytes)
      }),
      { numRuns: 2000 },
    )
    expect(readCodeObject(Buffer.from('HIPHOST'))).toBeUndefined()
  })

  test('spilling is seen', () => {
    expect(spills({ name: 'k', vgprs: 3 })).toBe(false)
    for (const one of [{ vgprSpills: 1 }, { sgprSpills: 1 }, { scratchBytes: 4 }]) {
      expect(spills({ name: 'k', ...one })).toBe(true)
    }
  })
})

test('cubins tell registers, stack and shared memory', () => {
  const names = Buffer.from('\0axpy\0')
  const symbols = Buffer.concat([Buffer.alloc(24), u32(1, 0, 0, 0, 0, 0)])
  const info = Buffer.concat([Buffer.from([4, 0x2f, 8, 0]), u32(1, 34), Buffer.from([4, 0x11, 8, 0]), u32(1, 16)])
  const bytes = elf(190, [
    { name: '.strtab', type: 3, content: names },
    { name: '.symtab', type: 2, content: symbols, link: 1 },
    { name: '.nv.info', type: 0x70000000, content: info },
    { name: '.text.axpy', type: 1, content: Buffer.alloc(128) },
    { name: '.text.helper', type: 1, content: Buffer.alloc(128) },
    { name: '.nv.constant0.axpy', type: 1, content: Buffer.alloc(8) },
    { name: '.nv.shared.axpy', type: 1, content: Buffer.alloc(1024) },
  ])
  bytes.writeUInt32LE(0x500550, 48) // sm_80
  expect(readCodeObject(bytes)).toEqual({
    format: 'cubin',
    target: 'sm_80',
    kernels: [{ name: 'axpy', vgprs: 34, scratchBytes: 16, ldsBytes: 1024, waveSize: 32, codeBytes: 128 }],
  })
})

describe('MessagePack', () => {
  test.each<[string, number[], unknown]>([
    ['fixint', [5], 5],
    ['negative fixint', [0xff], -1],
    ['u16', [0xcd, 1, 0], 256],
    ['u64', [0xcf, 0, 0, 0, 1, 0, 0, 0, 0], 2 ** 32],
    ['i8', [0xd0, 0x80], -128],
    ['i64', [0xd3, ...Array(8).fill(255)], -1],
    ['f32', [0xca, 0x3f, 0x80, 0, 0], 1],
    ['nil, booleans in a list', [0x93, 0xc0, 0xc2, 0xc3], [null, false, true]],
    ['fixstr', [0xa2, 0x68, 0x69], 'hi'],
    ['map with a number as key', [0x81, 1, 2], { 1: 2 }],
    ['bytes', [0xc4, 1, 7], Uint8Array.of(7)],
    ['an extension', [0xd4, 0, 0], undefined],
    ['a list longer than the bytes', [0xdd, 255, 255, 255, 255, 1], undefined],
    ['lists without end', Array(100).fill(0x91), undefined],
    ['__proto__ as a plain key', [0x81, 0xa9, ...Buffer.from('__proto__'), 1], JSON.parse('{"__proto__": 1}')],
  ])('%s', (_, bytes, value) => expect(readMessagePack(Uint8Array.from(bytes))).toEqual(value))

  test('any bytes give a value or undefined', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => void readMessagePack(bytes)))
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => readElf(bytes) === undefined))
  })
})

describe('occupancy', () => {
  // waves per SIMD as the compiler's own remarks state them
  test.each([
    ['gfx942', 64, 8],
    ['gfx942', 128, 4],
    ['gfx942', 168, 3],
    ['gfx942', 256, 2],
    ['gfx942', 512, 1],
    ['gfx1100', 256, 5],
    ['gfx1100', 192, 8],
    ['gfx1100', 96, 16],
    ['gfx1030', 256, 4],
    ['gfx1102', 128, 8],
  ])('%s with %i registers holds %i waves', (name, vgprs, waves) => {
    expect(occupancy({ name: 'k', vgprs }, findTarget(name), 256)).toMatchObject({ waves })
  })

  test('LDS limits blocks; the host has no figure', () => {
    const k = { name: 'k', vgprs: 32, ldsBytes: 32 * 1024 }
    expect(occupancy(k, findTarget('gfx942'), 256)).toEqual({ waves: 2, maxWaves: 8, limit: 'lds' })
    expect(occupancy(k, findTarget('gfx942'), 256, 40 * 1024)).toEqual({ waves: 0, maxWaves: 8, limit: 'lds' })
    expect(occupancy({ name: 'k', vgprs: 200 }, findTarget('gfx942'), 256)).toMatchObject({ limit: 'registers' })
    expect(occupancy({ name: 'k', vgprs: 20 }, findTarget('gfx942'), 256)).toMatchObject({ limit: 'none' })
    expect(occupancy(k, hostTarget(), 1)).toBeUndefined()
  })
})

describe('releases of compilers', () => {
  test('are read from file names', () => {
    expect(versionInName('libhiprtc.so.6.4.43484')).toBe('6.4.43484')
    expect(versionInName('libnvrtc.so.12')).toBe('12')
    expect(versionInName('hiprtc0602.dll')).toBe('6.2')
    expect(versionInName('libhiprtc.so')).toBeUndefined()
  })
  test('are compared by number', () => {
    expect(['6.2', '6.10.1', '7'].map((version) => atLeast(version, '6.3'))).toEqual([false, true, true])
    expect(atLeast('6', '6.0')).toBe(true)
  })
  test('are told apart by build ids', () => {
    const note = Buffer.concat([u32(4, 20, 3), Buffer.from('GNU\0'), Buffer.alloc(20, 0xab)])
    expect(buildId(Buffer.concat([Buffer.alloc(100), note]))).toBe('ab'.repeat(20))
    expect(buildId(Buffer.alloc(100))).toBeUndefined()
  })
})
