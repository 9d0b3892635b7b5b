// Checks one application of an op against its declaration: operands known and complete, attributes valid, types right.

import { GraphBuilder } from './builder.ts'
import { fail } from './diagnostic.ts'
import type { Attrs, AttrValue } from './graph.ts'
import type { OpDefinition } from './op.ts'
import { printType, type TensorType } from './type.ts'

/** Attributes as zod returns them: defaults filled in, `undefined` dropped. */
export function parseAttrs(op: OpDefinition, attrs: Record<string, unknown>): Attrs {
  const parsed = op.attrs.safeParse(attrs)
  if (!parsed.success) {
    const issue = parsed.error.issues[0]!
    fail({
      code: 'op-attribute',
      message: `${op.name} does not take these attributes: ${issue.message}`,
      facts: [['attr', issue.path.join('.') || Object.keys(attrs).join(', ')]],
      help: 'docs/ops.md lists the attributes of every op',
    })
  }
  return Object.fromEntries(Object.entries(parsed.data as Record<string, AttrValue>).filter(([, v]) => v !== undefined))
}

/** Result types of `op` on operands of the given types; a Diagnostic names what does not fit. */
export function inferTypes(op: OpDefinition, operands: Record<string, TensorType>, attrs: Attrs): TensorType[] {
  for (const name of Object.keys(op.operands)) {
    if (!operands[name])
      fail({ code: 'op-operand', message: `${op.name} needs an operand \`${name}\`: ${op.operands[name]}` })
  }
  for (const name of Object.keys(operands)) {
    if (!(name in op.operands) && !(name in op.optional)) {
      const known = [...Object.keys(op.operands), ...Object.keys(op.optional)]
      fail({
        code: 'op-operand',
        message: `${op.name} has no operand \`${name}\``,
        help: `its operands are ${known.join(', ')}`,
      })
    }
  }
  if (op.infer) return op.infer(operands, attrs)
  const graph = new GraphBuilder(op.name)
  const handles = Object.fromEntries(Object.entries(operands).map(([name, type]) => [name, graph.input(name, type)]))
  return op.expand!(handles, attrs).map((value) => value.type)
}

/** `rms_norm(f32[T, 64], f16[64])`, for errors. */
export const printSignature = (op: string, operands: Record<string, TensorType>): string =>
  `${op}(${Object.values(operands).map(printType).join(', ')})`
