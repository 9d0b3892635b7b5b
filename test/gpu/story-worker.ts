// A worker thread of the suite, for what takes the processor long: writes a GGUF file; or lets the reference executor read a
// sequence and says, at each of its last tokens, how far that token's logit lies below the largest.
import { existsSync } from 'node:fs'
import { parentPort } from 'node:worker_threads'
import { compile } from '../../src/api/compile.ts'
import { type GgufFileType, writeGgufFrom } from '../gguf-writer.ts'

export type StoryJob =
  | { readonly kind: 'write'; readonly folder: string; readonly file: string; readonly type: GgufFileType }
  /** `prompt`: tokens that are not judged */
  | { readonly kind: 'score'; readonly file: string; readonly tokens: readonly number[]; readonly prompt: number }

async function work(job: StoryJob): Promise<number[]> {
  if (job.kind === 'write') {
    if (!existsSync(job.file)) writeGgufFrom(job.folder, job.file, job.type)
    return []
  }
  const { file, tokens, prompt } = job
  await using model = await compile(file, { device: 'reference', optLevel: 0, context: tokens.length + 1 })
  const logits = await model.logits(tokens.slice(0, -1), { all: true })
  const V = logits.length / (tokens.length - 1)
  return tokens.slice(prompt).map((token, i) => {
    const row = logits.subarray((prompt - 1 + i) * V, (prompt + i) * V)
    return row.reduce((most, v) => Math.max(most, v), Number.NEGATIVE_INFINITY) - row[token]!
  })
}

parentPort?.on('message', (job: StoryJob) => {
  work(job).then(
    (result) => parentPort!.postMessage({ result }),
    (error) => parentPort!.postMessage({ error: String(error) }),
  )
})
