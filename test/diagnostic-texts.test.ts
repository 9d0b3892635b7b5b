// The whole texts of diagnostics that need no model and no device; others are where what they are about is tested.
import { expect, test } from 'vitest'
import { defineOwnKernel } from '../codegen/own-kernel.ts'
import { findTarget, findTargets } from '../codegen/targets.ts'
import { GraphBuilder } from '../ir/builder.ts'
import { defineOwnOp } from '../ir/own-op.ts'
import { tensor } from '../ir/type.ts'
import { ownPass } from '../passes/own-pass.ts'
import { decodeBundle, importBundle } from '../runtime/cache/bundle.ts'
import { readReplay } from '../runtime/inspect/replay.ts'
import { findDevice } from '../src/api/device.ts'
import { recordBundle } from '../src/api/record.ts'
import { checkPassName } from '../src/cli/pass-changes.ts'
import { ops } from '../src/index.ts'
import { readSmallFile } from '../src/loader/source-file.ts'
import { lowerStep } from '../src/models/index.ts'
import { readMessages } from '../src/tokenizer/chat-template.ts'

const start = (name = 'g') => {
  const graph = new GraphBuilder(name)
  return { graph, x: graph.input('x', tensor('f32', ['T', 4])) }
}
const absent = 'no-such-folder/file'

const faults: Record<string, () => unknown> = {
  'bad-name': () => new GraphBuilder('two words'),
  'bad-type': () => start().graph.input('y', tensor('f32', ['T', -1])),
  'duplicate-input': () => start().graph.input('x', tensor('f32', [])),
  'duplicate-output': () => {
    const { graph, x } = start()
    graph.output('y', x)
    graph.output('y', x)
  },
  'foreign-value': () => start().graph.output('y', start('other').x),
  'op-attribute': () => ops.topk({ x: start().x }, { k: -1 }),
  'bad-op': () => defineOwnOp('Clamp', { doc: 'y = x', operands: { x: 'f32[T]' } } as never),
  'duplicate-op': () =>
    defineOwnOp('silu', { doc: 'y = x', operands: { x: 'f32[T]' }, infer: () => [], reference: () => [] } as never),
  'bad-pass': () => ownPass({ name: 'two words', run: (graph: never) => graph } as never),
  'bad-kernel': () => defineOwnKernel({ template: '/my.hip' } as never),
  'no-target': () => findTargets(' , '),
  'bad-target-feature': () => findTarget('gfx942:warp+'),
  'unknown-device': () => findDevice('the fast one'),
  'bundle-read': () => importBundle({} as never, '.'),
  'bad-bundle': () => decodeBundle(Buffer.from('text'), 'kernels.bin'),
  'bad-replay': () => readReplay(absent),
  'no-pass': () => checkPassName('fuse-all'),
  'folder-not-empty': () => recordBundle('model', { out: 'docs' } as never),
  'bad-messages': () => readMessages([{ role: 5 }] as never),
  'file-too-large': () => readSmallFile('LICENSE', 8),
  'unknown-architecture': () =>
    lowerStep({ architecture: 'abacus' } as never, { path: 'model.gguf' } as never, {} as never),
  'unknown-activation': () =>
    lowerStep({ architecture: 'llama', hiddenAct: 'relu' } as never, { path: 'model.gguf' } as never, {} as never),
}

test.each(Object.entries(faults))('%s', async (code, act) => {
  const error = await Promise.resolve()
    .then(act)
    .catch((thrown: unknown) => thrown)
  expect(error).toMatchObject({ code })
  const text = String(error)
    .replace(/^( {2}at +)\S+(?=diagnostic-texts)/m, '$1')
    .replace(/:\d+:\d+$/m, '')
  expect(text).toMatchSnapshot()
})
