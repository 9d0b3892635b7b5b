#!/usr/bin/env python3
"""Decode and prefill in PyTorch, for the cases that `rocmforge bench --json` measured on the same machine.

    python3 bench/peers/torch_decode.py RESULT.json [RESULT.json …] [--out LINES.jsonl]

A plain decoder with random weights: one layer is compiled by torch.compile and used for all, matrix products are the vendor
library's, attention is scaled_dot_product_attention over a static cache, and the whole step (embedding to argmax) is replayed
as a CUDA graph. The position stays where it is: the cache is as long as the context and one token, so that no mask is needed.
Times are the device's, of replays that follow each other: what a host would add is left out.

Prints a JSON line for each case, then a table of ours beside theirs. Needs PyTorch 2.5 or newer; without a GPU it runs on the
CPU, which checks the script and measures nothing.
"""
import argparse
import json
import statistics
import sys
import time

import torch
import torch._dynamo
import torch.nn.functional as F

TYPES = {"bf16": torch.bfloat16, "f16": torch.float16, "f32": torch.float32}


def rms_norm(x, weight, eps):
    wide = x.float()
    return (wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + eps)).type_as(x) * weight


def rotate(x, cos, sin):
    """Half-split rotary embedding of x [B, T, heads, C] by cos, sin [T, C / 2]."""
    low, high = x.float().chunk(2, dim=-1)
    cos, sin = cos[None, :, None, :], sin[None, :, None, :]
    return torch.cat((low * cos - high * sin, low * sin + high * cos), dim=-1).type_as(x)


def make_layer(dims, causal):
    """One layer as a function of its weights, so that one compilation serves all layers."""
    heads, kv_heads, channels, eps = dims["heads"], dims["kvHeads"], dims["headDim"], dims["normEps"]

    def layer(x, cos, sin, positions, k_cache, v_cache, w):
        batch, tokens, _ = x.shape
        h = rms_norm(x, w["attn_norm"], eps)
        qkv = F.linear(h, w["qkv"], w.get("qkv_bias"))
        q, k, v = qkv.split((heads * channels, kv_heads * channels, kv_heads * channels), dim=-1)
        q = q.view(batch, tokens, heads, channels)
        k = k.view(batch, tokens, kv_heads, channels)
        v = v.view(batch, tokens, kv_heads, channels)
        if "q_norm" in w:
            q, k = rms_norm(q, w["q_norm"], eps), rms_norm(k, w["k_norm"], eps)
        q, k = rotate(q, cos, sin), rotate(k, cos, sin)
        k_cache[:, :, positions] = k.transpose(1, 2)  # the form of update that the compiler does in place
        v_cache[:, :, positions] = v.transpose(1, 2)
        mixed = F.scaled_dot_product_attention(
            q.transpose(1, 2), k_cache, v_cache, is_causal=causal, enable_gqa=heads != kv_heads
        )
        x = x + F.linear(mixed.transpose(1, 2).reshape(batch, tokens, heads * channels), w["output"])
        gate, up = F.linear(rms_norm(x, w["ffn_norm"], eps), w["gate_up"]).chunk(2, dim=-1)
        return x + F.linear(F.silu(gate) * up, w["down"])

    return layer


class Decoder:
    def __init__(self, dims, dtype, device):
        self.dims, self.dtype, self.device = dims, dtype, device
        hidden, ffn, vocab = dims["hidden"], dims["ffn"], dims["vocab"]
        heads, kv_heads, channels = dims["heads"], dims["kvHeads"], dims["headDim"]

        def random(*shape):
            return torch.empty(shape, dtype=dtype, device=device).normal_(0, 0.02)

        def ones(size):
            return torch.ones(size, dtype=dtype, device=device)

        self.layers = []
        for _ in range(dims["layers"]):
            rows = (heads + 2 * kv_heads) * channels
            w = {
                "attn_norm": ones(hidden),
                "qkv": random(rows, hidden),
                "output": random(hidden, heads * channels),
                "ffn_norm": ones(hidden),
                "gate_up": random(2 * ffn, hidden),
                "down": random(hidden, ffn),
            }
            if dims["qkNorm"]:
                w.update(q_norm=ones(channels), k_norm=ones(channels))
            if dims["attentionBias"]:
                w["qkv_bias"] = torch.zeros(rows, dtype=dtype, device=device)
            self.layers.append(w)
        self.embedding = random(vocab, hidden)
        self.norm = ones(hidden)
        self.head = self.embedding if dims["tiedEmbeddings"] else random(vocab, hidden)

    def rotation(self, length):
        half = self.dims["headDim"] // 2
        frequencies = self.dims["ropeTheta"] ** (-torch.arange(half, device=self.device, dtype=torch.float32) / half)
        angles = torch.arange(length, device=self.device, dtype=torch.float32)[:, None] * frequencies
        return angles.cos(), angles.sin()

    def caches(self, batch, length):
        shape = (batch, self.dims["kvHeads"], length, self.dims["headDim"])
        return [
            tuple(torch.zeros(shape, dtype=self.dtype, device=self.device) for _ in range(2)) for _ in self.layers
        ]

    def step(self, layer, tokens, positions, cos, sin, caches):
        """Logits' argmax behind the last of tokens [B, T] at positions [T]."""
        x = F.embedding(tokens, self.embedding)
        cos, sin = cos.index_select(0, positions), sin.index_select(0, positions)
        for w, (k_cache, v_cache) in zip(self.layers, caches):
            x = layer(x, cos, sin, positions, k_cache, v_cache, w)
        logits = F.linear(rms_norm(x[:, -1], self.norm, self.dims["normEps"]), self.head)
        return logits.argmax(-1)


class Replay:
    """Runs a step again and again: as a CUDA graph, or plainly on the CPU."""

    def __init__(self, step, device):
        self.step, self.graph = step, None
        if device != "cuda":
            step()
            return
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(3):
                step()
        torch.cuda.current_stream().wait_stream(side)
        torch.cuda.synchronize()
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            step()

    def milliseconds(self, count):
        """Of one step, the mean of `count`."""
        if self.graph is None:
            start = time.perf_counter()
            for _ in range(count):
                self.step()
            return (time.perf_counter() - start) * 1e3 / count
        start, stop = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        for _ in range(count):
            self.graph.replay()
        stop.record()
        stop.synchronize()
        return start.elapsed_time(stop) / count


def measure(run, count, rounds):
    run.milliseconds(min(8, count))
    times = [run.milliseconds(count) for _ in range(rounds)]
    return {"median": statistics.median(times), "min": min(times), "max": max(times)}


@torch.no_grad()
def decode_case(model, layer, device, case):
    batch, context = case["batch"], case["context"]
    caches = model.caches(batch, context + 1)
    cos, sin = model.rotation(context + 1)
    tokens = torch.full((batch, 1), 3, dtype=torch.long, device=device)
    positions = torch.tensor([context], dtype=torch.long, device=device)

    def step():
        tokens[:, 0] = model.step(layer, tokens, positions, cos, sin, caches)

    ms = measure(Replay(step, device), case["tokens"], case["rounds"])
    return {"kind": "decode", "context": context, "batch": batch, "ms": ms, "tokensPerSecond": 1e3 * batch / ms["median"]}


@torch.no_grad()
def prefill_case(model, layer, device, case):
    count = case["tokens"]
    caches = model.caches(1, count)
    cos, sin = model.rotation(count)
    tokens = (torch.arange(count, device=device) * 37 % model.dims["vocab"]).view(1, count)
    positions = torch.arange(count, device=device)
    ms = measure(Replay(lambda: model.step(layer, tokens, positions, cos, sin, caches), device), 1, case["rounds"])
    return {"kind": "prefill", "tokens": count, "ms": ms, "tokensPerSecond": 1e3 * count / ms["median"]}


def cases_of(result, device):
    """Their lines for everything of a result that PyTorch can run."""
    model, weights = result["model"], result["model"]["weights"]
    if weights not in TYPES:
        print(f"{model['path']}: left out, PyTorch has no {weights} weights", file=sys.stderr)
        return
    decoder = Decoder(model["dims"], TYPES[weights], device)
    compiled = torch.compile if device == "cuda" else lambda layer, **_: layer
    kinds = [("decode", decode_case, False), ("prefill", prefill_case, True)]
    for kind, measure_case, causal in kinds:
        layer = compiled(make_layer(model["dims"], causal), dynamic=False, fullgraph=True)
        for case in result[kind]:
            torch._dynamo.reset()  # shapes differ from case to case, and so would the number of recompilations
            try:
                line = measure_case(decoder, layer, device, case)
            except torch.cuda.OutOfMemoryError:
                line = {"kind": kind, "failed": "out of memory", **{k: case[k] for k in ("context", "batch") if k in case}}
            yield case, {"model": model["path"], "engine": f"torch {torch.__version__}, compiled, CUDA graph", **line}


def title(line):
    where = f"context {line['context']}, batch {line['batch']}" if line["kind"] == "decode" else f"{line['tokens']} tokens"
    return f"{line['kind']}, {where}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("results", nargs="+", help="what rocmforge bench --json or --out wrote")
    parser.add_argument("--out", help="file for the JSON lines; default: standard output")
    options = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.set_float32_matmul_precision("high")
    if device == "cuda":
        torch.backends.cuda.enable_cudnn_sdp(False)  # makes a plan for every new length
    out = open(options.out, "a") if options.out else sys.stdout
    rows = []
    for path in options.results:
        with open(path) as file:
            result = json.load(file)
        for ours, line in cases_of(result, device):
            print(json.dumps(line), file=out, flush=True)
            if "failed" not in line:
                rows.append((line["model"], title(line), ours["tokensPerSecond"], line["tokensPerSecond"]))
        if device == "cuda":
            torch.cuda.empty_cache()
    print("| model | case | ours, tokens/s | PyTorch | quotient |\n| --- | --- | --- | --- | --- |")
    for model, case, mine, theirs in rows:
        print(f"| {model} | {case} | {mine:.1f} | {theirs:.1f} | {mine / theirs:.2f} |")


if __name__ == "__main__":
    main()
