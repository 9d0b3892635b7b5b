// Configurations that cannot be, of a Hugging Face folder.
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { tinyConfig, writeRandomHf } from '../../hf-writer.ts'
import { put, refusal, scratchFolder } from './fixtures.ts'

const folder = scratchFolder()
writeRandomHf(folder)
const refused = async (config: unknown): Promise<string> => {
  put(folder, 'config.json', typeof config === 'string' ? config : JSON.stringify(config))
  return refusal(folder, folder)
}

const llama3 = {
  rope_type: 'llama3',
  factor: 8,
  low_freq_factor: 1,
  high_freq_factor: 4,
  original_max_position_embeddings: 8192,
}
const cases: [name: string, config: unknown][] = [
  ['no JSON', 'hello'],
  ['a list', '[]'],
  ['a key twice', '{"model_type":"llama","model_type":"qwen2"}'],
  ['no model type', { ...tinyConfig, model_type: undefined }],
  ['no hidden size', { ...tinyConfig, hidden_size: undefined }],
  ['hidden size as text', { ...tinyConfig, hidden_size: '64' }],
  ['vocabulary of 0', { ...tinyConfig, vocab_size: 0 }],
  ['0 heads', { ...tinyConfig, num_attention_heads: 0 }],
  ['4 heads on 3', { ...tinyConfig, num_key_value_heads: 3 }],
  ['heads that do not divide the row', { ...tinyConfig, num_attention_heads: 6 }],
  ['negative layers', { ...tinyConfig, num_hidden_layers: -1 }],
  ['rope base 0', { ...tinyConfig, rope_theta: 0 }],
  ['rope base NaN', JSON.stringify(tinyConfig).replace('10000', 'NaN')],
  ['end token outside the vocabulary', { ...tinyConfig, eos_token_id: [2, 320] }],
  ['start token outside the vocabulary', { ...tinyConfig, bos_token_id: 5000 }],
  ['dynamic rope without its factor', { ...tinyConfig, rope_scaling: { type: 'dynamic' } }],
  ['llama3 rope without its factor', { ...tinyConfig, rope_scaling: { ...llama3, factor: undefined } }],
  ['llama3 rope upside down', { ...tinyConfig, rope_scaling: { ...llama3, low_freq_factor: 4 } }],
  ['window in some layers', { ...tinyConfig, sliding_window: 8, layer_types: ['full_attention', 'sliding_attention'] }],
  ['kinds of layer, not one for each', { ...tinyConfig, sliding_window: 8, layer_types: ['full_attention'] }],
  [
    'rotary settings that differ',
    {
      ...tinyConfig,
      rope_parameters: { full_attention: { rope_theta: 1e6 }, sliding_attention: { rope_theta: 1e4 } },
    },
  ],
  ['GPTQ', { ...tinyConfig, quantization_config: { quant_method: 'gptq', bits: 4 } }],
  ['partial rotary of 0', { ...tinyConfig, partial_rotary_factor: 0 }],
]
test.each(cases)('%s', async (_, config) => expect(await refused(config)).toMatchSnapshot())

test('a folder without a model', async () => {
  put(join(folder, 'empty'), 'readme.txt', '')
  expect(await refusal(join(folder, 'empty'), folder)).toMatchSnapshot()
})
test('weights without a configuration', async () => {
  expect(await refusal(put(join(folder, 'alone'), 'x.safetensors', ''), folder)).toMatchSnapshot()
})
