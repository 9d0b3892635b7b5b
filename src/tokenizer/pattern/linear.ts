// Matches a pattern in time linear in the text, whatever the pattern: alternatives are tried in order as a backtracking
// matcher does, but no state (a place in the pattern at a place in the text) is ever tried twice. What has failed at a place
// fails there for every later attempt too; what a lookaround or an atomic group found there is remembered with its end.
// Slower than V8's own matcher, so used only where that could take longer than linear time (`javascript.ts` tells).
import { membership, sets } from './character-set.ts'
import type { Edge, Pattern } from './syntax.ts'

type Node =
  | { readonly kind: 'set'; has(code: number): boolean; next: number }
  | { readonly kind: 'fork'; first: number; second: number /** row in the tables of states */; readonly row: number }
  | { readonly kind: 'edge'; readonly at: Edge; next: number }
  | {
      readonly kind: 'sub'
      readonly how: 'look' | 'atomic'
      readonly negative: boolean
      readonly start: number
      /** of a lookbehind, the length of its item in code points */
      readonly behind: number
      next: number
    }
  | { readonly kind: 'end' }

const MAX_NODES = 20_000
const isWord = membership(sets.looseWord)

export class LinearMatcher {
  readonly #nodes: Node[] = []
  readonly #start: number
  #forks = 0
  // of the present text
  #text = ''
  #failed = new Uint8Array(0)
  #found = new Map<number, number>()

  /** Undefined where a lookbehind has no fixed lengths or the pattern is too large. */
  static of(pattern: Pattern): LinearMatcher | undefined {
    try {
      return new LinearMatcher(pattern)
    } catch (error) {
      if (error instanceof TooHard) return undefined
      throw error
    }
  }

  private constructor(pattern: Pattern) {
    this.#start = this.#build(pattern, this.#add({ kind: 'end' }))
  }

  #add(node: Node): number {
    if (this.#nodes.length >= MAX_NODES) throw new TooHard()
    return this.#nodes.push(node) - 1
  }

  /** Adds the nodes of `pattern`, which go on at `next`; returns the first. */
  #build(pattern: Pattern, next: number): number {
    switch (pattern.kind) {
      case 'set':
        return this.#add({ kind: 'set', has: membership(pattern.source), next })
      case 'sequence':
        return pattern.items.reduceRight((then, item) => this.#build(item, then), next)
      case 'choice':
        return pattern.options
          .map((option) => this.#build(option, next))
          .reduceRight((second, first) => this.#fork(first, second))
      case 'edge':
        return this.#add({ kind: 'edge', at: pattern.at, next })
      case 'atomic':
        return this.#add({
          kind: 'sub',
          how: 'atomic',
          negative: false,
          start: this.#sub(pattern.item),
          behind: 0,
          next,
        })
      case 'look': {
        const { behind, negative, item } = pattern
        if (behind && item.kind === 'choice') {
          // each option has a length of its own
          const looks = item.options.map((option): Pattern => ({ ...pattern, item: option }))
          return this.#build(negative ? { kind: 'sequence', items: looks } : { kind: 'choice', options: looks }, next)
        }
        const start = this.#sub(item)
        return this.#add({ kind: 'sub', how: 'look', negative, start, behind: behind ? lengthOf(item) : 0, next })
      }
      case 'repeat': {
        const { item, min, max, mode } = pattern
        const fork = (again: number, on: number) => (mode === 'greedy' ? this.#fork(again, on) : this.#fork(on, again))
        let start = next
        if (max === Infinity) {
          const loop = fork(-1, next)
          const body = this.#build(item, loop)
          const node = this.#nodes[loop] as Extract<Node, { kind: 'fork' }>
          if (mode === 'greedy') node.first = body
          else node.second = body
          start = loop
        } else for (let copy = min; copy < max; copy++) start = fork(this.#build(item, start), next)
        for (let copy = 0; copy < min; copy++) start = this.#build(item, start)
        return start
      }
    }
  }

  #sub = (item: Pattern) => this.#build(item, this.#add({ kind: 'end' }))
  #fork = (first: number, second: number) => this.#add({ kind: 'fork', first, second, row: this.#forks++ })

  /** Takes a text; matches are then asked for from left to right. */
  reset(text: string): void {
    this.#text = text
    this.#failed = new Uint8Array(Math.ceil((this.#forks * (text.length + 1)) / 8))
    this.#found = new Map()
  }

  /** Where the first match at or behind `from` begins and ends. */
  find(from: number): readonly [start: number, end: number] | undefined {
    for (let start = from; start <= this.#text.length; start += width(this.#text, start)) {
      const end = this.#run(this.#start, start, false)
      if (end >= 0) return [start, end]
    }
    return undefined
  }

  /** The end of the first match that begins at `at`, or -1. With `remember` every state on the way keeps that end. */
  #run(from: number, fromAt: number, remember: boolean): number {
    const text = this.#text
    const columns = text.length + 1
    const path: number[] = [] // forks since the start that have not failed yet
    const choices: number[] = [] // node, place, length of the path: alternatives not tried yet
    let node = from
    let at = fromAt
    for (;;) {
      const one = this.#nodes[node]!
      let alive = true
      switch (one.kind) {
        case 'end':
          // what is on the path did not fail
          for (const state of path) {
            this.#failed[state >> 3]! &= ~(1 << (state & 7))
            if (remember) this.#found.set(state, at)
          }
          return at
        case 'set': {
          const code = at < text.length ? text.codePointAt(at)! : -1
          alive = code >= 0 && one.has(code)
          if (alive) at += code > 0xffff ? 2 : 1
          node = one.next
          break
        }
        case 'edge':
          alive = isEdge(one.at, text, at)
          node = one.next
          break
        case 'sub': {
          const end = this.#subEnd(one, at)
          alive = end >= 0
          at = end
          node = one.next
          break
        }
        case 'fork': {
          const state = one.row * columns + at
          const known = remember ? this.#found.get(state) : undefined
          if (known !== undefined) {
            for (const earlier of path) {
              this.#failed[earlier >> 3]! &= ~(1 << (earlier & 7))
              this.#found.set(earlier, known)
            }
            return known
          }
          if (this.#failed[state >> 3]! & (1 << (state & 7))) alive = false
          else {
            this.#failed[state >> 3]! |= 1 << (state & 7)
            path.push(state)
            choices.push(one.second, at, path.length)
            node = one.first
          }
        }
      }
      if (alive) continue
      if (choices.length === 0) return -1
      path.length = choices.pop()!
      at = choices.pop()!
      node = choices.pop()!
    }
  }

  /** Where matching goes on behind a lookaround or atomic group at `at`, or -1. */
  #subEnd({ how, negative, start, behind }: Extract<Node, { kind: 'sub' }>, at: number): number {
    if (how === 'atomic') return this.#run(start, at, true)
    const from = back(this.#text, at, behind)
    const found = from >= 0 && this.#run(start, from, true) >= 0
    return found === negative ? -1 : at
  }
}

class TooHard extends Error {}

const width = (text: string, at: number) => (text.codePointAt(at)! > 0xffff ? 2 : 1)

/** `length` code points before `at`, or -1. */
function back(text: string, at: number, length: number): number {
  let place = at
  for (let step = 0; step < length; step++) {
    place--
    if (place < 0) return -1
    if (place > 0 && text.codePointAt(place - 1)! > 0xffff) place--
  }
  return place
}

function isEdge(edge: Edge, text: string, at: number): boolean {
  switch (edge) {
    case 'text-start':
      return at === 0
    case 'text-end':
      return at === text.length
    case 'last-line-end':
      return at === text.length || (at === text.length - 1 && text[at] === '\n')
    case 'line-start':
      return at === 0 || (text[at - 1] === '\n' && at < text.length)
    case 'line-end':
      return at === text.length || text[at] === '\n'
    case 'word':
    case 'not-word': {
      const before = back(text, at, 1)
      const left = before >= 0 && isWord(text.codePointAt(before)!)
      const right = at < text.length && isWord(text.codePointAt(at)!)
      return (left !== right) === (edge === 'word')
    }
  }
}

/** How many code points `pattern` matches, whatever the text. */
function lengthOf(pattern: Pattern): number {
  switch (pattern.kind) {
    case 'set':
      return 1
    case 'edge':
    case 'look':
      return 0
    case 'atomic':
      return lengthOf(pattern.item)
    case 'sequence':
      return pattern.items.reduce((sum, item) => sum + lengthOf(item), 0)
    case 'choice': {
      const lengths = new Set(pattern.options.map(lengthOf))
      if (lengths.size !== 1) throw new TooHard()
      return [...lengths][0]!
    }
    case 'repeat':
      if (pattern.min !== pattern.max) throw new TooHard()
      return pattern.min * lengthOf(pattern.item)
  }
}
