// @ts-check
// Prints a model's decode step as its front end wrote it, after fusion, and as the kernels that are launched.
//
//   node examples/print-graph.mjs [device] [model]
import { fileURLToPath } from 'node:url'
import { compile } from 'rocmforge'

const [device = 'auto', path = fileURLToPath(new URL('../models/story-3m', import.meta.url))] = process.argv.slice(2)
const model = await compile(path, { device })
try {
  console.log(model.graph.print({ stage: 'source' }))
  console.log(model.graph.print())
  if (model.graph.program()) console.log(model.graph.print({ stage: 'program' })) // the reference executor has none
} finally {
  await model.dispose()
}
