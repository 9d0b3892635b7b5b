// What the compile service and its child processes say to each other.
import { z } from 'zod'
import type { DiagnosticData } from '../../ir/diagnostic.ts'
import type { FoundLibrary } from '../platform/discovery.ts'
import type { Toolchain } from './toolchains.ts'

/** Parent to child: one program. */
export interface WorkerJob {
  readonly id: number
  readonly toolchain: Pick<Toolchain, 'family' | 'hip' | 'nvrtc'>
  /** name without features; asked of the compiler's own list first */
  readonly target: string
  /** file name for messages */
  readonly name: string
  readonly source: string
  readonly options: readonly string[]
}

/** Parent to child: a code object whose instructions are wanted. */
export interface DisassemblyJob {
  readonly id: number
  readonly comgr: FoundLibrary
  /** with features: `gfx90a:xnack-` */
  readonly target: string
  readonly image: Uint8Array
}

/** Child to parent. */
export type WorkerReply =
  | {
      readonly id: number
      readonly kind: 'done'
      /** 0 is success */
      readonly code: number
      readonly codeName: string
      readonly log: string
      readonly image?: Uint8Array
    }
  /** no text: this comgr cannot, or not for this target */
  | { readonly id: number; readonly kind: 'disassembled'; readonly text?: string }
  | { readonly id: number; readonly kind: 'unknown-target'; readonly known: readonly string[] }
  | { readonly id: number; readonly kind: 'failed'; readonly diagnostic: DiagnosticData }

const library = z.object({ path: z.string(), major: z.number() })
const optional = library.optional()

/** A job in a file, beside its source: what the reproducing command of an error reads. */
export const jobFile = z.object({
  toolchain: z.object({
    family: z.enum(['hiprtc', 'nvrtc']),
    hip: z
      .object({ why: z.string(), runtime: optional, compiler: optional, builtins: optional, comgr: optional })
      .optional(),
    nvrtc: optional,
  }),
  target: z.string(),
  name: z.string(),
  /** relative to the job's file */
  source: z.string(),
  options: z.array(z.string()),
})
