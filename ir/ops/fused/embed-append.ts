import { defineFusedOp, dimAt } from '../../op.ts'
import { embed, embedAttrs } from '../model/embed.ts'
import { kvAppend } from '../model/kv-append.ts'
import { reshape } from '../model/reshape.ts'

export const embedAppend = defineFusedOp('embed_append', {
  doc: 'y[t,d] = table[ids[t], d], and the ids join the history of their requests',
  operands: {
    ids: 'i32[T] token ids, each below V',
    table: 'any[V, D] learned rows',
    history: 'state i32[P, 1, page, 1] token ids by position',
    positions: 'i32[T] position of each token in its request',
    seq: 'i32[T] request of each token',
    page_table: 'i32[R, M] pages of each request',
  },
  attrs: embedAttrs,
  results: ['y', 'history'],
  aliases: { history: 'history' },
  gathers: ['table'],
  expand: ({ ids, table, history, ...where }, attrs) => ({
    y: embed({ ids, table }, attrs),
    history: kvAppend({ cache: history, x: reshape({ x: ids }, { shape: [dimAt(ids.type, 0), 1, 1] }), ...where }),
  }),
})
