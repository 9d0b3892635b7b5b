// Batch: which sequences take the next decode step together. Sequences join and leave between steps; what a device started in
// advance is kept, never lost: a token depends on its own sequence alone, so that who else is there changes no text.
import { invariant } from '../../ir/diagnostic.ts'
import { ringSlots } from '../models/step.ts'
import type { BatchDecoding, StepInput, Stepper } from './stepper.ts'

/** Tokens that nobody took: a sequence with more leaves the decoding … */
const maxUnread = 8
/** … and one with up to so many joins it: what a device had started already may lie there of any sequence. */
const minUnread = ringSlots

/** One sequence while it decodes. */
interface Member {
  /** the next token, up to the number that was asked for at `join` */
  next(): Promise<number>
  /** no more tokens; nothing writes to the sequence's pages afterwards */
  leave(): Promise<void>
}

interface Running {
  readonly decoding: BatchDecoding
  readonly members: readonly BatchMember[]
  /** steps that it may still take */
  left: number
}

export class Batch {
  readonly #stepper: Stepper
  readonly #check: () => void
  /** in the order in which they may join the next decoding */
  #members: BatchMember[] = []
  #running: Running | undefined
  #tail: Promise<unknown> = Promise.resolve()
  #stepping = false

  /** `check` throws when no more steps may run */
  constructor(stepper: Stepper, check: () => void = () => {}) {
    this.#stepper = stepper
    this.#check = check
  }

  /** Runs other steps between two decode steps, one after the other, in the order asked for. */
  exclusive<T>(run: () => Promise<T>): Promise<T> {
    return this.#inTurn(async () => {
      this.#check()
      await this.#settle()
      return run()
    })
  }

  /** Resolves when what was asked for so far is over. */
  async idle(): Promise<void> {
    await this.#tail
  }

  /** A sequence whose token `step.tokens` was sampled last joins for up to `count` tokens more. */
  join(step: StepInput, count: number): Member {
    const member = new BatchMember(step, count, () => this.#wake())
    this.#members.push(member)
    return {
      next: () => member.take(),
      leave: async () => {
        this.#members = this.#members.filter((one) => one !== member)
        await this.#inTurn(async () => {
          if (this.#running?.members.includes(member)) await this.#settle()
        })
      },
    }
  }

  #inTurn<T>(run: () => Promise<T>): Promise<T> {
    const turn = this.#tail.then(run)
    this.#tail = turn.catch(() => {})
    return turn
  }

  /** Someone waits for a token: steps run until nobody does. */
  #wake(): void {
    if (this.#stepping) return
    this.#stepping = true
    this.#inTurn(() => this.#step()).then(
      () => this.#again(),
      (error: unknown) => {
        this.#running = undefined
        for (const member of this.#members) member.fail(error)
        this.#stepping = false
      },
    )
  }

  #again(): void {
    this.#stepping = false
    if (this.#members.some((member) => member.waits)) this.#wake()
  }

  async #step(): Promise<void> {
    this.#check()
    const uncovered = this.#members.some((member) => member.waits && !this.#running?.members.includes(member))
    if (uncovered) await this.#settle()
    if (!this.#members.some((member) => member.waits)) return
    this.#running ??= this.#begin()
    const { decoding, members } = this.#running
    this.#give(members, await decoding.next())
    if (--this.#running.left === 0 || members.some(({ unread }) => unread > maxUnread)) await this.#settle()
  }

  /** Where not all have room, those that wait go first, and among them who has not run for longest. */
  #begin(): Running {
    const ready = this.#members.filter((member) => member.unread <= minUnread && member.left > 0)
    const members = [...ready.filter(({ waits }) => waits), ...ready.filter(({ waits }) => !waits)].slice(
      0,
      this.#stepper.maxBatch,
    )
    this.#members = [...this.#members.filter((member) => !members.includes(member)), ...members]
    const left = Math.min(...members.map((member) => member.left))
    const inputs = members.map((member) => member.input())
    return { decoding: this.#stepper.decodeBatch(inputs, left), members, left }
  }

  #give(members: readonly BatchMember[], tokens: readonly number[]): void {
    for (let i = 0; i < members.length; i++) members[i]!.give(tokens[i]!)
  }

  /** Ends the decoding; its members get what the device had started already. */
  async #settle(): Promise<void> {
    const running = this.#running
    if (!running) return
    this.#running = undefined
    for (const tokens of await running.decoding.finish()) this.#give(running.members, tokens)
  }
}

class BatchMember {
  readonly #start: StepInput
  readonly #wake: () => void
  readonly #unread: number[] = []
  #token: number
  #position: number
  #waiting: { resolve(token: number): void; reject(error: unknown): void } | undefined
  /** tokens that may still be decoded */
  left: number

  constructor(start: StepInput, count: number, wake: () => void) {
    this.#start = start
    this.#token = start.tokens[0]!
    this.#position = start.position
    this.left = count
    this.#wake = wake
  }

  get waits(): boolean {
    return this.#waiting !== undefined
  }

  get unread(): number {
    return this.#unread.length
  }

  /** The step behind the tokens decoded so far. */
  input(): StepInput {
    return { ...this.#start, tokens: [this.#token], position: this.#position }
  }

  take(): Promise<number> {
    const token = this.#unread.shift()
    if (token !== undefined) return Promise.resolve(token)
    invariant(!this.#waiting && this.left > 0, 'a sequence asks for more tokens than it joined for')
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject }
      this.#wake()
    })
  }

  give(token: number): void {
    this.left--
    this.#token = token
    this.#position++
    const waiting = this.#waiting
    this.#waiting = undefined
    if (waiting) waiting.resolve(token)
    else this.#unread.push(token)
  }

  fail(error: unknown): void {
    this.#waiting?.reject(error)
    this.#waiting = undefined
  }
}
