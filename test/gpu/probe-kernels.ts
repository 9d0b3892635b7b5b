// Small kernels of the suite's own, written against the prelude, compiled for whatever device is under test.
import { emitSource } from '../../codegen/source.ts'
import { targetDefines } from '../../codegen/target-defines.ts'
import type { Module } from '../../runtime/platform/driver.ts'
import type { SuiteDevice } from './suite-device.ts'

const text = `
#include "prelude/block.h"

extern "C" __global__ __launch_bounds__(BLOCK)
void scale(float* y, const float* x, float factor, i32 n, u32 offset, u64 big) {
  for (int i = block_id() * BLOCK + thread_id(); i < n; i += grid_size() * BLOCK)
    y[i] = x[i] * factor + float(offset) + float(big >> 40);
}

extern "C" __global__ __launch_bounds__(BLOCK)
void increment(i32* p) {
  if (block_id() == 0 && thread_id() == 0) p[0] += 1;
}
`

/** threads of a block of these kernels */
export const probeBlock = (device: SuiteDevice): number => (device.target.platform === 'host' ? 1 : 256)

export async function probeModule(device: SuiteDevice): Promise<Module> {
  const defines = { P_BLOCK: probeBlock(device), ...targetDefines(device.target) }
  const source = emitSource({ template: 'probe.hip', defines, headers: { 'probe.hip': text } })
  const kernels = ['scale', 'increment']
  const [compiled] = await device.service.compileAll([
    { source, kernels, target: device.target, label: 'probe.hip', defines },
  ])
  return device.driver.loadModule(compiled!.image)
}
