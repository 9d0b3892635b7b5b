// A runner (see protocol.ts) of this project on the host platform: rocmforge.js MODEL CONTEXT
import { compile } from '../src/index.ts'
import { promptOf, serveRounds } from './protocol.ts'

const [file, context] = process.argv.slice(2)
const model = await compile(file!, { device: 'host', context: Number(context) })

await serveRounds(async ({ prefill, decode }) => {
  const start = performance.now()
  await model.logits(promptOf(prefill))
  const prefillSeconds = (performance.now() - start) / 1e3

  const { timings } = await model
    .generate({ tokens: promptOf(8) }, { maxTokens: decode + 1, ignoreEos: true, temperature: 0 })
    .result()
  if (timings.decodedTokens !== decode) throw new Error(`generated ${timings.decodedTokens} tokens of ${decode}`)
  return { prefillSeconds, decodeSeconds: timings.decodeMs / 1e3 }
})
await model.dispose()
