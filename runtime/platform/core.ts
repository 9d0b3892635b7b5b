// What every handle of a driver shares: the bound calls, the check of each status, which device is current on this
// thread, what was running when something failed, and the count of live handles.
import { Diagnostic, type Fact, fail } from '../../ir/diagnostic.ts'
import type { BoundCalls, CallName, Calls, PlatformName } from './calls.ts'

/** the numbers HIP and CUDA share */
export const status = {
  success: 0,
  outOfMemory: 2,
  noDevice: 100,
  invalidDevice: 101,
  invalidContext: 201,
  noBinaryForGpu: 209,
  notFound: 500,
  notReady: 600,
  illegalAddress: 700,
  launchOutOfResources: 701,
  launchFailure: 719,
  notSupported: 801,
  unknown: 999,
} as const

const advice: Readonly<Record<number, string>> = {
  [status.noBinaryForGpu]: 'the code object was built for another target: rebuild it for this device',
  [status.illegalAddress]: 'a kernel read or wrote outside its buffers: please report the model and the device',
  [status.launchOutOfResources]: 'the kernel needs more registers or LDS than the device has: use a smaller block',
  [status.launchFailure]: 'a kernel faulted; the device is unusable in this process: start again',
}

/** calls of whose failures the host library keeps a message */
const tellsWhy: ReadonlySet<CallName> = new Set<CallName>([
  'moduleLoad',
  'launch',
  'streamSynchronize',
  'deviceSynchronize',
  'eventSynchronize',
  'captureBegin',
  'captureEnd',
])

/** Kinds of handle that are counted while alive. */
export type HandleKind = 'device' | 'pinned' | 'module' | 'stream' | 'event' | 'graph'

// The current device is a property of the thread, and a worker has its own copy of this module: one comparison a
// call is all that switching between drivers costs.
let current: DriverCore | undefined

/** Something that can say which operation of the graph it is, asked only when a call fails. */
export interface Labelled {
  readonly label: string
}

export class DriverCore {
  readonly platform: PlatformName
  readonly calls: Calls
  readonly bound: BoundCalls
  /** `AMD Radeon RX 7900 XTX (amd:0)` */
  readonly deviceName: string
  readonly context: bigint
  readonly live: Record<HandleKind, number> = { device: 0, pinned: 0, module: 0, stream: 0, event: 0, graph: 0 }
  /** the launch enqueued last: the best guess when a later call reports a kernel's fault */
  lastLaunch: Labelled | undefined
  /** set by `Driver.during` */
  operation: string | undefined
  /** a call failed in a way that leaves the context unusable: later releases stay silent */
  broken = false
  closed = false
  /** receive out-parameters; every call is synchronous, so one of each is enough */
  readonly out = new BigUint64Array(new ArrayBuffer(8))
  readonly out2 = new BigUint64Array(new ArrayBuffer(8))
  readonly int = new Int32Array(new ArrayBuffer(8))

  constructor(platform: PlatformName, bound: BoundCalls, deviceName: string, context: bigint) {
    this.platform = platform
    this.bound = bound
    this.calls = bound.calls
    this.deviceName = deviceName
    this.context = context
  }

  /** Makes the driver's device current on this thread. */
  use(): void {
    if (current !== this) this.#switch()
  }

  #switch(): void {
    if (this.closed) {
      fail({
        code: 'driver-closed',
        message: `the driver of ${this.deviceName} was already released`,
        help: 'keep the driver alive for as long as its buffers, streams and kernels are used',
      })
    }
    this.check(this.calls.setContext(this.context), 'setContext')
    current = this
  }

  /** Turns a status other than success into a Diagnostic; `facts` are evaluated only then. */
  check(code: number, call: CallName, facts?: () => readonly Fact[], by?: Labelled): void {
    if (code !== 0) this.failed(code, call, facts?.() ?? [], by)
  }

  failed(code: number, call: CallName, facts: readonly Fact[], by?: Labelled): never {
    const name = this.calls.errorName(code)
    const text = this.calls.errorString(code)
    const message = tellsWhy.has(call) ? this.calls.lastMessage?.() : undefined
    if (code === status.illegalAddress || code === status.launchFailure || code === status.unknown) this.broken = true
    throw new Diagnostic({
      code: code === status.outOfMemory ? 'out-of-memory' : 'device-call',
      message: `${this.bound.symbols[call]} failed with ${name} (${code})${text && text !== name ? `: ${text}` : ''}`,
      facts: [
        ...this.#where(code, by),
        ['device', this.deviceName],
        ...facts,
        ...(message ? [['reason', message] as const] : []),
      ],
      ...(advice[code] ? { help: advice[code] } : {}),
    })
  }

  #where(code: number, by: Labelled | undefined): Fact[] {
    if (by) return [['at', by.label]]
    if (this.operation !== undefined) return [['at', this.operation]]
    // a fault shows in whatever call comes next; other failures have nothing to do with earlier launches
    const fault = code >= status.illegalAddress && code < status.notSupported
    return fault && this.lastLaunch ? [['after', `${this.lastLaunch.label} (the last launch enqueued)`]] : []
  }

  /** Releases a handle through `call`; silent once the driver is closed or its context is lost. */
  release(kind: HandleKind, call: CallName, free: (calls: Calls) => number): void {
    this.live[kind] -= 1
    if (this.closed) return
    if (!this.broken) this.use()
    const code = free(this.calls)
    if (code !== 0 && !this.broken) this.failed(code, call, [])
  }

  /** Forgets that this driver's device is current, so that the next driver binds its own. */
  close(): void {
    this.closed = true
    if (current === this) current = undefined
  }
}
