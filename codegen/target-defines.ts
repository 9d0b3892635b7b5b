// What a target itself defines for every template.
import type { Target } from '../ir/target.ts'
import type { Defines } from './kernel.ts'

/** On the host the wave size is a choice (1 in fast mode); a GPU's compiler knows its own. */
export function targetDefines(target: Target): Defines {
  if (target.platform !== 'host') return {}
  return { P_WAVE: target.mode === 'emulate' ? target.wave : 1 }
}
