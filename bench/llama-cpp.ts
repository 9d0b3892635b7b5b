// A runner (see protocol.ts) of llama.cpp on the CPU, by node-llama-cpp's prebuilt binary: llama-cpp.js MODEL CONTEXT THREADS
// node-llama-cpp belongs to bench/ alone: `npm install` there first.
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { packageRoot } from '../ir/package-root.ts'
import { promptOf, serveRounds } from './protocol.ts'

const resolve = createRequire(join(packageRoot(), 'bench/package.json')).resolve
const { getLlama } = await import(pathToFileURL(resolve('node-llama-cpp')).href)

const [file, context, threads] = process.argv.slice(2)
const llama = await getLlama({ gpu: false, build: 'never', maxThreads: Number(threads), logLevel: 'error' })
const model = await llama.loadModel({ modelPath: file, gpuLayers: 0 })
const made = await model.createContext({ contextSize: Number(context), batchSize: 512, threads: Number(threads) })
const sequence = made.getSequence()
const greedy = { temperature: 0, yieldEogToken: true }

await serveRounds(async ({ prefill, decode }) => {
  const prompt = promptOf(prefill)
  await sequence.clearHistory()
  const start = performance.now()
  const last = [prompt.at(-1), { generateNext: { token: true, options: greedy } }]
  await sequence.controlledEvaluate([...prompt.slice(0, -1), last])
  const prefillSeconds = (performance.now() - start) / 1e3

  await sequence.clearHistory()
  let tokens = 0
  let first = 0
  for await (const _ of sequence.evaluate(promptOf(8), greedy)) {
    if (tokens++ === 0) first = performance.now()
    if (tokens > decode) break
  }
  return { prefillSeconds, decodeSeconds: (performance.now() - first) / 1e3 }
})
process.exit(0)
