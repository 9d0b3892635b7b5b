// The same from CommonJS, where Node loads the ES module by `require`.
import rocmforge = require('rocmforge')

import { compile, type Device, type GeneratedPiece } from 'rocmforge'

export async function pieces(path: string, device: Device): Promise<GeneratedPiece[]> {
  const model = await compile(path, { device })
  const all: GeneratedPiece[] = []
  for await (const piece of model.generate('Once')) all.push(piece)
  await model.dispose()
  return all
}
export const isOurs = (error: unknown): boolean => error instanceof rocmforge.Diagnostic
