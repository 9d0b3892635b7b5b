// Launches of one code object on given bytes, as plain data: what a process can be asked to run, and may crash of.
import type { Driver } from '../platform/driver.ts'
import type { KernelArg } from '../platform/launch.ts'

export interface JobBuffer {
  readonly name: string
  readonly bytes: number
  /** what lies at its beginning; the rest, or all, is `fill` */
  readonly content?: Uint8Array
  readonly fill: number
}

export type JobArg = { readonly buffer: string } | { readonly i32: number } | { readonly absent: true }

export interface JobLaunch {
  readonly entry: string
  readonly grid: number
  readonly block: number
  readonly ldsBytes: number
  readonly args: readonly JobArg[]
}

export interface LaunchJob {
  readonly label: string
  readonly image: Uint8Array
  readonly buffers: readonly JobBuffer[]
  readonly launches: readonly JobLaunch[]
  /** buffers to read when all launches are over */
  readonly results: readonly { readonly buffer: string; readonly bytes: number }[]
}

/** least size of an allocation, bytes: kernels are given no null where they expect memory */
const leastBytes = 16

/** Runs a job; bytes of its results, in their order. */
export function runLaunches(driver: Driver, job: LaunchJob): Uint8Array[] {
  const stack: Disposable[] = []
  const own = <T extends Disposable>(resource: T): T => {
    stack.push(resource)
    return resource
  }
  try {
    const stream = own(driver.createStream())
    const addresses = new Map<string, bigint>()
    for (const { name, bytes, content, fill } of job.buffers) {
      const size = Math.max(leastBytes, bytes)
      const { address } = own(driver.alloc(size))
      driver.fill(address, fill, size)
      if (content?.length) driver.copyToDevice(address, content)
      addresses.set(name, address)
    }
    driver.synchronize()
    const module = own(driver.loadModule(job.image))
    for (const { entry, grid, block, ldsBytes, args } of job.launches) {
      const argument = (arg: JobArg): KernelArg => {
        if ('buffer' in arg) return { kind: 'pointer', address: addresses.get(arg.buffer)! }
        return 'i32' in arg ? { kind: 'i32', value: arg.i32 } : { kind: 'pointer', address: 0n }
      }
      driver
        .prepareLaunch({
          fn: module.kernel(entry),
          grid: [grid],
          block: [block],
          ldsBytes,
          args: args.map(argument),
          label: job.label,
        })
        .enqueue(stream)
    }
    stream.synchronize()
    return job.results.map(({ buffer, bytes }) => {
      const result = new Uint8Array(bytes)
      if (bytes > 0) driver.copyToHost(result, addresses.get(buffer)!)
      return result
    })
  } finally {
    for (const resource of stack.reverse()) resource[Symbol.dispose]()
  }
}
