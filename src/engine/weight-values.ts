// The weights of a checkpoint as graphs name them: tensors of its files, and the few that are computed from its config.
import type { HostTensor } from '../../ir/host-tensor.ts'
import { decodeTensor, encodeValues } from '../../ir/tensor-bytes.ts'
import type { TensorType } from '../../ir/type.ts'
import type { WeightSource } from '../../runtime/execute/weights.ts'
import type { ModelSource } from '../loader/checkpoint.ts'
import { requireWeight } from '../loader/weight-index.ts'
import { ropeFactorsWeight } from '../models/step.ts'

/** Bytes of a weight that no file holds in the form the graph reads. */
function computed(checkpoint: ModelSource, name: string): Uint8Array | undefined {
  const factors = checkpoint.config.rope.freqFactors
  return name === ropeFactorsWeight && factors ? encodeValues('f32', factors) : undefined
}

/** For loading into device memory, piece by piece. */
export const weightSource = (checkpoint: ModelSource): WeightSource => ({
  read(name, type, into, offset) {
    const own = computed(checkpoint, name)
    if (own) return into.set(own.subarray(offset, offset + into.length))
    return checkpoint.weights.read(entryOf(checkpoint, name, type), into, offset)
  },
  locate(name, type) {
    return computed(checkpoint, name) ? undefined : checkpoint.weights.locate(entryOf(checkpoint, name, type))
  },
})

/** For the reference executor: decoded values, each decoded once. */
export function decodedWeights(checkpoint: ModelSource): (name: string, type: TensorType) => HostTensor {
  const decoded = new Map<string, HostTensor>()
  return (name, type) => {
    const known = decoded.get(name)
    if (known) return known
    let bytes = computed(checkpoint, name)
    if (!bytes) {
      const entry = entryOf(checkpoint, name, type)
      bytes = new Uint8Array(entry.bytes)
      checkpoint.weights.readSync(entry, bytes)
    }
    const tensor = decodeTensor(type.dtype, type.shape as number[], bytes)
    decoded.set(name, tensor)
    return tensor
  }
}

const entryOf = (checkpoint: ModelSource, name: string, type: TensorType) =>
  requireWeight(checkpoint.weights, name, type.dtype, type.shape as number[])
