/**
 * Index of no column: what the ops that choose one give where the logits leave no choice. Every reader of tokens knows it.
 * Not −1, whose bytes are those that memory is filled with to find what a kernel forgot to write.
 */
export const noToken = -(2 ** 31)
