// Compares the interpreter of chat templates with jinja2. Needs Python with jinja2: PYTHON, or /usr/bin/python3.
//
//   node scripts/jinja-compare.mjs table            renews the results in test/src/tokenizer/jinja/*.json
//   node scripts/jinja-compare.mjs fuzz [N] [SEED]  N random templates (default 10000)
//   node scripts/jinja-compare.mjs corpus [N]       renews the corpus of random templates that the tests keep
//   node scripts/jinja-compare.mjs folder DIR       every *.jinja and *.jinja2, and the chat_template of every *.json, over
//                                                   the conversations of the tests
import { spawn } from 'node:child_process'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { build } from 'esbuild'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const tests = join(root, 'test/src/tokenizer/jinja')

async function load(name) {
  const outfile = join(root, `dist/jinja-${name}.js`)
  await build({
    ...{ entryPoints: [join(tests, `${name}.ts`)], outfile, bundle: true, packages: 'external' },
    ...{ platform: 'node', format: 'esm', logLevel: 'warning' },
  })
  return import(pathToFileURL(outfile).href)
}

/** Results of jinja2, in the order of the jobs. */
async function askJinja(jobs) {
  const python = spawn(process.env.PYTHON ?? '/usr/bin/python3', [join(root, 'scripts/jinja-oracle.py')], {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: { ...process.env, PYTHONHASHSEED: '0' },
  })
  const results = []
  const write = async () => {
    for (const job of jobs) {
      if (!python.stdin.write(`${JSON.stringify(job)}\n`)) await new Promise((next) => python.stdin.once('drain', next))
    }
    python.stdin.end()
  }
  const written = write()
  for await (const line of createInterface({ input: python.stdout })) results.push(JSON.parse(line))
  await written
  if (results.length !== jobs.length)
    throw new Error(`the oracle ended after ${results.length} of ${jobs.length} templates`)
  return results
}

/** Prints where the two differ; returns how often. */
function report(jobs, right, { outcomeOf, agree }, shown = 20) {
  let different = 0
  jobs.forEach((job, index) => {
    let ours
    try {
      ours = outcomeOf(job)
    } catch (error) {
      ours = { error: ['internal', error.stack, null] }
    }
    if (agree(job, ours, right[index])) return
    if (++different > shown) return
    console.log(
      `template ${JSON.stringify(job.template)}\n  over   ${JSON.stringify(job.variables ?? {}).slice(0, 80)}`,
    )
    console.log(`  jinja2 ${JSON.stringify(right[index])}\n  ours   ${JSON.stringify(ours)}`)
  })
  console.log(`${jobs.length} templates, ${different} differ`)
  return different
}

/** One entry a line. */
const writeLines = (file, entries) =>
  writeFileSync(file, `[\n${entries.map((entry) => JSON.stringify(entry)).join(',\n')}\n]\n`)

const readEntries = (file) => JSON.parse(readFileSync(join(tests, file), 'utf8'))

async function renewTables(outcome) {
  const { conversations, templates } = await load('published')
  const table = readEntries('conformance.json').map(({ what, template, variables }) => ({ what, template, variables }))
  const tableRight = await askJinja(table)
  writeLines(
    join(tests, 'conformance.json'),
    table.map((entry, index) => ({ ...entry, ...tableRight[index] })),
  )
  const jobs = Object.entries(templates).flatMap(([name, template]) =>
    Object.entries(conversations).map(([over, variables]) => ({ name, over, template, variables })),
  )
  const right = await askJinja(jobs)
  writeLines(
    join(tests, 'published.json'),
    jobs.map(({ name, over }, index) => ({ name, over, ...right[index] })),
  )
  return report([...table, ...jobs], [...tableRight, ...right], outcome)
}

async function fuzz(outcome, count, seed) {
  const { randomJobs } = await load('template-arbitrary')
  let different = 0
  for (let done = 0; done < count; done += 5000) {
    const jobs = randomJobs(Math.min(5000, count - done), seed + done)
    different += report(jobs, await askJinja(jobs), outcome)
  }
  return different
}

async function renewCorpus(count) {
  const { randomJobs, variables } = await load('template-arbitrary')
  const jobs = randomJobs(count, 1)
  const right = await askJinja(jobs)
  const entries = jobs.map(({ template }, index) => {
    const { text, error } = right[index]
    return [template, text ?? error]
  })
  writeLines(join(tests, 'corpus.json'), entries)
  console.log(`${entries.length} templates over ${Object.keys(variables).length} variables`)
  return 0
}

async function compareFolder(outcome, folder) {
  const { conversations } = await load('published')
  const names = readdirSync(folder, { recursive: true })
    .filter((name) => /\.(jinja2?|json)$/.test(name))
    .sort()
  const jobs = names.flatMap((name) => {
    const text = readFileSync(join(folder, name), 'utf8')
    const found = name.endsWith('.json') ? JSON.parse(text).chat_template : text
    const all = Array.isArray(found) ? found.map(({ template }) => template) : found ? [found] : []
    return all.flatMap((template) => Object.values(conversations).map((variables) => ({ name, template, variables })))
  })
  return report(jobs, await askJinja(jobs), outcome)
}

const [mode, ...words] = process.argv.slice(2)
const outcome = await load('outcome')
const run = {
  table: () => renewTables(outcome),
  fuzz: () => fuzz(outcome, Number(words[0] ?? 10_000), Number(words[1] ?? Date.now() % 1e9)),
  corpus: () => renewCorpus(Number(words[0] ?? 3000)),
  folder: () => compareFolder(outcome, words[0]),
}[mode]
if (!run) {
  console.error('usage: node scripts/jinja-compare.mjs table | fuzz [N] [SEED] | corpus [N] | folder DIR')
  process.exit(2)
}
process.exitCode = (await run()) > 0 ? 1 : 0
