// The matrix units that hip-templates/prelude/matrix/ has fragments for, as far as kernel specs reason about them.
import type { MatrixUnit, Target } from '../ir/target.ts'
import type { Dtype } from '../ir/type.ts'

export interface MatrixShape {
  /** P_MATRIX_UNIT of prelude/matrix/unit.h */
  readonly define: number
  /** lanes that multiply together: the wave */
  readonly wave: 32 | 64
  /** rows of w and tokens of a fragment, elements of k of a step */
  readonly rows: number
  readonly columns: number
  readonly step: number
  /** neighbouring columns of y that a lane holds */
  readonly run: number
  /** 32-bit registers of a lane's fragment of a step: of w, of x */
  readonly registers: { readonly w: number; readonly x: number }
}

export const matrixShapes: Readonly<Record<Exclude<MatrixUnit, 'none'>, MatrixShape>> = {
  mma: { define: 1, wave: 32, rows: 16, columns: 8, step: 32, run: 2, registers: { w: 8, x: 4 } },
  mfma: { define: 2, wave: 64, rows: 16, columns: 16, step: 32, run: 4, registers: { w: 4, x: 4 } },
  mfma950: { define: 3, wave: 64, rows: 16, columns: 16, step: 32, run: 4, registers: { w: 4, x: 4 } },
  wmma11: { define: 4, wave: 32, rows: 16, columns: 16, step: 16, run: 8, registers: { w: 8, x: 8 } },
  wmma12: { define: 5, wave: 32, rows: 16, columns: 16, step: 32, run: 8, registers: { w: 8, x: 8 } },
}

/** The target's unit for elements of that type, or why it has none. */
export function matrixUnit(target: Target, element: Dtype): MatrixShape | string {
  if (target.matrix === 'none') return `${target.name} has no matrix unit`
  if (element === 'bf16' && target.name === 'gfx908') return 'MFMA of gfx908 takes bf16 in another layout'
  return matrixShapes[target.matrix]
}
