// Where the greedy texts of GGUF files part: ours, those of llama.cpp (models/oracle-llama-cpp.json, by file name), and
// those of the unquantised model in float32 (models/reference.json). Prints the table of docs/correctness.md.
//
//   node scripts/build.mjs && node scripts/oracle.mjs [--device host] FILE.gguf …
import { readFileSync } from 'node:fs'
import { basename } from 'node:path'
import { compile } from '../dist/index.js'

const words = process.argv.slice(2)
const at = words.indexOf('--device')
const device = at >= 0 ? words.splice(at, 2)[1] : 'host'
if (words.length === 0) {
  console.error('usage: node scripts/oracle.mjs [--device host] FILE.gguf …')
  process.exit(1)
}
const read = (name) => JSON.parse(readFileSync(new URL(`../models/${name}`, import.meta.url), 'utf8')).models
const [reference, oracle] = [read('reference.json'), read('oracle-llama-cpp.json')]

const sameStart = (a, b) => {
  const parts = a.findIndex((one, i) => one !== b[i])
  return parts < 0 ? a.length : parts
}

console.log('| file | ours = float32 | llama.cpp = float32 | ours = llama.cpp | gaps where these part |')
console.log('| --- | --- | --- | --- | --- |')
for (const path of words) {
  const file = basename(path)
  const runs = reference[file.split('.')[0]]
  const others = oracle[file]
  if (!runs) throw new Error(`${file}: the name must begin with ${Object.keys(reference).join(' or ')}`)
  const model = await compile(path, { device })
  const columns = [[], [], [], []]
  for (const [i, run] of runs.entries()) {
    const { tokenIds, promptIds } = await model.generate(run.prompt, { maxTokens: run.token_ids.length }).result()
    if (`${promptIds}` !== `${run.prompt_ids}`) throw new Error(`${file}: the prompt has other tokens`)
    columns[0].push(sameStart(run.token_ids, tokenIds))
    columns[1].push(others?.[i].same_tokens ?? '–')
    const common = others ? tokensWithin(model, tokenIds, others[i].text) : undefined
    columns[2].push(common ?? '–')
    if (common < tokenIds.length) columns[3].push(await gap(model, [...promptIds, ...tokenIds.slice(0, common)]))
  }
  console.log(`| ${file} | ${columns.map((column) => column.join(', ')).join(' | ')} |`)
  await model.dispose()
}

/** How many tokens it takes until the text is no longer the beginning of the other one. */
function tokensWithin(model, tokenIds, text) {
  for (let n = 1; n <= tokenIds.length; n++) {
    const ours = model.tokenizer.decode(tokenIds.slice(0, n), { continues: true })
    if (!text.startsWith(ours.replace(/\ufffd+$/, ''))) return n - 1
  }
  return tokenIds.length
}

/** Our best logit less the second best behind these tokens. */
async function gap(model, tokens) {
  const [best, second] = [...(await model.logits(tokens))].sort((a, b) => b - a)
  return (best - second).toFixed(3)
}
