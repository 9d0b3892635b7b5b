// A device that the caller opened: it stays the caller's, and each model that it serves hears of its own kernels.
import { expect, test } from 'vitest'
import { compile, openDevice } from '../../../src/index.ts'
import { storyFolder } from '../../models.ts'

test('events and self-checks of a model on a device that is open', async () => {
  using device = await openDevice('host')
  const heard: number[] = []
  for (const selfCheck of [false, true]) {
    const kernels: string[] = []
    await using model = await compile(storyFolder('story-3m'), {
      ...{ device, context: 128, selfCheck },
      onCompiled: (all) => kernels.push(...all.map(({ key }) => key)),
    })
    expect(model.device).toBe(device)
    heard.push(kernels.length)
    expect(await model.generate('Once upon a time', { maxTokens: 3 }).text()).toMatch(/\w/)
  }
  expect(heard[0]).toBeGreaterThan(10)
  expect(heard[1]).toBe(heard[0])
})

test('what only openDevice can do is refused', async () => {
  using device = await openDevice('reference')
  await expect(
    compile(storyFolder('story-3m'), { device, saveTemps: 'kernels' }),
  ).rejects.toThrowErrorMatchingInlineSnapshot(`
    [Diagnostic: error[bad-option]: option saveTemps is not valid: the device is open already
      help: openDevice takes it]
  `)
})
