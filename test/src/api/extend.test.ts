// Ops, passes and kernels of one's own, from one's own folder, as a user declares them: what they give, and every mistake that is
// refused where it is made.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { packageRoot } from '../../../ir/package-root.ts'
import {
  blockSpace,
  build,
  ceilDiv,
  compile,
  compileGraph,
  Diagnostic,
  defineFusedOp,
  defineKernel,
  defineOp,
  documentOp,
  editPass,
  elementType,
  expectFloat,
  fusedOps,
  GraphBuilder,
  mapElements,
  openDevice,
  ops,
  parseGraph,
  printGraph,
  rewritePass,
  sizeOf,
  tensor,
} from '../../../src/index.ts'

const folder = mkdtempSync(join(tmpdir(), 'own ops ')) // with spaces, as people's folders have
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** y = op(x) in elements of P_ELEM, with headers of the prelude and of this folder. */
const template = (body = 'v * FACTOR + extra(v)', name = 'bend') => `// ${name}: y = f(x), element by element
#ifndef P_ELEM
#define P_ELEM f32_t
#endif
#ifndef P_FACTOR
#define P_FACTOR 1.f
#endif
#include "prelude/block.h"
#include "parts/extra.h"
typedef P_ELEM y_t;
constexpr float FACTOR = P_FACTOR;
KERNEL void ${name}(y_t* y, const y_t* __restrict__ x, i32 N) {
  for (int i = block_id() * BLOCK + thread_id(); i < N; i += grid_size() * BLOCK) {
    const float v = float(x[i]);
    y[i] = y_t(${body});
  }
}
`
let files = 0
function file(text = template(), name = `bend-${files++}.hip`): string {
  mkdirSync(join(folder, 'parts'), { recursive: true })
  writeFileSync(
    join(folder, 'parts/extra.h'),
    '#pragma once\nDEVICE float extra(float v) { return v > 0.f ? 1.f : 0.f; }\n',
  )
  const path = join(folder, name)
  writeFileSync(path, text)
  return path
}

const bend = defineOp('bend', {
  doc: 'y = x · factor, plus 1 where x is above 0',
  operands: { x: 'float[…]' },
  attrs: z.strictObject({ factor: z.number().default(2).describe('of x') }),
  traits: ['elementwise'],
  infer({ x }) {
    expectFloat('x', x)
    return x
  },
  reference: ({ x }, { factor }, context) => mapElements(x, context, (v) => v * factor + (v > 0 ? 1 : 0)),
})

type Changes = Partial<
  Parameters<
    typeof defineKernel<{ x: string }, Record<never, never>, { factor?: number | undefined }, never, string>
  >[0]
>
let names = 0
const bendKernel = (changes: Changes = {}) =>
  defineKernel({
    name: `bend_${names++}`,
    implements: bend,
    template: file(),
    args: ['y', 'x', 'N'],
    scalars: ({ types: { x } }) => ({ N: sizeOf(x.shape) }),
    fixed: ({ types: { x }, attrs }) => ({ P_ELEM: elementType(x.dtype), P_FACTOR: attrs.factor! }),
    space: (target) => ({ P_BLOCK: blockSpace(target, [128]) }),
    launch: ({ P_BLOCK }, { types: { x } }) => ({ grid: ceilDiv(sizeOf(x.shape), P_BLOCK!), block: P_BLOCK! }),
    tolerance: () => 4,
    ...changes,
  })

/** y = bend(bend(x)) over [B, 5]. */
function bent(dtype: 'f32' | 'f16' = 'f32') {
  const g = new GraphBuilder('bent')
  const x = g.input('x', tensor(dtype, ['B', 5]))
  g.output('y', bend({ x: bend({ x }, { factor: 3 }, 'first') }, {}, 'second'))
  return g.build()
}
const x = Float32Array.from({ length: 15 }, (_, i) => i - 7)
const expected = Array.from(x, (v) => v * 3 + (v > 0 ? 1 : 0)).map((v) => v * 2 + (v > 0 ? 1 : 0))

describe('an op of one’s own', () => {
  test('is built, printed, read, verified, documented and run as ours are', async () => {
    const text = printGraph(bent())
    expect(text).toContain('%1: f32[B, 5] = bend(%0) {factor = 2}')
    expect(printGraph(parseGraph(text))).toBe(text)
    await using graph = await compileGraph(parseGraph(text), { device: 'reference' })
    expect([...(await graph.run({ x })).y!.data]).toEqual(expected)
    expect(documentOp(bend)).toMatchInlineSnapshot(`
      "### bend

      y = x · factor, plus 1 where x is above 0.

      *elementwise*

      | operand | type and meaning | |
      | --- | --- | --- |
      | \`x\` | float[…] |  |

      | attribute | kind | | meaning |
      | --- | --- | --- | --- |
      | \`factor\` | number | default 2 | of x |"
    `)
    expect(() => bend({ x: new GraphBuilder().input('i', tensor('i32', [2])) })).toThrow('x must be f32, f16 or bf16')
  })

  test('has no kernel until one is given, and says so', async () => {
    await expect(compileGraph(bent(), { device: 'host' })).rejects.toMatchObject({ code: 'no-kernel' })
  })

  const plain = {
    doc: 'y = x',
    operands: { x: 'float[…]' },
    infer: ({ x }: { x: ReturnType<typeof tensor> }) => x,
    reference: ({ x }: never) => x,
  }
  const define = (name: string, changes: object) => () => defineOp(name, { ...plain, ...changes } as never)

  test('declared again in the same words is the same; in others, or with a name of ours, is refused', () => {
    const once = defineOp('same_twice', plain as never)
    expect(defineOp('same_twice', plain as never)).toBe(once)
    expect(define('same_twice', { doc: 'y = −x' })).toThrow('op same_twice is declared twice, in two ways')
    const error = (() => {
      try {
        return define('silu', {})()
      } catch (thrown) {
        return thrown
      }
    })()
    expect(error).toMatchObject({
      code: 'duplicate-op',
      summary: "op silu is one of the compiler's own",
      facts: [['at', expect.stringMatching(/extend\.test\.ts:\d+:\d+$/)]],
    })
  })

  test.each([
    ['Clamp', {}, 'an op cannot be called "Clamp"'],
    ['input', {}, 'an op cannot be called "input"'],
    ['misspelt', { referense: () => {} }, 'has a field `referense` that there is not'],
    ['lacking', { infer: undefined }, 'lacks `infer`'],
    ['empty', { operands: {} }, 'has no operands'],
    ['odd_operand', { operands: { 'a b': 'f32' } }, 'called "a b"'],
    ['odd_trait', { traits: ['elementwize'] }, 'cannot have the trait elementwize'],
    ['viewing', { traits: ['view'] }, 'cannot have the trait view'],
    ['odd_alias', { aliases: { y: 'z' } }, 'has no operand z to alias'],
    ['odd_attrs', { attrs: { low: 1 } }, 'are no zod schema'],
  ])('%s is refused', (name, changes, message) => {
    expect(define(name, changes)).toThrow(message)
    expect(define(name, changes)).toThrow(expect.objectContaining({ code: 'bad-op' }))
  })

  test('whose functions give nonsense is refused where it is used, and what they throw has their stack', async () => {
    const use = (name: string, changes: object) => {
      const g = new GraphBuilder('use')
      g.output('y', (define(name, changes)() as typeof bend)({ x: g.input('x', tensor('f32', [4])) }))
      return compileGraph(g.build(), { device: 'reference' }).then((graph) => graph.run({ x: [1, 2, 3, 4] }))
    }
    await expect(async () => use('no_type', { infer: () => undefined })).rejects.toThrow('gives no type for y')
    await expect(async () => use('odd_type', { infer: () => ({ dtype: 'f33', shape: [4] }) })).rejects.toThrow(
      'unknown dtype f33',
    )
    const thrown = await use('short', { reference: ({ x }: { x: object }) => ({ ...x, shape: [3] }) }).catch(
      (error) => error,
    )
    expect(String(thrown)).toContain('the reference of op short gives y another type than infer')
    const failing = await use('failing', {
      reference() {
        throw new TypeError('no such thing')
      },
    }).catch((error) => error)
    expect(failing).toMatchObject({ code: 'bad-op', cause: expect.any(TypeError) })
    expect(failing.cause.stack).toContain('extend.test.ts')
  })
})

describe('a kernel of one’s own', () => {
  test.each(['f32', 'f16'] as const)(
    'runs from its folder, with headers beside it and of the prelude: %s',
    async (dtype) => {
      for (const device of ['host', 'host-wave32']) {
        await using graph = await compileGraph(bent(dtype), {
          device,
          kernels: [bendKernel()],
          selfCheck: true,
          limits: { B: 3 },
        })
        expect([...(await graph.run({ x })).y!.data]).toEqual(expected)
        expect(graph.program!.calls.map(({ kernel }) => kernel.replace(/\d+/, ''))).toEqual(['bend_', 'bend_'])
      }
    },
  )

  test('is preferred to ours; a file URL is as good as a path', async () => {
    const own = defineKernel({
      name: 'own_silu',
      implements: ops.silu,
      template: pathToFileURL(file(template('v + 100.f * FACTOR', 'silu'))),
      args: ['y', 'x', 'N'],
      scalars: ({ types }) => ({ N: sizeOf(types.x.shape) }),
      fixed: () => ({ P_ELEM: 'f32_t', P_FACTOR: 1 }),
      space: (target) => ({ P_BLOCK: blockSpace(target, [64]) }),
      launch: ({ P_BLOCK }, { types }) => ({ grid: ceilDiv(sizeOf(types.x.shape), P_BLOCK), block: P_BLOCK }),
      tolerance: () => 4,
    })
    const g = new GraphBuilder('s')
    g.output('y', ops.silu({ x: g.input('x', tensor('f32', [2])) }))
    await using graph = await compileGraph(g.build(), { device: 'host', kernels: [own] })
    expect([...(await graph.run({ x: [1, 2] })).y!.data]).toEqual([101, 102])
    // and what it computes is not what its op says
    await expect(compileGraph(g.build(), { device: 'host', kernels: [own], selfCheck: true })).rejects.toMatchObject({
      code: 'self-check-failed',
      facts: [['own_silu', expect.stringContaining('the reference has')]],
    })
    using device = await openDevice('host') // one that was opened without a check
    await expect(compileGraph(g.build(), { device, kernels: [own], selfCheck: true })).rejects.toThrow('own_silu')
  })

  test('may leave P_BLOCK to its launch, and write out what KERNEL stands for', async () => {
    const written = template().replace('KERNEL void', 'extern "C" __global__ __launch_bounds__(BLOCK) void')
    const kernel = bendKernel({
      template: file(written),
      space: undefined as never,
      launch: (_, { types: { x } }, { wave }) => ({ grid: ceilDiv(sizeOf(x.shape), wave), block: wave }),
    })
    for (const device of ['host', 'host-wave32']) {
      await using graph = await compileGraph(bent(), { device, kernels: [kernel], limits: { B: 3 } })
      expect([...(await graph.run({ x })).y!.data]).toEqual(expected)
    }
  })

  test('whose file is edited is compiled anew, and so where a header of its folder is', async () => {
    const path = file()
    const kernels = [bendKernel({ template: path })]
    const y = async () => {
      await using graph = await compileGraph(bent(), { device: 'host', kernels, limits: { B: 3 } })
      return (await graph.run({ x: [1, 1, 1, 1, 1] })).y!.data[0]
    }
    expect(await y()).toBe(9)
    writeFileSync(path, template('v * FACTOR'))
    expect(await y()).toBe(6)
    writeFileSync(path, template())
    writeFileSync(join(folder, 'parts/extra.h'), '#pragma once\nDEVICE float extra(float v) { return 10.f; }\n')
    expect(await y()).toBe(36)
  })

  test.each<[string, Changes, string]>([
    [
      'an argument that the template does not have',
      { args: ['y', 'x', 'M'] },
      'the arguments of bend are not those of its template',
    ],
    ['arguments in another order', { args: ['x', 'y', 'N'] }, 'spec     x, y, N'],
    ['fewer arguments', { args: ['y', 'x'] }, 'template y, x, N'],
    ['an entry that is not there', { entry: 'bent' }, 'did you mean `bend`?'],
    ['no launch', { launch: undefined as never }, 'needs args and launch, or stages'],
    ['a field of another name', { tolerence: () => 4 } as Changes, 'did you mean `tolerance`?'],
    ['a strided operand that is none', { strided: ['z' as 'x'] }, 'no operand z that could be strided'],
    ['a name of ours', { name: 'silu' }, 'a kernel of the compiler is called silu'],
    ['a relative path', { template: './bend.hip' }, 'it is no absolute path'],
    ['a file that is not there', { template: join(tmpdir(), 'no such.hip') }, 'there is no template'],
    ['something else than an op', { implements: {} as never }, 'must be an op'],
  ])('%s is refused where it is declared', (_, changes, message) => {
    expect(() => bendKernel(changes)).toThrow(message)
  })

  test.each<[string, Changes, string]>([
    [
      'P_* that the template does not have',
      { fixed: () => ({ P_ELEM: 'f32_t', P_FAKTOR: 2 }) },
      'did you mean `P_FACTOR`?',
    ],
    ['P_* that nothing sets', { fixed: () => ({ P_ELEM: 'f32_t' }) }, 'nothing sets P_FACTOR'],
    ['P_* that are no number', { fixed: () => ({ P_ELEM: 'f32_t', P_FACTOR: Number.NaN }) }, 'P_FACTOR of kernel'],
    ['a scalar of another name', { scalars: () => ({ M: 4 }) }, 'argument N of bend is neither an operand nor'],
    ['a scalar that is no number', { scalars: () => ({ N: Number.NaN }) }, 'scalar N of'],
    ['a symbol from elsewhere', { scalars: () => ({ N: 'Q' }) }, 'depends on Q'],
    ['another block than it is compiled for', { launch: () => ({ grid: 1, block: 2 }) }, 'cannot have 2 threads'],
    ['more LDS than there is', { launch: () => ({ grid: 1, block: 1, ldsBytes: 1 << 30 }) }, 'bytes of LDS'],
    ['a grid that is none', { launch: () => ({ grid: -1, block: 1 }) }, 'the grid of bend is -1'],
    ['no launch', { launch: () => undefined as never }, 'launch of kernel'],
    ['parameters without values', { space: () => ({ P_BLOCK: [] }) }, 'gives P_BLOCK no values'],
    ['an answer that is neither true nor a reason', { serves: () => undefined as never }, 'answers undefined'],
    [
      'a function that throws',
      {
        fixed() {
          throw new Error('thrown inside')
        },
      },
      'failed: thrown inside',
    ],
  ])('%s is refused when it is chosen', async (_, changes, message) => {
    const compiling = compileGraph(bent(), { device: 'host', kernels: [bendKernel(changes)] })
    await expect(compiling).rejects.toThrow(message)
    await expect(compiling).rejects.toMatchObject({ code: 'bad-kernel' })
  })

  test('names and kinds in the template are checked too', () => {
    const declare = (text: string) => () => bendKernel({ template: file(text, 'bend.hip') })
    expect(declare(template().replace('i32 N', 'float N'))).toThrow(
      'N of bend is `float`: arguments are pointers, or i32',
    )
    expect(declare(template().replace('y_t* y,', 'y_t y,'))).toThrow('y of bend is memory, and no pointer')
    expect(declare(template().replace('KERNEL void', 'void'))).toThrow('has no kernel `bend`')
    expect(declare(template().replace('parts/extra.h', 'parts/none.h'))).toThrowErrorMatchingInlineSnapshot(`
      [Diagnostic: error[no-template]: there is no hip-templates/parts/none.h
        at     bend.hip:9
        help: paths are relative to hip-templates/, and to the folder of a template of your own]
    `)
  })

  test('whose op takes indices that no random number is, is not called wrong', async () => {
    const pick = defineOp('own_pick', {
      doc: 'y[i] = x[rows[i]], rows below 3',
      operands: { x: 'f32[N]', rows: 'i32[M]' },
      infer: ({ x, rows }) => tensor(x.dtype, rows.shape),
      reference: ({ x, rows }, _, context) => {
        const data = context.floats(rows.data.length)
        for (const [i, row] of rows.data.entries()) {
          if (row > 2) throw new Diagnostic({ code: 'op-index', message: `row ${row} is not below 3` })
          data[i] = x.data[row]!
        }
        return { dtype: x.dtype, shape: rows.shape, data }
      },
    })
    const text = template().replaceAll('bend', 'own_pick').replace('y_t* __restrict__ x,', 'y_t* x, const i32* rows,')
    const kernel = defineKernel({
      implements: pick,
      template: file(text.replace('float(x[i])', 'float(x[rows[i]])').replace('v * FACTOR + extra(v)', 'v * FACTOR')),
      args: ['y', 'x', 'rows', 'N'],
      scalars: ({ types: { y } }) => ({ N: sizeOf(y.shape) }),
      fixed: () => ({ P_ELEM: 'f32_t', P_FACTOR: 1 }),
      launch: (_, { types: { y } }, { wave }) => ({ grid: sizeOf(y.shape), block: wave }),
      tolerance: () => 0,
    })
    const g = new GraphBuilder('picked')
    const operands = { x: g.input('x', tensor('f32', [3])), rows: g.input('rows', tensor('i32', ['M'])) }
    g.output('y', pick(operands))
    await using graph = await compileGraph(g.build(), { device: 'host', kernels: [kernel], selfCheck: true })
    expect([...(await graph.run({ x: [5, 6, 7], rows: [2, 0] })).y!.data]).toEqual([7, 5])
  })

  test('an error of the compiler names the line of the user’s own file', async () => {
    const path = file(template('v * nothing'))
    const failed = await compileGraph(bent(), { device: 'host', kernels: [bendKernel({ template: path })] }).catch(
      (e) => e,
    )
    expect(failed.code).toBe('kernel-compile')
    expect(failed.message).toContain(path)
    expect(failed.facts[0][1]).toMatch(/^bend-\d+\.hip:15:/)
  })

  test('two of one name, and what is no kernel, are refused', async () => {
    const one = bendKernel({ name: 'bend_twice' })
    const two = bendKernel({ name: 'bend_twice' })
    await expect(compileGraph(bent(), { kernels: [one, two] })).rejects.toThrow('two kernels are called bend_twice')
    await expect(compileGraph(bent(), { kernels: [{ ...one }] })).rejects.toThrow('something else than kernels')
  })
})

const squaredSum = defineFusedOp('own_square_add', {
  doc: 'a · a + b',
  operands: { a: 'float[…]', b: 'float[…]' },
  expand: ({ a, b }) => ops.add({ a: ops.mul({ a, b: a }), b }),
})

describe('a pass of one’s own', () => {
  const graph = () =>
    parseGraph(`graph @g(%a: f32[B, 3], %b: f32[B, 3]) {
      %s: f32[B, 3] = mul(%a, %a)
      %y: f32[B, 3] = add(%s, %b)
      return y = %y
    }`)
  const pass = (rule: (a: never, b: never) => unknown, name = 'fuse-square-add') =>
    rewritePass({
      name,
      doc: 'Saves a kernel.',
      numerics: 'rounding',
      root: 'add',
      rule({ in: { a, b } }) {
        const isSquare = a!.op === 'mul' && a!.in.a!.id === a!.in.b!.id && a!.uses === 1
        return isSquare ? (rule(a!.in.a as never, b as never) as never) : null
      },
    })
  const right = pass((a, b) => squaredSum({ a, b }))

  test('runs before ours, at every level; its op runs as its expansion where it has no kernel', async () => {
    for (const optLevel of [0, 3] as const) {
      const seen: string[] = []
      await using compiled = await compileGraph(graph(), {
        device: 'host',
        optLevel,
        passes: [right],
        checkPasses: true,
        onPass: ({ pass: { name } }) => seen.push(name),
      })
      expect(compiled.graph.order.map((id) => compiled.graph.nodes[id]!.op)).toEqual(['own_square_add'])
      expect(seen.slice(0, 3)).toEqual(
        optLevel ? ['dead-code', 'fold-constants', 'fuse-square-add'] : ['fuse-square-add'],
      )
      expect([...(await compiled.run({ a: [1, 2, 3], b: [1, 1, 1] })).y!.data]).toEqual([2, 5, 10])
    }
  })

  test('a function chooses among ours', async () => {
    await using compiled = await compileGraph(graph(), { device: 'reference', passes: (ours) => [...ours, right] })
    expect(compiled.graph.order.length).toBe(1)
    await expect(compileGraph(graph(), { passes: () => 'no' as never })).rejects.toThrow('gave no list of passes')
  })

  test('that computes something else is found by checkPasses, with output, seed and the lines that it changed', async () => {
    const wrong = pass((a, b) => squaredSum({ a: b, b: a }))
    const compiling = compileGraph(graph(), { device: 'reference', passes: [wrong], checkPasses: true })
    const error = await compiling.catch((thrown) => thrown)
    expect(String(error).replace(/is -?[\d.]+, expected -?[\d.]+/, 'is …, expected …')).toMatchInlineSnapshot(`
      "Diagnostic: error[wrong-pass]: pass fuse-square-add changes what graph @g computes
        seed    1: y[0] is …, expected …
        changes - %s: f32[B, 3] = mul(%a, %a)
                - %y: f32[B, 3] = add(%s, %b)
                + %y: f32[B, 3] = own_square_add(%b, %a)
        help: both graphs ran through the reference executor in f64 on the same inputs: mend the rule, or its guards"
    `)
  })

  test.each<[string, unknown, string]>([
    ['a type that does not fit', pass((a) => ops.argmax({ x: a })), 'cannot be replaced by'],
    [
      'a rule that throws',
      pass(() => {
        throw new Error('inside the rule')
      }),
      'pass fuse-square-add failed: inside the rule (at %y in @g)',
    ],
    [
      'a graph that breaks an invariant',
      { name: 'break', run: (g: object) => ({ ...g, order: [] }) },
      'pass break made a bad graph',
    ],
    ['no graph', { name: 'nothing', run: () => undefined }, 'pass nothing gave no graph'],
    ['other outputs', { name: 'drop', run: (g: object) => ({ ...g, outputs: [] }) }, 'its outputs are others'],
    ['no pass', {}, 'lacks `name`'],
    ['a name of ours', { name: 'fuse-swiglu', run: (g: object) => g }, 'a pass of the compiler is called fuse-swiglu'],
    [
      'an op that there is not',
      rewritePass({ name: 'p', doc: '', numerics: 'exact', root: 'sillu', rule: () => null }),
      'did you mean `silu`?',
    ],
    ['a field of another name', { name: 'p', run: (g: object) => g, root: 'add' }, 'a field `root`'],
  ])('%s is refused', async (_, given, message) => {
    const compiling = compileGraph(graph(), { device: 'reference', passes: [given as never] })
    await expect(compiling).rejects.toThrow(message)
    await expect(compiling).rejects.toMatchObject({ code: 'bad-pass' })
  })

  test('names its op as such, too; a field of another name is refused', async () => {
    const about = { name: 'fuse-square-add', doc: 'Saves a kernel.', numerics: 'rounding' } as const
    const one = rewritePass({ ...about, root: ops.add, rule: ({ in: { a, b } }) => squaredSum({ a: a!.in.a!, b: b! }) })
    await using compiled = await compileGraph(graph(), { device: 'reference', passes: [one], checkPasses: true })
    expect(compiled.graph.order.length).toBe(1)
    expect(() => rewritePass({ ...about, root: ops.add, rules: () => null } as never)).toThrow('a field `rules`')
  })

  test('an editPass is as good', async () => {
    const sweep = editPass({ name: 'own-sweep', doc: 'none', numerics: 'exact' }, (rewriter) => rewriter.sweepDead())
    await using compiled = await compileGraph(graph(), { device: 'reference', passes: [sweep], checkPasses: true })
    expect(compiled.graph.order.length).toBe(2)
  })

  test('what takes no random values cannot be checked, and is not called wrong', async () => {
    const text = graph()
    const g = new GraphBuilder('picky')
    const picky = defineOp('picky', {
      doc: 'y = x where x is 1',
      operands: { x: 'float[…]' },
      infer: ({ x }) => x,
      reference({ x }) {
        throw new Error(`not ${x.data[0]! > 2}`)
      },
    })
    const a = picky({ x: g.input('a', text.types['%a']!) })
    g.output('y', ops.add({ a: ops.mul({ a, b: a }), b: a }))
    await expect(
      compileGraph(g.build(), { device: 'reference', passes: [right], checkPasses: true }),
    ).rejects.toMatchObject({ code: 'unchecked-passes' })
  })
})

describe('a model with kernels and passes of one’s own', () => {
  const model = join(packageRoot(), 'models/story-3m')
  const body = `// own_swiglu: y = silu(gate) · up
#ifndef P_TYPE
#define P_TYPE f32_t
#endif
#include "prelude/block.h"
KERNEL void own_swiglu(P_TYPE* y, const P_TYPE* gate, const P_TYPE* up, i32 N) {
  for (int i = block_id() * BLOCK + thread_id(); i < N; i += grid_size() * BLOCK) {
    const float v = float(gate[i]);
    y[i] = P_TYPE(v * fast_rcp(1.f + fast_exp(-v)) * float(up[i]));
  }
}
`
  const swiglu = () =>
    defineKernel({
      name: 'own_swiglu',
      entry: 'own_swiglu',
      implements: fusedOps.swiglu,
      template: file(body),
      args: ['y', 'gate', 'up', 'N'],
      scalars: ({ types: { y } }) => ({ N: sizeOf(y.shape) }),
      fixed: ({ types: { y } }) => ({ P_TYPE: elementType(y.dtype) }),
      space: (target) => ({ P_BLOCK: blockSpace(target, [128]) }),
      launch: ({ P_BLOCK }, { types: { y } }) => ({ grid: ceilDiv(sizeOf(y.shape), P_BLOCK), block: P_BLOCK }),
      tolerance: () => 8,
    })
  const passes = (ours: readonly { readonly name: string }[]) =>
    ours.filter(({ name }) => name !== 'fuse-gate-swiglu') as never

  test.each(['kernels', 'persistent'] as const)('gives the same tokens, steps as %s', async (step) => {
    await using loaded = await compile(model, {
      device: 'host',
      context: 64,
      step,
      passes,
      kernels: [swiglu()],
      selfCheck: step === 'kernels',
    })
    expect(loaded.graph.print({ stage: 'program' })).toContain('own_swiglu')
    await using plain = await compile(model, { device: 'host', context: 64 })
    const options = { maxTokens: 12, temperature: 0 }
    expect(await loaded.generate('Once upon a time', options).text()).toBe(
      await plain.generate('Once upon a time', options).text(),
    )
  })

  test('is built ahead of time', async () => {
    const report = await build(model, { targets: ['host'], context: 64, chunk: 8, passes, kernels: [swiglu()] })
    const templates = JSON.stringify(report)
    expect(templates).toMatch(/bend-\d+\.hip/)
  })
})
