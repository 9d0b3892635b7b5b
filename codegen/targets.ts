// The table of known targets, and how a name given by a user or a driver becomes one. An unknown name is refused here:
// several releases of hipRTC abort the process when asked for a target they do not know.
// Sources: AMD's architecture tables; limits and occupancy checked by compiling for each target with hipRTC 6.4.
import { availableParallelism } from 'node:os'
import { fail } from '../ir/diagnostic.ts'
import { nearest } from '../ir/near-match.ts'
import type { MatrixUnit, RegisterFile, Target } from '../ir/target.ts'
import { printable } from '../ir/visible-text.ts'
import { matrixShapes } from './matrix-units.ts'

const KiB = 1024

interface AmdRow {
  readonly products: string
  readonly cus: number
  readonly memoryGBs?: number
  readonly registers: RegisterFile
  readonly matrix?: MatrixUnit
  /** bytes of LDS of a workgroup; default 64 KiB */
  readonly ldsBytes?: number
  /** settings that may follow the name: `sramecc+`, `xnack-` */
  readonly features?: readonly string[]
}

// LLVM's register allocation rules: file, granule and waves per SIMD (GCN and CDNA: lanes of 64; RDNA: of 32)
const gcn: RegisterFile = { perWave: 256, perSimd: 256, granule: 4, maxWaves: 10 }
const unified: RegisterFile = { perWave: 512, perSimd: 512, granule: 8, maxWaves: 8 }
const rdna1: RegisterFile = { perWave: 256, perSimd: 1024, granule: 8, maxWaves: 20 }
const rdna: RegisterFile = { perWave: 256, perSimd: 1024, granule: 16, maxWaves: 16 }
const rdnaLarge: RegisterFile = { perWave: 256, perSimd: 1536, granule: 24, maxWaves: 16 }
const gfx1250: RegisterFile = { perWave: 1024, perSimd: 1024, granule: 16, maxWaves: 16 }

const both = ['sramecc', 'xnack'] as const
const rdna2 = { registers: rdna } as const
const rdna3 = { matrix: 'wmma11' } as const
const rdna4 = { ...rdna3, registers: rdnaLarge, matrix: 'wmma12' } as const

const amd: Record<string, AmdRow> = {
  gfx900: { products: 'Vega 56/64, MI25', cus: 64, memoryGBs: 484, registers: gcn, features: ['xnack'] },
  gfx906: {
    products: 'MI50, MI60, Radeon VII',
    cus: 60,
    memoryGBs: 1020,
    registers: gcn,
    features: both,
  },
  gfx908: {
    products: 'MI100',
    cus: 120,
    memoryGBs: 1230,
    registers: gcn,
    matrix: 'mfma',
    features: both,
  },
  gfx90a: {
    products: 'MI210, MI250, MI250X (each GCD is a device)',
    cus: 104,
    memoryGBs: 1600,
    registers: unified,
    matrix: 'mfma',
    features: both,
  },
  gfx942: {
    products: 'MI300A, MI300X, MI308X, MI325X',
    cus: 304,
    memoryGBs: 5300,
    registers: unified,
    matrix: 'mfma',
    features: both,
  },
  gfx950: {
    products: 'MI350X, MI355X',
    cus: 256,
    memoryGBs: 8000,
    registers: unified,
    matrix: 'mfma950',
    ldsBytes: 160 * KiB,
    features: both,
  },
  gfx1010: { products: 'RX 5700 XT, 5700, 5600 XT', cus: 40, memoryGBs: 448, registers: rdna1, features: ['xnack'] },
  gfx1011: {
    products: 'Radeon Pro V520',
    cus: 36,
    memoryGBs: 512,
    registers: rdna1,
    features: ['xnack'],
  },
  gfx1012: {
    products: 'RX 5500 XT, 5500',
    cus: 22,
    memoryGBs: 224,
    registers: rdna1,
    features: ['xnack'],
  },
  gfx1030: { products: 'RX 6800, 6900 XT, 6950 XT, W6800, V620', cus: 80, memoryGBs: 512, ...rdna2 },
  gfx1031: { products: 'RX 6700 XT, 6750 XT', cus: 40, memoryGBs: 384, ...rdna2 },
  gfx1032: { products: 'RX 6600, 6600 XT, 6650 XT', cus: 32, memoryGBs: 256, ...rdna2 },
  gfx1033: { products: 'Steam Deck', cus: 8, ...rdna2 },
  gfx1034: { products: 'RX 6400, 6500 XT', cus: 16, memoryGBs: 144, ...rdna2 },
  gfx1035: { products: 'Rembrandt (680M)', cus: 12, ...rdna2 },
  gfx1036: { products: 'Raphael, Granite Ridge (integrated)', cus: 2, ...rdna2 },
  gfx1100: { products: 'RX 7900 XTX, 7900 XT, W7900, W7800', cus: 96, memoryGBs: 960, registers: rdnaLarge, ...rdna3 },
  gfx1101: { products: 'RX 7800 XT, 7700 XT, W7700, V710', cus: 60, memoryGBs: 624, registers: rdnaLarge, ...rdna3 },
  gfx1102: { products: 'RX 7600', cus: 32, memoryGBs: 288, registers: rdna, ...rdna3 },
  gfx1103: { products: 'Phoenix, Hawk Point (780M)', cus: 12, memoryGBs: 90, registers: rdna, ...rdna3 },
  gfx1150: { products: 'Strix Point (890M)', cus: 16, registers: rdna, ...rdna3 },
  gfx1151: { products: 'Strix Halo (8060S, Ryzen AI Max)', cus: 40, memoryGBs: 256, registers: rdnaLarge, ...rdna3 },
  gfx1152: { products: 'Krackan Point', cus: 8, registers: rdna, ...rdna3 },
  gfx1153: { products: 'Krackan Point (small)', cus: 8, registers: rdna, ...rdna3 },
  gfx1200: { products: 'RX 9060 XT', cus: 32, memoryGBs: 320, ...rdna4 },
  gfx1201: { products: 'RX 9070 XT, 9070, AI PRO R9700', cus: 64, memoryGBs: 640, ...rdna4 },
  gfx1250: {
    products: 'MI400 series',
    cus: 256,
    registers: gfx1250,
    ldsBytes: 320 * KiB,
  },
}

interface NvidiaRow {
  readonly products: string
  readonly sms: number
  readonly memoryGBs: number
  /** shared memory of an SM; a block may ask for 1 KiB less */
  readonly sharedKiB: number
  /** warps in flight on an SM */
  readonly warps: number
}

const nvidia: Record<string, NvidiaRow> = {
  sm_80: { products: 'A100, A30', sms: 108, memoryGBs: 2039, sharedKiB: 164, warps: 64 },
  sm_86: { products: 'RTX 30 series, A10, A40', sms: 84, memoryGBs: 936, sharedKiB: 100, warps: 48 },
  sm_89: { products: 'RTX 40 series, L4, L40S', sms: 128, memoryGBs: 1008, sharedKiB: 100, warps: 48 },
  sm_90: { products: 'H100, H200', sms: 132, memoryGBs: 4800, sharedKiB: 228, warps: 64 },
  sm_100: { products: 'B200', sms: 148, memoryGBs: 8000, sharedKiB: 228, warps: 64 },
  sm_120: { products: 'RTX 50 series', sms: 170, memoryGBs: 1792, sharedKiB: 100, warps: 48 },
}

function amdTarget(name: string, row: AmdRow): Target {
  const cdna = name.startsWith('gfx9')
  const ldsBytes = row.ldsBytes ?? 64 * KiB
  return {
    name,
    platform: 'amd',
    products: row.products,
    wave: cdna ? 64 : 32,
    maxBlock: 1024, // of every target: the compiler clamps larger launch bounds in silence
    ldsBytes,
    ldsMaxBytes: ldsBytes,
    ldsPerCuBytes: ldsBytes, // RDNA: half of a WGP's, since kernels are compiled for CU mode
    cus: row.cus,
    simds: cdna ? 4 : 2, // of a CU
    registers: row.registers,
    matrix: row.matrix ?? 'none',
    ...(row.memoryGBs ? { memoryGBs: row.memoryGBs } : {}),
  }
}

function nvidiaTarget(name: string, row: NvidiaRow): Target {
  return {
    name,
    platform: 'nvidia',
    products: row.products,
    wave: 32,
    maxBlock: 1024,
    ldsBytes: 48 * KiB, // more only as dynamic shared memory with an opt-in
    ldsMaxBytes: (row.sharedKiB - 1) * KiB,
    ldsPerCuBytes: row.sharedKiB * KiB,
    cus: row.sms,
    simds: 4,
    registers: { perWave: 255, perSimd: 512, granule: 8, maxWaves: row.warps / 4 },
    matrix: 'mma',
    memoryGBs: row.memoryGBs,
  }
}

/** Every GPU target of the table, in its order. */
export const gpuTargets: readonly Target[] = [
  ...Object.entries(amd).map(([name, row]) => amdTarget(name, row)),
  ...Object.entries(nvidia).map(([name, row]) => nvidiaTarget(name, row)),
]

interface HostTargetOptions {
  /** default 'fast' */
  readonly mode?: 'fast' | 'emulate'
  /** lanes of an emulated wave: 32 (default) or 64 */
  readonly wave?: 32 | 64
  /** most threads of an emulated block; default 1024 */
  readonly block?: number
  /** a matrix unit to emulate, of that wave; default 'none' */
  readonly matrix?: MatrixUnit
}

/** The CPU as a target: `fast` has WAVE = BLOCK = 1, `emulate` a GPU's wave and block. */
export function hostTarget({
  mode = 'fast',
  wave = 32,
  block = 1024,
  matrix = 'none',
}: HostTargetOptions = {}): Target {
  const emulate = mode === 'emulate'
  return {
    name: 'host',
    platform: 'host',
    products: emulate ? `this machine's CPU, emulating waves of ${wave}` : "this machine's CPU",
    wave: emulate ? wave : 1,
    mode,
    maxBlock: emulate ? block : 1,
    ldsBytes: 64 * KiB,
    ldsMaxBytes: 64 * KiB,
    ldsPerCuBytes: 64 * KiB,
    cus: availableParallelism(),
    simds: 1,
    matrix: emulate ? matrix : 'none',
  }
}

/** Every name that `findTarget` takes, without features. */
export const targetNames: readonly string[] = [...gpuTargets.map((t) => t.name), 'host', 'host-wave32', 'host-wave64']

/**
 * The target of a name as a user writes it or a driver reports it: `gfx1100`, `gfx90a:sramecc+:xnack-`, `sm_90`,
 * `host`, `host-wave64`, `host-wave64-mfma` (with that matrix unit emulated). Features are checked and put in order.
 * Errors: `unknown-target` with the nearest names, `bad-target-feature`.
 */
export function findTarget(id: string): Target {
  const [name = '', ...settings] = id.split(':')
  const target = byName(name)
  if (!target) {
    return fail({
      code: 'unknown-target',
      message: `unknown target \`${printable(id)}\``,
      facts: [['nearest', nearestNames(name).join(', ')]],
      help: 'give one of the nearest names, or see `rocmforge devices --targets` for all of them',
    })
  }
  return settings.length === 0 ? target : { ...target, features: checkedFeatures(id, name, settings) }
}

function byName(name: string): Target | undefined {
  if (name === 'host') return hostTarget()
  const [, wave, unit] = /^host-wave(32|64)(?:-(\w+))?$/.exec(name) ?? []
  if (wave) {
    const emulated = { mode: 'emulate', wave: wave === '32' ? 32 : 64 } as const
    if (unit === undefined) return hostTarget(emulated)
    const matrix = Object.entries(matrixShapes).find(([known, shape]) => known === unit && shape.wave === emulated.wave)
    return matrix && hostTarget({ ...emulated, matrix: matrix[0] as MatrixUnit })
  }
  return gpuTargets.find((t) => t.name === name)
}

/** Splits `gfx942,gfx1100:...,sm_90`; each name once. */
export function findTargets(list: string): Target[] {
  const ids = list
    .split(',')
    .map((id) => id.trim())
    .filter((id) => id !== '')
  if (ids.length === 0)
    fail({ code: 'no-target', message: 'no target given', help: 'write for example --target gfx942,gfx1100' })
  return [...new Set(ids)].map(findTarget)
}

function checkedFeatures(id: string, name: string, settings: readonly string[]): string {
  const known = amd[name]?.features ?? []
  const seen = new Set<string>()
  for (const setting of settings) {
    const feature = /^(.*)[+-]$/.exec(setting)?.[1]
    if (feature === undefined || !known.includes(feature) || seen.has(feature)) {
      fail({
        code: 'bad-target-feature',
        message: `\`${printable(setting)}\` is no setting of ${name}`,
        facts: [
          ['target', printable(id)],
          ['known', known.length ? known.map((f) => `${f}+ ${f}-`).join(' ') : 'none'],
        ],
        help: known.length ? 'each feature may be given once, followed by + or -' : `write ${name} alone`,
      })
    }
    seen.add(feature)
  }
  return [...settings].sort().join(':')
}

/** The three names nearest to a mistyped one. */
function nearestNames(name: string): string[] {
  return nearest(name.trim().toLowerCase().slice(0, 40), targetNames, 3)
}
