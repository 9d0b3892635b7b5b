// Beside @types/node, as most have it.
import { compile } from 'rocmforge'

const model = await compile('model', { device: 'host', signal: AbortSignal.timeout(1000) })
for await (const { text } of model.generate('Once', { maxTokens: 3 })) process.stdout.write(text)
await model.dispose()
