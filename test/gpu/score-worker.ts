// A worker thread of the suite: the reference executor reads a sequence and says, at each of its last tokens, how far that
// token's logit lies below the largest.
import { parentPort } from 'node:worker_threads'
import { compile } from '../../src/api/compile.ts'

export interface ScoreJob {
  readonly file: string
  readonly tokens: readonly number[]
  /** tokens of the prompt, which are not judged */
  readonly prompt: number
}

async function score({ file, tokens, prompt }: ScoreJob): Promise<number[]> {
  await using model = await compile(file, { device: 'reference', optLevel: 0, context: tokens.length + 1 })
  const logits = await model.logits(tokens.slice(0, -1), { all: true })
  const V = logits.length / (tokens.length - 1)
  return tokens.slice(prompt).map((token, i) => {
    const row = logits.subarray((prompt - 1 + i) * V, (prompt + i) * V)
    return row.reduce((most, v) => Math.max(most, v), Number.NEGATIVE_INFINITY) - row[token]!
  })
}

parentPort?.on('message', (job: ScoreJob) => {
  score(job).then(
    (gaps) => parentPort!.postMessage({ gaps }),
    (error) => parentPort!.postMessage({ error: String(error) }),
  )
})
