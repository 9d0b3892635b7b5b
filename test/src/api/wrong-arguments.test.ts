// Whatever a script hands over by mistake: a Diagnostic at the call, never an error from inside.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import * as api from '../../../src/index.ts'
import { storyFolder } from '../../models.ts'

const { build, compile, compileGraph, GraphBuilder, inspect, openDevice, ops, parseGraph, printGraph, tensor } = api

let model: api.Model
let compiled: api.CompiledGraph
beforeAll(async () => {
  model = await compile(storyFolder('story-3m'), { device: 'reference', context: 64 })
  compiled = await compileGraph(softmax(), { device: 'reference' })
})
afterAll(async () => {
  await model.dispose()
  compiled.dispose()
})

function softmax(): api.Graph {
  const graph = new GraphBuilder('own')
  graph.output('y', ops.softmax({ x: graph.input('x', tensor('f32', ['T', 4])) }))
  return graph.build()
}

/** A fresh builder with an input and a weight. */
function parts() {
  const graph = new GraphBuilder('g')
  return { graph, x: graph.input('x', tensor('f32', ['T', 64])), w: graph.weight('w', 'f32', [10, 64]) }
}

const values = [
  null,
  undefined,
  5,
  -1,
  Number.NaN,
  '',
  'text',
  [],
  [null],
  {},
  () => {},
  true,
  10n,
  Symbol('s'),
  new Date(),
]
const hi = [{ role: 'user', content: 'x' }]
const none = { chatTemplate: 'x', maxTokens: 0 }

// biome-ignore lint/suspicious/noExplicitAny: what no type allows
const calls: Record<string, (bad: any) => unknown> = {
  'ops.matmul(?)': (bad) => ops.matmul(bad),
  'ops.matmul({ x: ?, w })': (x) => ops.matmul({ x, w: parts().w }),
  'ops.matmul({ x, w: of another graph })': () => ops.matmul({ x: parts().x, w: parts().w }),
  'attributes of an op': (bad) => {
    const { x, w } = parts()
    ops.matmul({ x, w }, bad)
  },
  'an attribute': (eps) => {
    const { graph, x } = parts()
    ops.rmsNorm({ x, w: graph.weight('n', 'f32', [64]) }, { eps })
  },
  'a label': (bad) => ops.softmax({ x: parts().x }, {}, bad),
  'new GraphBuilder(?)': (bad) => new GraphBuilder(bad),
  'input(?, type)': (bad) => parts().graph.input(bad, tensor('f32', [1])),
  'input(name, ?)': (bad) => parts().graph.input('q', bad),
  'tensor(?, shape)': (bad) => parts().graph.input('q', tensor(bad, [1])),
  'tensor(dtype, ?)': (bad) => parts().graph.input('q', tensor('f32', bad)),
  'tensor(dtype, [?])': (bad) => parts().graph.input('q', tensor('f32', [bad])),
  'state(name, ?, ?)': (bad) => parts().graph.state('q', bad, bad),
  'weight(?)': (bad) => parts().graph.weight(bad, 'f32', [1]),
  'weight(name, ?, shape)': (bad) => parts().graph.weight('q', bad, [1]),
  'weight(known, dtype, ?)': (bad) => parts().graph.weight('w', 'f32', bad),
  'output(?, value)': (bad) => {
    const { graph, x } = parts()
    graph.output(bad, x)
  },
  'output(name, ?)': (bad) => parts().graph.output('y', bad),
  'within(?, ?)': (bad) => parts().graph.within(bad, bad),
  'parseGraph(?)': parseGraph,
  'printGraph(?)': printGraph,
  'compileGraph(?)': (bad) => compileGraph(bad),
  'compileGraph options': (bad) => compileGraph(softmax(), bad).then((graph) => graph.dispose()),
  ...Object.fromEntries(
    ['weights', 'limits', 'optLevel', 'passes', 'kernels', 'checkPasses', 'selfCheck', 'onPass', 'signal'].map(
      (name) => [`compileGraph option ${name}`, (bad) => compileGraph(softmax(), { device: 'reference', [name]: bad })],
    ),
  ),
  'compileGraph device': (device) => typeof device !== 'string' && device && compileGraph(softmax(), { device }),
  'compileGraph limits.T': (T) => compileGraph(softmax(), { device: 'reference', limits: { T } }),
  'run(?)': (bad) => compiled.run(bad),
  'run({ x: ? })': (x) => compiled.run({ x }),
  'run({ x }, ?)': (bad) => compiled.run({ x: new Float32Array(4) }, bad),
  'run({ x }, { T: ? })': (T) => compiled.run({ x: new Float32Array(4) }, { T }),
  'compile(?)': (bad) => compile(bad),
  'compile options': (bad) => compile('/nowhere', bad),
  'compile device': (device) => compile('/nowhere', { device }),
  'inspect(?)': (bad) => inspect(bad),
  'build(?)': (bad) => build(bad, { targets: 'host' }),
  'build options': (bad) => build('/nowhere', bad),
  'build targets': (targets) => build('/nowhere', { targets }),
  'openDevice(?)': (bad) => bad !== undefined && openDevice(bad),
  'openDevice options': (bad) => openDevice('reference', bad),
  'generate(?)': (bad) => typeof bad !== 'string' && model.generate(bad),
  'generate options': (bad) => model.generate('x', bad),
  'generate tokens': (tokens) => model.generate({ tokens }, { maxTokens: 0 }).text(),
  'generate tokens [?]': (bad) => model.generate({ tokens: [bad] }, { maxTokens: 0 }).text(),
  'chat(?)': (bad) => model.chat(bad, none).text(),
  'chat([?])': (bad) => model.chat([bad], none).text(),
  'chat role': (role) => model.chat([{ role, content: 'x' }], none).text(),
  'chat content': (content) => model.chat([{ role: 'user', content }], none).text(),
  'chat options': (bad) => model.chat(hi, bad).text(),
  ...Object.fromEntries(
    ['chatTemplate', 'tools', 'chatTemplateKwargs', 'addGenerationPrompt'].map((name) => [
      `chat option ${name}`,
      (bad) => model.chat(hi, { ...none, [name]: bad }).text(),
    ]),
  ),
  'a variable of the template': (a) => model.chat(hi, { ...none, chatTemplateKwargs: { a } }).text(),
  'logits(?)': (bad) => model.logits(bad),
  'logits([?])': (bad) => (bad === 5 ? undefined : model.logits([bad])),
  'logits options': (bad) => bad && model.logits([1, bad], bad),
  'graph.print(?)': (bad) => model.graph.print(bad),
  'graph.print kind': (kind) => model.graph.print({ kind }),
  'graph.print stage': (stage) => model.graph.print({ stage }),
  'graph.source(?)': (bad) => model.graph.source(bad),
  'graph.program(?)': (bad) => model.graph.program(bad),
  'graph.fused(kind, ?)': (bad) => model.graph.fused('decode', bad),
  'tokenizer.encode(?)': (bad) => model.tokenizer.encode(bad),
  'tokenizer.encode options': (bad) => model.tokenizer.encode('x', bad),
  'tokenizer.encodeSegments(?)': (bad) => model.tokenizer.encodeSegments(bad),
  'tokenizer.decode(?)': (bad) => model.tokenizer.decode(bad),
  'tokenizer.decode([?])': (bad) => model.tokenizer.decode([bad]),
  'tokenizer.idToPiece(?)': (bad) => model.tokenizer.idToPiece(bad),
  'tokenizer.isSpecial(?)': (bad) => model.tokenizer.isSpecial(bad),
  'tokenizer.streamDecoder(?)': (bad) => model.tokenizer.streamDecoder(bad).push(bad),
}

describe('wrong arguments are Diagnostics', () => {
  test.each(Object.keys(calls))('%s', async (name) => {
    let refused = 0
    for (const bad of values) {
      try {
        await calls[name]!(bad)
      } catch (error) {
        expect(error, `${name} with ${String(bad)}`).toBeInstanceOf(api.Diagnostic)
        expect((error as api.Diagnostic).stack, 'names the line of the caller').toContain('wrong-arguments.test.ts')
        refused++
      }
    }
    expect(refused, 'this call refuses something').toBeGreaterThan(0)
  })
})

test.each([
  ['a prompt', () => model.generate(['x'] as never)],
  ['a conversation as a prompt', () => model.generate(hi as never)],
  ['a token', () => model.logits([1, '5'] as never)],
  ['an operand', () => ops.matmul({ x: 5, w: parts().w } as never)],
  [
    'shapes that do not match, with label and graph',
    () => {
      const { graph, x } = parts()
      graph.within('blk.0', () => ops.matmul({ x, w: graph.weight('v', 'f32', [10, 63]) }, {}, 'ffn_up'))
    },
  ],
  ['an output', () => parts().graph.output('y', undefined as never)],
  ['a step', () => model.graph.print({ kind: 'prefil' as never })],
])('%s: what was expected, what came', async (_, call) => {
  await expect((async () => call())()).rejects.toThrowErrorMatchingSnapshot()
})

test('a URL is no path, and the function that makes one of it is named', async () => {
  await expect(compile(new URL('file:///model') as never)).rejects.toThrow(
    /path is a URL\n[\s\S]*help: fileURLToPath\(url\), of 'node:url', gives its path/,
  )
})

test('variables of a template that JSON would drop or change', async () => {
  const said = async (mood: unknown) => model.chat(hi, { ...none, chatTemplateKwargs: { mood } }).result()
  for (const mood of [() => 1, Symbol('s'), Number.NaN, 10n, new Map(), { deep: [Number.POSITIVE_INFINITY] }])
    await expect(said(mood)).rejects.toThrow(
      /error\[bad-argument]: chatTemplateKwargs must be plain data: (mood|0) is /,
    )
  for (const mood of [undefined, null, true, 1.5, 'x', [1], { a: {} }, new Date(0)]) await said(mood)
})

test('a context beyond what the model was made for is noted', async () => {
  const notes = async (context: number) => {
    const said: string[] = []
    const onNote = (note: string) => void said.push(note)
    await using _ = await compile(storyFolder('story-3m'), { device: 'reference', context, onNote })
    return said
  }
  expect(await notes(512)).toEqual([])
  expect(await notes(1024)).toEqual([
    'a context of 1024 tokens: the model was made for 512, and may write nonsense behind them',
  ])
})
