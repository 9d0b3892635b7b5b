// What others reach on an H200, for comparison: measured once with random weights of the same shapes, batch 1, a context of
// 128 tokens, on an H200 with driver 580.159 and CUDA 13.0: llama.cpp v0.5.0 (llama-bench, CUDA graphs, flash attention), and
// a plain decoder in PyTorch 2.11 (torch.compile, replayed as a CUDA graph, no sampling beyond the largest logit).
export interface Peer {
  readonly engine: string
  readonly type: string
  readonly shape: '1B' | '8B'
  /** tokens/s; undefined where it was not measured */
  readonly decode?: number
  /** tokens/s of 512 tokens */
  readonly prefill?: number
}

export const peersOnH200: readonly Peer[] = [
  { engine: 'torch.compile', type: 'bf16', shape: '1B', decode: 841, prefill: 237538 },
  { engine: 'llama.cpp', type: 'BF16', shape: '1B', decode: 768, prefill: 78134 },
  { engine: 'llama.cpp', type: 'Q8_0', shape: '1B', decode: 809, prefill: 46858 },
  { engine: 'llama.cpp', type: 'Q4_0', shape: '1B', decode: 1010, prefill: 45158 },
  { engine: 'torch.compile', type: 'bf16', shape: '8B', decode: 214, prefill: 41762 },
  { engine: 'llama.cpp', type: 'BF16', shape: '8B', decode: 209, prefill: 26705 },
  { engine: 'llama.cpp', type: 'Q8_0', shape: '8B', decode: 252, prefill: 10918 },
  { engine: 'llama.cpp', type: 'Q4_0', shape: '8B', decode: 341, prefill: 10755 },
]

/** Our figures beside theirs: `ours` gives the value of a figure by its name. */
export function peerTable(ours: (name: string) => number | undefined): string[] {
  const rows = peersOnH200.flatMap(({ engine, type, shape, decode, prefill }) => {
    const title = `${shape} ${type.toLowerCase() === 'bf16' ? 'bf16' : type}`
    const cell = (theirs: number | undefined, name: string): string => {
      const value = ours(name)
      if (theirs === undefined || value === undefined) return '–'
      return `${value.toFixed(0)} to ${theirs} (${(value / theirs).toFixed(2)})`
    }
    const cells = [cell(decode, `${title}: decode behind 128 tokens`), cell(prefill, `${title}: prefill of 512 tokens`)]
    return cells.every((text) => text === '–') ? [] : [`| ${title} | ${engine} | ${cells.join(' | ')} |`]
  })
  if (rows.length === 0) return []
  return [
    '## Beside others on the same kind of card',
    '',
    'Tokens a second, ours to theirs, and the quotient: above 1 we are faster. Theirs were measured on another day with random weights of the same shapes; llama.cpp’s include its host’s work as ours do, torch’s are replays of the step alone.',
    '',
    '| model | beside | decode | prefill of 512 |',
    '| --- | --- | --- | --- |',
    ...rows,
    '',
  ]
}
