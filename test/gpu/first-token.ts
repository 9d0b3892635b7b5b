// first-token.js MODEL DEVICE: loads a model, generates one token, prints when each phase was reached, ms after the start.
import { compile } from '../../src/index.ts'

const [path, device] = process.argv.slice(2)
const started = Number(process.env['ROCMFORGE_STARTED'])
const phases: Record<string, number> = { running: Date.now() - started }
const model = await compile(path!, {
  device: device!,
  context: 2048,
  onDevice: () => {
    phases['device open'] = Date.now() - started
  },
  onKernels: ({ done, total }) => {
    if (done === total) phases['kernels'] = Date.now() - started
  },
  onWeights: ({ bytes, totalBytes }) => {
    if (bytes === totalBytes) phases['weights read'] = Date.now() - started
  },
})
phases['loaded'] = Date.now() - started
await model.generate({ tokens: [1, 100, 101, 102] }, { maxTokens: 1, ignoreEos: true, temperature: 0 }).result()
phases['first token'] = Date.now() - started
process.stdout.write(`${JSON.stringify(phases)}\n`)
await model.dispose()
