// What the device probe says to its parent: one line of JSON, checked on arrival.
import { z } from 'zod'
import type { DeviceProperties } from './properties.ts'

/** Opens the line that carries the answer. */
export const probeMarker = 'rocmforge-device-probe:'

export interface ProbedDevice {
  readonly properties: DeviceProperties
  readonly freeBytes?: number | undefined
}

const count = z.number().min(0)

const propertiesSchema: z.ZodType<DeviceProperties> = z.object({
  platform: z.enum(['amd', 'nvidia', 'host']),
  ordinal: count,
  name: z.string(),
  target: z.string(),
  targetId: z.string(),
  wave: count,
  computeUnits: count,
  multiprocessors: count,
  ldsBytesPerBlock: count,
  ldsBytesPerMultiprocessor: count,
  maxThreadsPerBlock: count,
  maxThreadsPerMultiprocessor: count,
  memoryBytes: count,
  l2Bytes: count,
  clockKHz: count,
  memoryClockKHz: count,
  memoryBusBits: count,
  uuid: z.string().exactOptional(),
  pciBusId: z.string().exactOptional(),
  integrated: z.boolean(),
  cooperativeLaunch: z.boolean(),
})

export const probeAnswerSchema = z.discriminatedUnion('status', [
  z.object({
    status: z.literal('ok'),
    devices: z.array(z.object({ properties: propertiesSchema, freeBytes: count.optional() })),
    /** devices that the runtime counts but will not describe */
    failures: z.array(z.string()),
    driverVersion: z.number(),
    runtimeVersion: z.number(),
  }),
  z.object({ status: z.literal('no-device'), detail: z.string() }),
  z.object({ status: z.literal('failed'), detail: z.string() }),
])

export type ProbeAnswer = z.infer<typeof probeAnswerSchema>
