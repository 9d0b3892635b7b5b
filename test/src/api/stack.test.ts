// Where errors point: at the caller's line, however late they come; and that Node prints them once.
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { Diagnostic } from '../../../ir/diagnostic.ts'
import { packageRoot } from '../../../ir/package-root.ts'
import { placeError } from '../../../src/call-site.ts'
import { compile, compileGraph, GraphBuilder, ops, tensor } from '../../../src/index.ts'
import { storyFolder } from '../../models.ts'

const failure = (run: () => unknown): Promise<Diagnostic> =>
  (async () => run())().then(
    () => expect.unreachable('nothing fails'),
    (error) => error,
  )
/** The function that the first line of the stack names. */
const first = ({ stack, message }: Diagnostic): string | undefined => {
  expect(stack!.startsWith(`${message}\n    at `)).toBe(true)
  expect(stack!.split(message)).toHaveLength(2)
  return /\n {4}at (?:async )?(\w+) \(.*stack\.test\.ts:\d+:\d+\)/.exec(stack!.slice(message.length))?.[1]
}

test('errors of every kind of call point at it', async () => {
  const model = await compile(storyFolder('story-3m'), { device: 'reference', context: 64 })
  const callers: Record<string, () => unknown> = {
    callsCompile: () => compile('/nowhere'),
    givesBadOption: () => model.generate('x', { maxTokens: -1 }),
    asksForText: () => model.generate({ tokens: [99999] }).text(),
    asksForResultLater: async () => {
      const generation = model.generate({ tokens: [99999] })
      await new Promise((resolve) => setTimeout(resolve, 1))
      return generation.result()
    },
    chatsWithoutTemplate: () => model.chat([{ role: 'user', content: 'x' }]).text(),
    scores: () => model.logits([99999]),
    decodes: () => model.tokenizer.decode([99999]),
    buildsGraph: () => ops.silu({ x: 5 } as never),
    compilesGraph: () => compileGraph(null as never),
  }
  for (const [name, caller] of Object.entries(callers)) expect(first(await failure(caller))).toBe(name)
  expect((await failure(callers['decodes']!)).stack).not.toContain('<anonymous>') // forEach of ours
  await model.dispose()
  const late = () => model.logits([1])
  expect(first(await failure(late))).toBe('late')
})

test('a run that waits for others points at its own call', async () => {
  const graph = new GraphBuilder('own')
  graph.output('y', ops.softmax({ x: graph.input('x', tensor('f32', ['T', 4])) }))
  const compiled = await compileGraph(graph.build(), { device: 'reference' })
  const good = () => compiled.run({ x: new Float32Array(4) })
  const bad = () => compiled.run({ x: new Float32Array(5) })
  const [, error] = await Promise.all([good(), failure(bad)])
  expect(first(error)).toBe('bad')
  compiled.dispose()
})

test('an error that several callers are told has the lines of each', () => {
  const shared = new Diagnostic({ code: 'disposed', message: 'gone', help: 'stay' }, { cause: new Error('why') })
  const [a, b] = [placeError(shared, '\n    at a'), placeError(shared, '\n    at b')] as Diagnostic[]
  expect([a!.stack, b!.stack]).toEqual([`${shared.message}\n    at a`, `${shared.message}\n    at b`])
  expect(b).toMatchObject({ code: 'disposed', summary: 'gone', help: 'stay', cause: shared.cause })
  expect(placeError(a, '\n    at a')).toBe(a)
})

test('what nobody catches is printed once, with the line', async () => {
  const program = `import { compile } from ${JSON.stringify(join(packageRoot(), 'dist/index.js'))}
async function main() {
  await compile('models', { contxt: 5 })
}
await main()`
  const child = spawn(process.execPath, ['--input-type=module', '-e', program])
  let stderr = ''
  child.stderr.on('data', (text) => {
    stderr += text
  })
  expect(await new Promise((resolve) => child.on('close', resolve))).toBe(1)
  expect(stderr.match(/there is no option contxt/g)).toHaveLength(1)
  expect(stderr.match(/did you mean context/g)).toHaveLength(1)
  expect(stderr).toMatch(/at main \(file:.*:3:9\)/)
})
