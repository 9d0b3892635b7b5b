// The text form: what is printed reads back as the same graph, and what cannot be read says where and why.

import { describe, expect, test } from 'vitest'
import { GraphBuilder } from '../../ir/builder.ts'
import { Diagnostic } from '../../ir/diagnostic.ts'
import { scale, topk } from '../../ir/ops/index.ts'
import { parseGraph } from '../../ir/parse.ts'
import { printGraph } from '../../ir/print.ts'
import { tensor } from '../../ir/type.ts'
import { verify } from '../../ir/verify.ts'
import { optimise } from '../../passes/pipeline.ts'
import fc from '../fast-check.ts'
import { randomGraph } from '../random-graph.ts'
import { tinyStep } from '../tiny-step.ts'

describe('print and parse', () => {
  test('parse(print(g)) is g, before and after the passes', () =>
    fc.assert(
      fc.property(randomGraph({ activations: 'bf16', kvDtype: 'f16', weights: ['q8_0', 'f16'] }), (graph) => {
        for (const one of [graph, optimise(graph, 3)]) {
          const back = parseGraph(printGraph(one))
          verify(back)
          expect(back).toEqual(one)
        }
      }),
      { numRuns: 60, seed: 1 },
    ))
  test('a step of a model', () => {
    const graph = tinyStep({ attentionBias: true, slidingWindow: 3 })
    expect(parseGraph(printGraph(graph))).toEqual(graph)
  })
  test('numbers come back as themselves', () =>
    fc.assert(
      fc.property(fc.double({ noDefaultInfinity: true, noNaN: true }), (by) => {
        const graph = new GraphBuilder()
        graph.output('y', scale({ x: graph.input('x', tensor('f32', ['T'])) }, { by }))
        const [node] = Object.values(parseGraph(printGraph(graph.build())).nodes)
        expect(node!.attrs.by).toBe(by)
      }),
    ))
  test('the form that people read', () => {
    const graph = new GraphBuilder('head')
    const x = graph.input('x', tensor('bf16', ['R', 64]))
    const { values, indices } = graph.within('sampler', () => topk({ x }, { k: 4 }, 'best'))
    graph.output('values', values)
    graph.output('indices', indices)
    expect(printGraph(graph.build())).toMatchInlineSnapshot(`
      "graph @head(%x: bf16[R, 64]) {
        %0: f32[R, 4], %1: i32[R, 4] = topk(%x) {k = 4}  // sampler.best
        return values = %0, indices = %1
      }"
    `)
  })
  test('labels are one line, names are kept, no output is a graph too', () => {
    const graph = new GraphBuilder('a.b-c')
    scale({ x: graph.input('in.0', tensor('f32', [])) }, { by: 2 }, 'two\n lines')
    const text = printGraph(graph.build())
    expect(text).toContain('// two lines')
    expect(parseGraph(text)).toEqual(graph.build())
  })
  test('comments stand anywhere between lines; only one behind a node is its label', () => {
    const graph = parseGraph(`// before
      graph @g(%x: f32[T]) { // behind
        // between
        @w: f32[4] // a weight
        %0: f32[T] = silu(%x)
        // not a label
        %1: f32[T] = silu(%0) // a label
        return y = %1 // the end
      }
      // after`)
    expect(Object.values(graph.nodes).map(({ label }) => label)).toEqual([undefined, 'a label'])
  })
  test('`return %x` names its output y', () =>
    expect(parseGraph('graph @g(%x: f32[T]) { return %x }').outputs).toEqual([{ name: 'y', value: '%x' }]))
  test('operands may be named, in any order', () =>
    expect(
      printGraph(parseGraph('graph @g(%a: f32[T], %b: f32[T]) { %0: f32[T] = add(b = %b, a = %a) return %0 }')),
    ).toContain('add(%a, %b)'))
})

describe('what cannot be read', () => {
  const head = 'graph @g(%x: f32[T, 4]) {\n'
  const cases: [text: string, line: number, column: number, message: string][] = [
    ['', 1, 1, 'a graph begins with `graph @name(`'],
    ['grph @g() { return }', 1, 1, 'a graph begins with `graph @name(`'],
    ['graph g() { return }', 1, 7, 'expected a name such as @main, got g'],
    ['graph @g(@x: f32[4]) { return }', 1, 10, 'expected an input, got @x'],
    ['graph @g(%x: f32[4], %x: f32[4]) { return }', 1, 22, 'input %x is declared twice in @g'],
    ['graph @g(%x f32[4]) { return }', 1, 13, 'expected `:`, got f32'],
    ['graph @g(%x: f33[4]) { return }', 1, 14, 'unknown dtype f33'],
    [
      'graph @g(%x: f32[4.5]) { return }',
      1,
      14,
      'a dim must be a whole number or a symbol that begins with a capital letter (T, B), is 4.5',
    ],
    [
      'graph @g(%x: f32[-4]) { return }',
      1,
      14,
      'a dim must be a whole number or a symbol that begins with a capital letter (T, B), is -4',
    ],
    ['graph @g(%x: f32[q]) { return }', 1, 18, 'expected a dim, got q'],
    ['graph @g(%x: f32[4,]) { return }', 1, 20, 'expected a dim, got ]'],
    ['graph @g(%x: q8_0[2, 31]) { return }', 1, 14, 'rows of q8_0 must be a multiple of 32, are 31'],
    ['graph @g(%x: q4_k[2, T]) { return }', 1, 14, 'rows of q4_k must be a multiple of 256, are T'],
    [`${head}  ; return %x }`, 2, 3, 'unexpected character ";"'],
    [`${head}  return %z }`, 2, 10, '%z is used before it is defined'],
    [`${head}  return a = %x, a = %x }`, 2, 18, 'output a is declared twice in @g'],
    [`${head}  return %x`, 2, 12, 'expected `}`, got the end of the text'],
    [`${head}  return %x } graph`, 2, 15, 'expected the end of the graph, got graph'],
    [`${head}  @w: f32[4] @w: f32[4] return %x }`, 2, 14, '@w is declared twice'],
    [`${head}  @w: state f32[4] return %x }`, 2, 3, 'weight @w cannot be a state'],
    [`${head}  %0: f32[T, 4] = sillu(%x) return %0 }`, 2, 19, 'unknown op sillu'],
    [`${head}  %0: f32[T, 4] silu(%x) return %0 }`, 2, 17, 'expected `=`, got silu'],
    [`${head}  %x: f32[T, 4] = silu(%x) return %x }`, 2, 3, '%x is defined twice'],
    [`${head}  %0: f32[T, 5] = silu(%x) return %0 }`, 2, 3, '%0 is stated as f32[T, 5], silu gives f32[T, 4]'],
    [`${head}  %0: f32[T, 4], %1: f32[T, 4] = silu(%x) return %0 }`, 2, 3, 'silu has 1 results (y), 2 are named'],
    [`${head}  %0: f32[T, 2], %0: i32[T, 2] = topk(%x) {k = 2} return %0 }`, 2, 34, 'value %0 is defined twice in @g'],
    [`${head}  %0: f32[T, 2], @1: i32[T, 2] = topk(%x) {k = 2} return %0 }`, 2, 18, 'expected a result, got @1'],
    [`${head}  %0: f32[T, 4] = silu() return %0 }`, 2, 19, 'silu lacks its operand x'],
    [`${head}  %0: f32[T, 4] = silu(%x, %x) return %0 }`, 2, 28, 'silu has too many operands'],
    [`${head}  %0: f32[T, 4] = silu(%x, x = %x) return %0 }`, 2, 28, 'operand x of silu is given twice'],
    [`${head}  %0: f32[T, 4] = silu(z = %x) return %0 }`, 2, 24, 'silu has no operand z'],
    [`${head}  %0: f32[T, 4] = silu(__proto__ = %x) return %0 }`, 2, 24, 'silu has no operand __proto__'],
    [`${head}  %0: f32[T, 4] = scale(%x) {by = 1, by = 2} return %0 }`, 2, 38, 'attribute by is given twice'],
    [`${head}  %0: f32[T, 4] = scale(%x) {by = [[1]]} return %0 }`, 2, 36, 'expected a value, got ['],
    [`${head}  %0: f32[T, 4] = scale(%x) {by = one} return %0 }`, 2, 35, 'expected a value, got one'],
    [`${head}  %0: f32[T, 4] = scale(%x) {by = "\\q"} return %0 }`, 2, 35, '"\\q" is not a string'],
    [`${head}  %0: f32[T, 4] = scale(%x) {by = "1"} return %0 }`, 2, 19, 'scale does not take these attributes'],
    [`${head}  %0: f32[T, 4] = scale(%x) {by = 1e999} return %0 }`, 2, 19, 'scale does not take these attributes'],
    [`${head}  @w: f32[8, 5] %0: f32[T, 8] = matmul(%x, @w) return %0 }`, 2, 33, 'operands disagree on K'],
  ]
  test.each(cases)('%j: line %i, column %i: %s', (text, line, column, message) => {
    const thrown = (() => {
      try {
        parseGraph(text)
      } catch (error) {
        return error
      }
    })() as Diagnostic
    expect(thrown).toBeInstanceOf(Diagnostic)
    expect(thrown.facts[0]).toEqual(['at', `line ${line}, column ${column}`])
    expect(thrown.summary).toContain(message)
  })
  test('the error as people read it', () =>
    expect(() => parseGraph(`${head}  %0: f32[T, 4] = sillu(%x)\n  return %0\n}`)).toThrowErrorMatchingInlineSnapshot(`
      [Diagnostic: error[graph-syntax]: unknown op sillu
        at     line 2, column 19
        line   %0: f32[T, 4] = sillu(%x)
        help: docs/ops.md lists every op]
    `))
  test('any text gives a graph or a Diagnostic', () =>
    fc.assert(
      fc.property(
        fc.array(
          fc.constantFrom(
            ...'graph @g ( ) { } [ ] : , = %x %0 f32 state T 4 -1 1e9 "s" silu add topk return // y x k'.split(' '),
            '\n',
          ),
          { maxLength: 40 },
        ),
        (words) => {
          try {
            parseGraph(`graph @g(%x: f32[T, 4]) { ${words.join(' ')}`)
          } catch (error) {
            expect(error).toBeInstanceOf(Diagnostic)
          }
        },
      ),
      { numRuns: 500 },
    ))
})
