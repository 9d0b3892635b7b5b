// What a compiled kernel occupies, as its code object tells it.
import { z } from 'zod'

/** What a compiled kernel occupies; the fields that its platform does not have are absent. */
export interface KernelResources {
  name: string
  /** 32-bit vector registers a lane: with the accumulator registers where both share one file */
  vgprs?: number | undefined
  /** accumulator registers a lane (CDNA) */
  agprs?: number | undefined
  sgprs?: number | undefined
  vgprSpills?: number | undefined
  sgprSpills?: number | undefined
  /** static LDS, bytes a block */
  ldsBytes?: number | undefined
  /** private memory, bytes a lane */
  scratchBytes?: number | undefined
  waveSize?: number | undefined
  /** most threads a block may have, from the launch bounds */
  maxBlock?: number | undefined
  /** bytes of arguments, hidden ones included */
  kernargBytes?: number | undefined
  /** bytes of machine code */
  codeBytes?: number | undefined
}

const count = z.number().int().nonnegative().optional()

export const kernelResources = z.object({
  name: z.string(),
  vgprs: count,
  agprs: count,
  sgprs: count,
  vgprSpills: count,
  sgprSpills: count,
  ldsBytes: count,
  scratchBytes: count,
  waveSize: count,
  maxBlock: count,
  kernargBytes: count,
  codeBytes: count,
}) satisfies z.ZodType<KernelResources>
