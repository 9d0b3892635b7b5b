// Decode steps as one launch tell the same stories: the tokens of transformers on the host, and on emulated waves.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { packageRoot } from '../../ir/package-root.ts'
import { compile } from '../../src/api/compile.ts'

const folder = join(packageRoot(), 'models', 'story-3m')
const { models } = JSON.parse(readFileSync(join(packageRoot(), 'models', 'reference.json'), 'utf8')) as {
  models: Record<string, { prompt: string; token_ids: number[] }[]>
}
const [story] = models['story-3m']!

test.each([
  ['host', 64],
  ['host-wave32', 2],
  ['host-wave64', 2],
])('on %s', async (device, maxTokens) => {
  await using model = await compile(folder, { device, step: 'persistent', context: 256 })
  expect(model.graph.program().persistent?.stages.length).toBeGreaterThan(30)
  const { tokenIds } = await model.generate(story!.prompt, { maxTokens, temperature: 0, ignoreEos: true }).result()
  expect(tokenIds).toEqual(story!.token_ids.slice(0, maxTokens))
})

test('the same text as launches one by one, sampled with a seed', async () => {
  const texts: string[] = []
  for (const step of ['kernels', 'persistent'] as const) {
    await using model = await compile(folder, { device: 'host', step, context: 256 })
    texts.push(
      await model.generate('The dog', { maxTokens: 40, temperature: 0.9, topK: 40, topP: 0.95, seed: 5 }).text(),
    )
  }
  expect(texts[1]).toBe(texts[0])
})

test('without fused attention a step depends on the length of the context: said plainly', async () => {
  const options = { device: 'host', step: 'persistent', optLevel: 0 } as const
  await expect(compile(folder, options)).rejects.toThrow(/cannot be one launch/)
})

test('a block that the device cannot have is refused', async () => {
  const compiled = (stepBlock: number) => compile(folder, { device: 'host-wave64', step: 'persistent', stepBlock })
  await expect(compiled(96)).rejects.toThrow(/blocks of 96 threads are not possible/)
  await expect(compiled(2048)).rejects.toThrow(/multiples of 64 up to 1024/)
})
