// Weights on their way to a device: every byte read once and put in its place, several reads at once, and nothing left
// behind when a read, an allocation or the caller puts an end to it.
import { createHash } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeAll, describe, expect, test } from 'vitest'
import type { Program } from '../../../codegen/program.ts'
import { Diagnostic } from '../../../ir/diagnostic.ts'
import { type TensorType, tensor } from '../../../ir/type.ts'
import { planReads, type ReadSizes, type WeightFile, type WeightSource } from '../../../runtime/execute/weight-reads.ts'
import { DeviceWeights, type LoadProgress } from '../../../runtime/execute/weights.ts'
import { hostLibraryPath } from '../../../runtime/host/library.ts'
import { Driver, type DriverOptions } from '../../../runtime/platform/driver.ts'
import fc from '../../fast-check.ts'
import { failingAllocation } from '../platform/failing-calls.ts'

/** The host as a device with memory of its own: weights go through pinned buffers, as on a GPU. */
class StagingDriver extends Driver {
  override get sharesHostMemory(): boolean {
    return false
  }
}

/** Bytes of a file from a place on: a pattern that only repeats after a prime number of them. */
const pattern = Uint8Array.from({ length: 65521 }, (_, i) => (i * 31 + (i >> 8) * 17) & 255)
function fillFrom(position: number, into: Uint8Array): Uint8Array {
  for (let done = 0; done < into.length; ) {
    const from = (position + done) % pattern.length
    const piece = pattern.subarray(from, from + into.length - done)
    into.set(piece, done)
    done += piece.length
  }
  return into
}

interface Watched extends WeightFile {
  reads: number
  inFlight: number
  most: number
}

function file(path: string, onRead: (position: number) => void = () => {}): Watched {
  const watched: Watched = {
    path,
    reads: 0,
    inFlight: 0,
    most: 0,
    async read(into, position) {
      watched.reads++
      watched.most = Math.max(watched.most, ++watched.inFlight)
      try {
        await sleep(1)
        onRead(position)
        fillFrom(position, into)
      } finally {
        watched.inFlight--
      }
    },
  }
  return watched
}

interface Laid {
  readonly name: string
  readonly bytes: number
  readonly file: Watched
  readonly offset: number
}

const bytesType = (bytes: number): TensorType => tensor('u8', [bytes])

const sourceOf = (weights: readonly Laid[]): WeightSource => ({
  read(_, __, into, offset) {
    into.fill(7)
    if (offset === 0) into[0] = 8
  },
  locate(name) {
    const laid = weights.find((weight) => weight.name === name)
    return laid && { file: laid.file, offset: laid.offset }
  },
})

/** A program that only has weights: each group lies one behind the other in one buffer. */
function programOf(groups: readonly (readonly { name: string; bytes: number }[])[]): Program {
  const buffers = groups.map((group) => {
    let offset = 0
    const parts = group.map(({ name, bytes }) => {
      const part = { weight: name, type: bytesType(bytes), offset, bytes, layout: 'blocks' }
      offset += bytes
      return part
    })
    const id = group.map(({ name }) => name).join('+')
    return [id, { id, kind: 'weight', type: bytesType(offset), bytes: offset, parts }] as const
  })
  return { buffers: Object.fromEntries(buffers) } as unknown as Program
}

const layout = (sizes: readonly number[], at: Watched, gap = 0): Laid[] => {
  let offset = 32
  return sizes.map((bytes, i) => {
    const laid = { name: `w${i}`, bytes, file: at, offset }
    offset += bytes + gap
    return laid
  })
}

const expected = ({ bytes, offset }: Laid): Uint8Array => fillFrom(offset, new Uint8Array(bytes))
const digest = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

let library: string
beforeAll(async () => {
  library = await hostLibraryPath()
})

const drivers: Driver[] = []
function open(kind: 'direct' | 'staged', options: DriverOptions = {}): Driver {
  const driver = new (kind === 'direct' ? Driver : StagingDriver)('host', library, 0, options)
  drivers.push(driver)
  return driver
}
afterEach(() => {
  for (const driver of drivers.splice(0)) {
    expect(driver.live).toEqual({ device: 0, pinned: 0, module: 0, stream: 0, event: 0, graph: 0 })
    driver[Symbol.dispose]()
  }
})

const mebi = 2 ** 20

describe('the list of reads', () => {
  const sizes: ReadSizes = { largest: 1000, alone: 300, gap: 16 }
  const layouts = fc.array(
    fc.record({ bytes: fc.integer({ min: 1, max: 3500 }), gap: fc.integer({ min: 0, max: 30 }) }),
  )

  test('covers every byte of every weight once, within the limits', () =>
    fc.assert(
      fc.property(layouts, fc.boolean(), (entries, backwards) => {
        const at = file('model')
        let offset = 0
        let address = 4096n
        const laid = entries.map(({ bytes, gap }, i) => {
          const weight = { name: `w${i}`, bytes, file: at, offset, address }
          offset += bytes + gap
          address += BigInt(bytes) + 7n
          return weight
        })
        const targets = laid.map(({ name, bytes, address }) => ({
          weight: name,
          bytes,
          address,
          type: bytesType(bytes),
          layout: 'blocks' as const,
        }))
        const reads = planReads(backwards ? targets.toReversed() : targets, sourceOf(laid), sizes)
        const covered = reads
          .flatMap(({ pieces }) => pieces)
          .sort((a, b) => Number(a.to - b.to))
          .flatMap(({ to, bytes }) => [to, to + BigInt(bytes)])
        for (const { name, bytes, address } of laid) {
          const from = covered.indexOf(address)
          expect(from, name).toBeGreaterThanOrEqual(0)
          expect(covered.indexOf(address + BigInt(bytes)), name).toBeGreaterThan(from)
        }
        expect(reads.flatMap(({ pieces }) => pieces).reduce((sum, { bytes }) => sum + bytes, 0)).toBe(
          laid.reduce((sum, { bytes }) => sum + bytes, 0),
        )
        for (const { bytes, pieces } of reads) {
          expect(bytes).toBeLessThanOrEqual(sizes.largest)
          let end = 0
          for (const piece of pieces) {
            expect(piece.from - end).toBeGreaterThanOrEqual(0)
            expect(piece.from - end).toBeLessThanOrEqual(sizes.gap)
            end = piece.from + piece.bytes
          }
          expect(end).toBe(bytes)
        }
      }),
    ))

  test('cuts what is large, joins small neighbours of one file, and no strangers', () => {
    const [a, b] = [file('a'), file('b')]
    const laid: Laid[] = [
      { name: 'large', bytes: 2500, file: a, offset: 0 },
      { name: 'small', bytes: 10, file: a, offset: 2500 },
      { name: 'near', bytes: 10, file: a, offset: 2520 },
      { name: 'far', bytes: 10, file: a, offset: 9000 },
      { name: 'other', bytes: 10, file: b, offset: 2530 },
    ]
    const targets = laid.map(({ name, bytes }, i) => ({
      weight: name,
      bytes,
      type: bytesType(bytes),
      address: BigInt(i * 10000),
      layout: 'blocks' as const,
    }))
    const reads = planReads(
      [...targets, { weight: 'made', bytes: 4, type: bytesType(4), address: 1n, layout: 'blocks' }],
      sourceOf(laid),
      sizes,
    )
    expect(reads.map(({ weights, bytes }) => `${weights.join('+')} ${bytes}`)).toEqual([
      'made 4',
      'large 1000',
      'large 1000',
      'large 500',
      'small+near 30',
      'far 10',
      'other 10',
    ])
  })
})

describe.each(['direct', 'staged'] as const)('%s', (kind) => {
  test('every weight arrives, and several reads are under way at once', async () => {
    const at = file('model')
    const laid = layout([40 * mebi + 5, 100, 7, 3 * mebi, 9000, 1, 2 * mebi], at, 3)
    const driver = open(kind)
    using stream = driver.createStream()
    using weights = new DeviceWeights(driver)
    const program = programOf([
      [laid[0]!],
      [laid[2]!, laid[1]!],
      ...laid.slice(3).map((one) => [one]),
      [{ name: 'made', bytes: 20 }],
    ])
    const seen: LoadProgress[] = []
    await weights.load([program], sourceOf(laid), stream, (progress) => seen.push(progress))
    for (const buffer of Object.values(program.buffers)) {
      const got = new Uint8Array(buffer.bytes)
      driver.copyToHost(got, weights.addressOf(buffer))
      for (const { weight, offset, bytes } of buffer.parts!) {
        const known = laid.find(({ name }) => name === weight)
        const want = known ? expected(known) : Uint8Array.from({ length: 20 }, (_, i) => (i === 0 ? 8 : 7))
        expect(digest(got.subarray(offset, offset + bytes)), weight).toBe(digest(want))
      }
    }
    expect(at.most).toBeGreaterThanOrEqual(4)
    expect(at.most).toBeLessThanOrEqual(16)
    const totalBytes = laid.reduce((sum, { bytes }) => sum + bytes, 20)
    expect(seen.at(-1)).toMatchObject({ bytes: totalBytes, totalBytes })
    expect(seen.filter(({ bytes }) => bytes === totalBytes)).toHaveLength(1)
    expect(seen.map(({ bytes }) => bytes)).toEqual(seen.map(({ bytes }) => bytes).sort((a, b) => a - b))
    expect(weights.bytesToLoad([program])).toBe(0)
  })

  test('a read that fails ends the others first, and names the weight', async () => {
    const at = file('model', (position) => {
      if (position > 20 * mebi)
        throw new Diagnostic({ code: 'file-changed', message: 'it ended', facts: [['file', 'model']] })
    })
    const laid = layout([4 * mebi, 300 * mebi, 10], at)
    const driver = open(kind)
    using stream = driver.createStream()
    using weights = new DeviceWeights(driver)
    const error = await weights.load([programOf(laid.map((one) => [one]))], sourceOf(laid), stream).catch((e) => e)
    expect(at.inFlight).toBe(0)
    expect(at.reads).toBeLessThan(39)
    expect(error.message).toBe('error[file-changed]: it ended\n  at     reading weight w1\n  file   model')
  })

  test('an end asked for comes between two reads', async () => {
    const ending = new AbortController()
    const at = file('model', () => ending.abort())
    const laid = layout([200 * mebi], at)
    const driver = open(kind)
    using stream = driver.createStream()
    using weights = new DeviceWeights(driver)
    const loading = weights.load([programOf([laid])], sourceOf(laid), stream, undefined, ending.signal)
    await expect(loading).rejects.toThrow(/abort/i)
    expect(at.inFlight).toBe(0)
    expect(at.reads).toBeLessThan(25)
  })

  test('whichever allocation fails, nothing leaks', async () => {
    for (let k = 0, ended = false; !ended; k++) {
      const laid = layout([12 * mebi, 10, 300], file('model'))
      const driver = open(kind, { wrapCalls: failingAllocation(k) })
      using stream = driver.createStream()
      using weights = new DeviceWeights(driver)
      try {
        await weights.load([programOf(laid.map((one) => [one]))], sourceOf(laid), stream)
        ended = true
        expect(k).toBeGreaterThanOrEqual(3)
      } catch (error) {
        expect(error).toMatchObject({ code: 'out-of-memory' })
        expect(k).toBeLessThan(20)
      }
    }
  })
})
