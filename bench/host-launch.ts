// What a launch costs on the host platform, and a fiber switch in emulation. Run:
//   npx esbuild bench/host-launch.ts --bundle --platform=node --format=esm --packages=external \
//     --outfile=dist/bench/host-launch.js && node dist/bench/host-launch.js
import { compileText, type Host, loadHost, packParams } from '../test/runtime/host/host-harness.ts'

const host: Host = await loadHost()
const { hip, ok, out } = host

const fast = host.load(
  await compileText(`extern "C" __global__ void add(float* y, const float* x) { y[blockIdx.x] += x[blockIdx.x]; }`, [
    'add',
  ]),
)
const emulated = host.load(
  await compileText(
    `extern "C" __global__ void barriers(int n) { for (int i = 0; i < n; i++) __syncthreads(); }
     extern "C" __global__ void shuffles(int* y, int n) {
       int v = threadIdx.x;
       for (int i = 0; i < n; i++) v += hiphost_shfl_xor(v, 1);
       y[threadIdx.x] = v;
     }`,
    ['barriers', 'shuffles'],
    { mode: 'emulate', block: 256, wave: 32 },
  ),
)
const y = host.upload(new Float32Array(1024))
const x = host.upload(new Float32Array(1024))
const stream = out(hip.streamCreate, 1)
const add = host.kernel(fast, 'add')
const params = packParams([y, x])

/** best of five, µs for each of n */
function best(n: number, run: () => void): string {
  let least = Number.POSITIVE_INFINITY
  for (let round = 0; round < 5; round++) {
    const start = performance.now()
    run()
    ok(hip.streamSynchronize(stream))
    least = Math.min(least, performance.now() - start)
  }
  return ((least / n) * 1000).toFixed(3)
}
const times = (n: number, action: () => void) => () => {
  for (let i = 0; i < n; i++) action()
}

console.log(`${hip.getThreads()} threads`)
for (const grid of [1, 2, 16, 64]) {
  const launch = () => ok(hip.launch(add, grid, 1, 1, 1, 1, 1, 0, stream, params, null))
  ok(hip.beginCapture(stream, 0))
  times(100, launch)()
  const exec = out(
    hip.instantiate,
    out((box: unknown) => hip.endCapture(stream, box)),
    0n,
  )
  const row = [
    `${best(20_000, times(20_000, launch))} a launch`,
    `${best(
      5000,
      times(5000, () => {
        launch()
        ok(hip.streamSynchronize(stream))
      }),
    )} a launch and wait`,
    `${best(
      20_000,
      times(200, () => ok(hip.graphLaunch(exec, stream))),
    )} a kernel of a graph`,
  ]
  console.log(`grid ${String(grid).padStart(2)}: ${row.join(', ')} (µs)`)
}
const threads = 256
for (const [name, args] of [
  ['barriers', [{ i32: 1000 }]],
  ['shuffles', [y, { i32: 1000 }]],
] as const) {
  const kernel = host.kernel(emulated, name)
  const us = best(1000 * threads, () => ok(host.launch(kernel, 1, threads, [...args], stream)))
  console.log(`${name}: ${(Number(us) * 1000).toFixed(0)} ns a thread`)
}
