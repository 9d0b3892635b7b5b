// The end of a decode step: one row and many, a ring that starts again, rows without a request, the last step there is.
import { publish } from '../../../ir/ops/index.ts'
import { tensor } from '../../../ir/type.ts'
import type { KernelCase } from '../kernel-harness.ts'

const publishCase = (R: number, step: number, slots = 4): KernelCase => ({
  name: `publish R=${R} step ${step}`,
  graph: (g) => {
    const of = (name: string) => g.input(name, tensor('i32', [name === 'step' ? 1 : 'R']))
    const ring = g.state('ring', 'i32', [slots, 'R', 2])
    const results = publish({ ring, token: of('token'), positions: of('positions'), step: of('step') })
    for (const [name, value] of Object.entries(results)) g.output(name, value)
  },
  values: {
    ring: Array.from({ length: slots * R * 2 }, (_, i) => -i),
    token: Array.from({ length: R }, (_, r) => (r % 2 ? 150000 + r : r)),
    positions: Array.from({ length: R }, (_, r) => (r % 3 === 1 ? -2 : r * 1000)),
    step: [step],
  },
  bindings: { R },
})

export const publishCases: readonly KernelCase[] = [
  publishCase(1, 0),
  publishCase(5, 6),
  publishCase(300, 2 ** 31 - 2),
  publishCase(3, 12, 5),
]
