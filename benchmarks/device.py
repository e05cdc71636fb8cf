"""Calls a second on a GPU against the bare denoiser, and the share of the measured bf16 peak.

    python -m benchmarks.device [--model sd15|sdxl] [--dtype bfloat16] [--size tiny]

The networks have the architecture of Stable Diffusion 1.5 and of SDXL, with random weights: speed
does not depend on them. `--size tiny` checks the script itself on any machine.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

import conjure
from conjure.engine.speed import measure_speed
from conjure.loading.load import vary
from conjure.process.pipeline import PipelineProcess

SCHEDULE = {
    "beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "steps_offset": 1,
    "clip_sample": False, "set_alpha_to_one": False,
}  # fmt: skip
LETTERS = [chr(c) for c in range(33, 127)]


def tokenizer() -> Any:
    """CLIP's format, spelling: what a prompt says does not matter here."""
    from transformers import CLIPTokenizer

    tokens = [*LETTERS, *(c + "</w>" for c in LETTERS), "<|startoftext|>", "<|endoftext|>"]
    with tempfile.TemporaryDirectory() as folder:
        vocabulary, merges = Path(folder) / "vocab.json", Path(folder) / "merges.txt"
        vocabulary.write_text(json.dumps({token: i for i, token in enumerate(tokens)}))
        merges.write_text("#version: 0.2\n")
        return CLIPTokenizer(str(vocabulary), str(merges), model_max_length=77)


def encoder(width: int, layers: int, heads: int, *, projected: bool, tokens: Any) -> Any:
    import transformers

    config = transformers.CLIPTextConfig(
        vocab_size=len(tokens), hidden_size=width, intermediate_size=4 * width,
        num_hidden_layers=layers, num_attention_heads=heads, max_position_embeddings=77,
        projection_dim=width, bos_token_id=tokens.bos_token_id, eos_token_id=tokens.eos_token_id,
        pad_token_id=tokens.pad_token_id,
    )  # fmt: skip
    kind = transformers.CLIPTextModelWithProjection if projected else transformers.CLIPTextModel
    return kind(config)


def pipeline(model: str, size: str) -> Any:
    """Of the architecture asked for, at random weights."""
    import diffusers as library

    diffusers: Any = library
    tiny, tokens = size == "tiny", tokenizer()
    vae = diffusers.AutoencoderTiny()
    scheduler = diffusers.DDIMScheduler(**SCHEDULE)
    if model == "sd15":
        width, channels = (32, (32, 64)) if tiny else (768, (320, 640, 1280, 1280))
        unet = diffusers.UNet2DConditionModel(
            sample_size=8 if tiny else 64, in_channels=4, out_channels=4, layers_per_block=2,
            block_out_channels=channels, cross_attention_dim=width, attention_head_dim=8,
            down_block_types=(*["CrossAttnDownBlock2D"] * (len(channels) - 1), "DownBlock2D"),
            up_block_types=("UpBlock2D", *["CrossAttnUpBlock2D"] * (len(channels) - 1)),
        )  # fmt: skip
        text = encoder(width, 2 if tiny else 12, 4 if tiny else 12, projected=False, tokens=tokens)
        return diffusers.StableDiffusionPipeline(
            vae=vae, text_encoder=text, tokenizer=tokens, unet=unet, scheduler=scheduler,
            safety_checker=None, feature_extractor=None, requires_safety_checker=False,
        )  # fmt: skip
    one, two = (32, 32) if tiny else (768, 1280)
    channels = (32, 64) if tiny else (320, 640, 1280)
    unet = diffusers.UNet2DConditionModel(
        sample_size=8 if tiny else 128, in_channels=4, out_channels=4, layers_per_block=2,
        block_out_channels=channels, cross_attention_dim=one + two,
        attention_head_dim=4 if tiny else (5, 10, 20), use_linear_projection=True,
        transformer_layers_per_block=(1, 2) if tiny else (1, 2, 10),
        down_block_types=("DownBlock2D", *["CrossAttnDownBlock2D"] * (len(channels) - 1)),
        up_block_types=(*["CrossAttnUpBlock2D"] * (len(channels) - 1), "UpBlock2D"),
        addition_embed_type="text_time", addition_time_embed_dim=256,
        projection_class_embeddings_input_dim=two + 6 * 256,
    )  # fmt: skip
    layers = (2, 2) if tiny else (12, 32)
    return diffusers.StableDiffusionXLPipeline(
        vae=vae, unet=unet, scheduler=scheduler, tokenizer=tokens, tokenizer_2=tokens,
        text_encoder=encoder(one, layers[0], 4 if tiny else 12, projected=False, tokens=tokens),
        text_encoder_2=encoder(two, layers[1], 4 if tiny else 20, projected=True, tokens=tokens),
        add_watermarker=False,
    )  # fmt: skip


def seconds(function: Callable[[], Any], device: torch.device) -> float:
    def wait() -> None:
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    wait()
    started = time.perf_counter()
    function()
    wait()
    return time.perf_counter() - started


def peak_flops(device: torch.device, dtype: torch.dtype, side: int = 8192) -> float:
    """Of a large product of matrices, as it is measured: FLOP/s."""
    side = side if device.type == "cuda" else 512
    a, b = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    torch.matmul(a, b)
    return 2 * side**3 / min(seconds(lambda: a @ b, device) for _ in range(10))


def flops_per_call(process: PipelineProcess) -> float:
    """Of one row, counted by PyTorch."""
    from torch.utils.flop_counter import FlopCounterMode

    x = process.place(torch.randn(1, *process.shape))
    process.prepare(["a"])
    with FlopCounterMode(display=False) as counter:
        process.predict(x, 0, ["a"])
    return float(counter.get_total_flops())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", choices=("sd15", "sdxl"), default="sd15")
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--size", choices=("full", "tiny"), default="full")
    parser.add_argument("--pairs", type=int, default=8)
    parser.add_argument("--steps", type=int, default=10)
    arguments = parser.parse_args()
    torch.manual_seed(0)
    made = pipeline(arguments.model, arguments.size).to(getattr(torch, arguments.dtype))
    process = conjure.load(made, steps=arguments.steps)
    device = process.device
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    print(f"{arguments.model} ({arguments.size}), {arguments.dtype}, {name}, torch "
          f"{torch.__version__}")  # fmt: skip
    found = measure_speed(process, ("a",), sizes=(1, 2, 4, 8, 16, 32, 64))
    batch = found.batch_size
    x = process.place(torch.randn(batch, *process.shape)).to(process.dtype)
    condition = {
        key: part.expand(batch, *part.shape[1:]).to(device, process.dtype).contiguous()
        for key, part in process.family.encode(["a"]).items()
    }

    def bare() -> None:
        with torch.inference_mode():
            process.family.denoise(x, float(process.grid.timesteps[0]), condition)

    bare()
    each = min(seconds(bare, device) for _ in range(5)) / batch
    process = vary(process, batch_size=batch)
    pairs = [(LETTERS[2 * n], LETTERS[2 * n + 1]) for n in range(arguments.pairs)]
    run = conjure.compare_pairs(pairs, process=process, samples=2)
    spent = seconds(lambda: list(run), device)
    rate, ours = 1 / each, run.calls / spent
    used = flops_per_call(process) * ours / peak_flops(device, process.dtype)
    print(f"bare denoiser at its best batch of {batch}: {rate:.1f} calls/s")
    print(f"compare_pairs, {run.calls:,} calls: {ours:.1f} calls/s, ratio {ours / rate:.3f}")
    print(f"share of the measured {arguments.dtype} peak: {used:.1%}")
    if device.type == "cuda":
        print(f"peak memory {torch.cuda.max_memory_allocated(device) / 2**30:.1f} GiB")


if __name__ == "__main__":
    main()
