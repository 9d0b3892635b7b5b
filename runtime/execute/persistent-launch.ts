// PersistentLaunch: a whole step as one launch. Its calls become rows of a table in device memory; its blocks are as many
// as the device keeps resident at once, since they wait for each other.
import { absent } from '../../codegen/compile.ts'
import { evaluate } from '../../codegen/extent.ts'
import type { PersistentStep, Program } from '../../codegen/program.ts'
import { fail, invariant } from '../../ir/diagnostic.ts'
import type { Bindings } from '../../ir/type.ts'
import type { DeviceBuffer, Driver, Kernel, PinnedBuffer, PreparedLaunch, Stream } from '../platform/driver.ts'

/**
 * Polls of a barrier before a block gives up: seconds on a GPU, where a poll takes about a microsecond, and no less on a
 * host whose cores are busy otherwise.
 */
const defaultMaxSpins = { gpu: 2 ** 24, host: 2 ** 30 }

interface PersistentLaunchOptions {
  readonly driver: Driver
  readonly kernel: Kernel
  readonly address: (buffer: string) => bigint
  /** all symbols that arguments depend on */
  readonly bindings: Bindings
  /** default: as many as the device keeps resident at once */
  readonly blocks?: number
  /** polls of a barrier before a block gives up */
  readonly maxSpins?: number
}

export class PersistentLaunch implements Disposable {
  /** blocks that run, all at once */
  readonly blocks: number
  readonly #program: Program
  readonly #launch: PreparedLaunch
  readonly #owned: Disposable[] = []
  readonly #stuck: Uint32Array
  readonly #trace: DeviceBuffer | undefined
  readonly #driver: Driver

  constructor(program: Program, step: PersistentStep, options: PersistentLaunchOptions) {
    const { driver, kernel, maxSpins = defaultMaxSpins[driver.platform === 'host' ? 'host' : 'gpu'] } = options
    this.#program = program
    this.#driver = driver
    this.blocks = options.blocks ?? residentBlocks(step, options)
    const label = `@${program.name} as one launch`
    try {
      const table = tableOf(program, step, options)
      const memory = (bytes: number): DeviceBuffer => this.#own(driver.during(label, () => driver.alloc(bytes)))
      const rows = memory(table.byteLength)
      this.#trace = step.trace ? memory(step.stages.length * this.blocks * 3 * 8) : undefined
      const barrier = memory(256)
      const stuck: PinnedBuffer = this.#own(driver.during(label, () => driver.allocPinned(64)))
      driver.copyToDevice(rows.address, table)
      driver.fill(barrier.address, 0, 256)
      driver.synchronize()
      stuck.view.fill(0)
      this.#stuck = new Uint32Array(stuck.view.buffer, stuck.view.byteOffset, 1)
      this.#launch = driver.prepareLaunch({
        fn: kernel,
        grid: [this.blocks],
        block: [step.block],
        ldsBytes: step.ldsBytes,
        cooperative: driver.properties.cooperativeLaunch,
        args: [
          { kind: 'pointer', address: rows.address },
          { kind: 'i32', value: step.stages.length },
          { kind: 'pointer', address: barrier.address },
          { kind: 'pointer', address: stuck.address },
          { kind: 'i32', value: maxSpins },
          { kind: 'pointer', address: this.#trace?.address ?? 0n },
        ],
        label,
      })
    } catch (error) {
      this[Symbol.dispose]()
      throw error
    }
  }

  #own<T extends Disposable>(resource: T): T {
    this.#owned.push(resource)
    return resource
  }

  /** Behind `check`, whoever asks for it. */
  enqueue(stream: Stream): void {
    this.#launch.enqueue(stream)
  }

  /** Throws the Diagnostic `step-stuck` if the blocks of a launch that has run gave up waiting for each other. */
  check(): void {
    const at = this.#stuck[0]!
    if (at === 0) return
    const call = this.#program.calls[at - 1]!
    fail({
      code: 'step-stuck',
      message: `the blocks of @${this.#program.name} waited in vain for each other`,
      facts: [
        ['behind', `${call.node}${call.label ? ` (${call.label})` : ''} ${call.entry}`],
        ['blocks', String(this.blocks)],
      ],
      help: 'another program may hold compute units of this device: use --step kernels, which never waits',
    })
  }

  /**
   * When each block began each call of the launch that ran last, was done with it and had met the others: ticks of the
   * device's clock, [call][block][3]. Undefined if the step records no times. Waits for the device.
   */
  trace(): BigUint64Array | undefined {
    if (!this.#trace) return undefined
    const bytes = new Uint8Array(this.#trace.bytes)
    this.#driver.synchronize()
    this.#driver.copyToHost(bytes, this.#trace.address)
    return new BigUint64Array(bytes.buffer)
  }

  [Symbol.dispose](): void {
    for (const resource of this.#owned.splice(0).reverse()) resource[Symbol.dispose]()
  }
}

function residentBlocks(step: PersistentStep, { driver, kernel }: PersistentLaunchOptions): number {
  const { multiprocessors } = driver.properties
  const fitting = kernel.maxBlocksPerUnit(step.block, step.ldsBytes) ?? 1
  if (fitting === 0) {
    fail({
      code: 'step-too-large',
      message: `a block of ${step.block} threads with ${step.ldsBytes} bytes of dynamic LDS does not fit on a compute unit`,
      facts: [['kernel', step.entry]],
      help: 'use --step kernels',
    })
  }
  return multiprocessors * fitting
}

/** Rows as `stage_call` of prelude/stage.h lays them out. */
function tableOf(program: Program, step: PersistentStep, { address, bindings }: PersistentLaunchOptions): Uint8Array {
  const rowBytes = 16 + 2 * 8 * step.args
  const bytes = new Uint8Array(step.stages.length * rowBytes)
  const view = new DataView(bytes.buffer)
  const values = program.calls.slice(0, step.stages.length).map(({ args }) =>
    args.map((arg) => {
      if (arg.kind === 'scalar') return BigInt.asUintN(64, BigInt(evaluate(arg.value, bindings)))
      return arg.buffer === absent ? 0n : address(arg.buffer)
    }),
  )
  for (const [i, stage] of step.stages.entries()) {
    const at = i * rowBytes
    view.setUint32(at, stage.stage, true)
    view.setUint32(at + 4, stage.barrierAfter ? 1 : 0, true)
    if (stage.prefetches !== undefined) {
      const ahead = step.stages[stage.prefetches]
      invariant(ahead, `call ${i} asks ahead for call ${stage.prefetches}`)
      view.setUint32(at + 8, ahead.stage + 1, true)
      for (const [n, value] of values[stage.prefetches]!.entries())
        view.setBigUint64(at + 16 + 8 * (step.args + n), value, true)
    }
    for (const [n, value] of values[i]!.entries()) view.setBigUint64(at + 16 + 8 * n, value, true)
  }
  return bytes
}
