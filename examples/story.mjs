// @ts-check
// Tells a story with the bundled model and stops after a deadline, through an AbortSignal.
//
//   node examples/story.mjs [device]
import { fileURLToPath } from 'node:url'
import { compile } from 'rocmforge'

const [device = 'auto'] = process.argv.slice(2)
const model = await compile(fileURLToPath(new URL('../models/story-3m', import.meta.url)), { device })
try {
  const opening = 'Once upon a time there was a little girl'
  const story = model.generate(opening, {
    maxTokens: 120,
    temperature: 0.7,
    seed: 1,
    signal: AbortSignal.timeout(60_000), // ms; what was written until then stays
  })
  process.stdout.write(opening)
  for await (const piece of story) process.stdout.write(piece.text)

  const { reason, tokenIds, timings } = await story.result()
  console.log(
    `\n\n${tokenIds.length} tokens in ${Math.round(timings.prefillMs + timings.decodeMs)} ms, ended by: ${reason}`,
  )
} finally {
  await model.dispose() // in TypeScript: `await using model = await compile(…)`
}
