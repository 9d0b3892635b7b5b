// Compiles small kernels against the prelude, for every kind of host build that the prelude has code for.
import { emitSource } from '../../../codegen/source.ts'
import { compileHostKernel, findHostCompiler, type HostMode } from '../../../runtime/host/compiler.ts'
import { type Arg, type Host, loadHost } from '../../runtime/host/host-harness.ts'
import { shippedCompiler } from '../../test-compiler.ts'

shippedCompiler()

export interface Build {
  readonly name: string
  readonly mode: HostMode
  readonly block: number
  readonly wave: number
  /** flags in place of those for this machine */
  readonly native?: readonly string[]
}

export const fast: Build = { name: 'fast', mode: 'fast', block: 1, wave: 1 }
export const emulated = (block: number, wave: number): Build => ({
  name: `emulation of ${block} threads, waves of ${wave}`,
  mode: 'emulate',
  block,
  wave,
})

/** Fast builds for older instruction sets, where this machine can run them. */
export const olderFast: readonly Build[] =
  process.arch === 'x64'
    ? ['x86-64-v3', 'x86-64'].map((name) => ({ ...fast, name: `fast, ${name}`, native: [`-march=${name}`] }))
    : []

export interface Kernels {
  readonly host: Host
  readonly build: Build
  /** runs a kernel over `grid` blocks; arrays are uploaded, and what `out` names is read back */
  run(name: string, grid: number, args: readonly (Arg | NodeJS.TypedArray)[], ldsBytes?: number): void
}

/** Kernels of `text` (a template without defaults); a machine without -march of the build gets its own instead. */
export async function compileKernels(
  text: string,
  build: Build,
  defines: Readonly<Record<string, string | number>> = {},
): Promise<Kernels> {
  const host = await loadHost()
  const kernels = [...text.matchAll(/__global__(?:\s+__launch_bounds__\(BLOCK\))?\s+void\s+(\w+)/g)].map((m) => m[1]!)
  const found = await findHostCompiler()
  const image = await compileHostKernel(
    {
      template: 'test.hip',
      source: emitSource({
        template: 'test.hip',
        defines: { P_BLOCK: build.block, P_WAVE: build.wave, ...defines },
        headers: { 'test.hip': text },
      }),
      kernels,
      defines: [],
      mode: build.mode,
    },
    { compiler: build.native ? { ...found, native: build.native } : found },
  )
  const module = host.load(image)
  return {
    host,
    build,
    run(name, grid, args, ldsBytes = 0) {
      const buffers = args.map((arg) =>
        ArrayBuffer.isView(arg) ? { array: arg, address: host.upload(arg) } : undefined,
      )
      const packed = args.map((arg, i) => buffers[i]?.address ?? (arg as Arg))
      host.ok(host.launch(host.kernel(module, name), grid, build.block, packed, 0n, ldsBytes))
      host.ok(host.hip.deviceSynchronize())
      for (const buffer of buffers) {
        if (!buffer) continue
        host.download(buffer.array, buffer.address)
        host.ok(host.hip.free(buffer.address))
      }
    },
  }
}

/** Numbers in [0, 1) from a seed. */
export function seeded(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
}

/** How far `got` (an f32) is from `want` (f64), in units of the last place of an f32 at `want`. */
export function ulps(got: number, want: number): number {
  if (Number.isNaN(want)) return Number.isNaN(got) ? 0 : Number.POSITIVE_INFINITY
  const rounded = Math.fround(want)
  if (Object.is(got, rounded) || got === want) return 0
  if (!Number.isFinite(rounded) || !Number.isFinite(got)) return Number.POSITIVE_INFINITY
  const exponent = Math.max(Math.floor(Math.log2(Math.abs(want))), -126)
  return Math.abs(got - want) / 2 ** (exponent - 23)
}
