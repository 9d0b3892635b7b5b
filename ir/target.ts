// What a pass, a kernel spec or the compile service may know of a GPU: a plain record, never a query. The table of
// known targets is in codegen/targets.ts.

type Platform = 'amd' | 'nvidia' | 'host'

/** Which matrix instructions there are: prelude/matrix/ and codegen/matrix-units.ts describe them. */
export type MatrixUnit = 'none' | 'mfma' | 'mfma950' | 'wmma11' | 'wmma12' | 'mma'

/** What bounds the waves in flight on a SIMD (of an SM quarter on NVIDIA). */
export interface RegisterFile {
  /** most 32-bit vector registers a lane may use */
  readonly perWave: number
  /** registers per lane that the waves of one SIMD share */
  readonly perSimd: number
  /** allocation unit, registers per lane */
  readonly granule: number
  /** most waves in flight on a SIMD */
  readonly maxWaves: number
}

export interface Target {
  /** what the compiler is asked for, without features: `gfx942`, `sm_90`; `host` for the CPU */
  readonly name: string
  readonly platform: Platform
  /** for people: the products that carry this target */
  readonly products: string
  /** lanes of a wave (WAVE in templates) */
  readonly wave: number
  /** host only: plain vectorised loops with WAVE = BLOCK = 1, or a GPU's wave and block emulated by fibers */
  readonly mode?: 'fast' | 'emulate'
  /** most threads of a block */
  readonly maxBlock: number
  /** bytes of LDS that a kernel may declare statically */
  readonly ldsBytes: number
  /** bytes of LDS of a block when asked for at launch (NVIDIA's opt-in; the same as ldsBytes on AMD) */
  readonly ldsMaxBytes: number
  /** bytes of LDS that the resident blocks of a CU share (RDNA runs in CU mode: half of a WGP) */
  readonly ldsPerCuBytes: number
  /** compute units of the main product: a default for AOT work; a device reports its own */
  readonly cus: number
  /** SIMDs that share ldsPerCuBytes */
  readonly simds: number
  readonly registers?: RegisterFile
  readonly matrix: MatrixUnit
  /** read bandwidth of the main product's memory, GB/s */
  readonly memoryGBs?: number
  /** suffix that a device reports or a user asks for, normalised: `sramecc+:xnack-` */
  readonly features?: string
}

/**
 * The one text form of a target: `gfx90a:sramecc+:xnack-`, `sm_90`, `host`, `host-wave64`. Two targets whose code may
 * differ have different ids; `findTarget` of codegen/targets.ts reads it back.
 */
export function targetId(target: Target): string {
  if (target.platform === 'host') {
    if (target.mode !== 'emulate') return 'host'
    return `host-wave${target.wave}${target.matrix === 'none' ? '' : `-${target.matrix}`}`
  }
  return target.features ? `${target.name}:${target.features}` : target.name
}
