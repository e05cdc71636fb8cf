"""Tiny pipelines of every family, built from a seed by diffusers' own classes."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import diffusers as _diffusers
import numpy as np
import torch
import transformers as _transformers

# Their constructors are typed more narrowly than what they accept.
diffusers: Any = _diffusers
transformers: Any = _transformers

LETTERS = [chr(c) for c in range(33, 127)]


def clip_tokenizer(folder: Path, length: int = 16) -> Any:
    """A CLIP tokenizer that spells: one token a letter, none merged."""
    tokens = [*LETTERS, *(c + "</w>" for c in LETTERS), "<|startoftext|>", "<|endoftext|>"]
    folder.mkdir(parents=True)
    vocabulary = {token: i for i, token in enumerate(tokens)}
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    made = transformers.CLIPTokenizer(
        str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=length
    )
    made.save_pretrained(folder)
    return transformers.CLIPTokenizer.from_pretrained(folder)


def spelling(kind: Any, start: str | None, end: str, **special: str) -> Any:
    """A fast tokenizer of another family that spells."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors

    tokens = [*special.values(), *([start] if start else []), end, "▁", *LETTERS]
    vocabulary = {token: i for i, token in enumerate(dict.fromkeys(tokens))}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[], unk_token=special["unk_token"]))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    template = f"{start + ' ' if start else ''}$A" + (f" {end}" if kind != "gemma" else "")
    specials = [(t, vocabulary[t]) for t in ([start] if start else []) + [end]]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=template, special_tokens=specials
    )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token=end, bos_token=start, **special
    )


def t5_tokenizer() -> Any:
    """One that spells, with T5's special tokens."""
    made = spelling("t5", None, "</s>", pad_token="<pad>", unk_token="<unk>")
    made.model_max_length = 512
    return made


def clip_encoder(tokenizer: Any, *, projected: bool = False, width: int = 16) -> Any:
    """Two layers."""
    config = transformers.CLIPTextConfig(
        vocab_size=len(tokenizer), hidden_size=width, intermediate_size=32, num_hidden_layers=2,
        num_attention_heads=2, max_position_embeddings=tokenizer.model_max_length,
        projection_dim=width, bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    kind = transformers.CLIPTextModelWithProjection if projected else transformers.CLIPTextModel
    return kind(config)


def t5_encoder(tokenizer: Any, width: int = 16, kind: str = "T5") -> Any:
    """Two layers of T5 or of UMT5."""
    config = getattr(transformers, f"{kind}Config")(
        vocab_size=len(tokenizer), d_model=width, d_kv=8, d_ff=32, num_layers=2, num_heads=2,
        pad_token_id=tokenizer.pad_token_id, eos_token_id=tokenizer.eos_token_id,
        feed_forward_proj="gated-gelu",
    )  # fmt: skip
    return getattr(transformers, f"{kind}EncoderModel")(config)


def unet(**changes: Any) -> Any:
    """Two levels."""
    settings: dict[str, Any] = {
        "sample_size": 8, "in_channels": 4, "out_channels": 4, "block_out_channels": (8, 16),
        "layers_per_block": 1, "cross_attention_dim": 16, "attention_head_dim": 4,
        "norm_num_groups": 4, "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
    }  # fmt: skip
    return diffusers.UNet2DConditionModel(**settings | changes)


def vae(channels: int = 4, levels: int = 2, **changes: Any) -> Any:
    """One that halves `levels` − 1 times."""
    settings: dict[str, Any] = {
        "block_out_channels": (8,) * levels, "norm_num_groups": 4,
        "down_block_types": ("DownEncoderBlock2D",) * levels,
        "up_block_types": ("UpDecoderBlock2D",) * levels, "latent_channels": channels,
        "sample_size": 16,
    }  # fmt: skip
    return diffusers.AutoencoderKL(**settings | changes)


SCALED_LINEAR: dict[str, Any] = {
    "beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "steps_offset": 1,
}  # fmt: skip
UNSAFE: dict[str, Any] = {
    "safety_checker": None, "feature_extractor": None, "requires_safety_checker": False,
}  # fmt: skip


def stable_diffusion(work: Path, prediction_type: str = "epsilon", **scheduler: Any) -> Any:
    tokenizer = clip_tokenizer(work)
    settings = SCALED_LINEAR | {"clip_sample": False, "set_alpha_to_one": False}
    settings |= {"prediction_type": prediction_type, **scheduler}
    encoder = clip_encoder(tokenizer)
    network = unet()
    return diffusers.StableDiffusionPipeline(
        vae=vae(), text_encoder=encoder, tokenizer=tokenizer, unet=network,
        scheduler=diffusers.DDIMScheduler(**settings), **UNSAFE,
    )  # fmt: skip


def masking(work: Path) -> Any:
    """Stable Diffusion with a text encoder that masks the pads of its prompts."""
    pipeline = stable_diffusion(work)
    tokenizer = spelling("bert", "[CLS]", "[SEP]", pad_token="[PAD]", unk_token="[UNK]")
    tokenizer.model_max_length = 16
    config = transformers.BertConfig(
        vocab_size=len(tokenizer), hidden_size=16, intermediate_size=32, num_hidden_layers=2,
        num_attention_heads=2, max_position_embeddings=16, use_attention_mask=True,
        pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    pipeline.register_modules(text_encoder=transformers.BertModel(config), tokenizer=tokenizer)
    return pipeline


def latent_consistency(work: Path) -> Any:
    tokenizer = clip_tokenizer(work)
    return diffusers.LatentConsistencyModelPipeline(
        vae=vae(), text_encoder=clip_encoder(tokenizer), tokenizer=tokenizer,
        unet=unet(time_cond_proj_dim=8), scheduler=diffusers.LCMScheduler(**SCALED_LINEAR),
        **UNSAFE,
    )  # fmt: skip


def sdxl(work: Path) -> Any:
    one, two = clip_tokenizer(work / "one"), clip_tokenizer(work / "two")
    network = unet(
        cross_attention_dim=32, addition_embed_type="text_time", addition_time_embed_dim=4,
        projection_class_embeddings_input_dim=16 + 6 * 4, transformer_layers_per_block=(1, 2),
        use_linear_projection=True,
    )  # fmt: skip
    return diffusers.StableDiffusionXLPipeline(
        vae=vae(), text_encoder=clip_encoder(one), tokenizer=one,
        text_encoder_2=clip_encoder(two, projected=True), tokenizer_2=two, unet=network,
        scheduler=diffusers.EulerDiscreteScheduler(**SCALED_LINEAR, timestep_spacing="leading"),
    )  # fmt: skip


def sd3(work: Path) -> Any:
    one, two, three = clip_tokenizer(work / "one"), clip_tokenizer(work / "two"), t5_tokenizer()
    transformer = diffusers.SD3Transformer2DModel(
        sample_size=8, patch_size=2, in_channels=4, out_channels=4, num_layers=1,
        attention_head_dim=8, num_attention_heads=4, joint_attention_dim=32,
        caption_projection_dim=32, pooled_projection_dim=32,
    )  # fmt: skip
    return diffusers.StableDiffusion3Pipeline(
        vae=vae(shift_factor=0.06, scaling_factor=1.5), tokenizer=one,
        text_encoder=clip_encoder(one, projected=True), tokenizer_2=two,
        text_encoder_2=clip_encoder(two, projected=True), tokenizer_3=three,
        text_encoder_3=t5_encoder(three, 32), transformer=transformer,
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(shift=3.0),
    )  # fmt: skip


def flux(work: Path, *, guided: bool = True) -> Any:
    one, two = clip_tokenizer(work / "one"), t5_tokenizer()
    transformer = diffusers.FluxTransformer2DModel(
        patch_size=1, in_channels=16, num_layers=1, num_single_layers=1, attention_head_dim=16,
        num_attention_heads=2, joint_attention_dim=32, pooled_projection_dim=16,
        axes_dims_rope=(4, 4, 8), guidance_embeds=guided,
    )  # fmt: skip
    shifting = {"use_dynamic_shifting": True} if guided else {}
    return diffusers.FluxPipeline(
        vae=vae(shift_factor=0.1, scaling_factor=0.4), text_encoder=clip_encoder(one),
        tokenizer=one, text_encoder_2=t5_encoder(two, 32), tokenizer_2=two, transformer=transformer,
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(**shifting),
    )  # fmt: skip


def pixart(work: Path, kind: str = "Alpha") -> Any:
    tokenizer = t5_tokenizer()
    transformer = diffusers.PixArtTransformer2DModel(
        sample_size=8, num_layers=1, patch_size=2, attention_head_dim=8, num_attention_heads=2,
        caption_channels=16, in_channels=4, cross_attention_dim=16, out_channels=8,
        attention_bias=True, use_additional_conditions=False,
    )  # fmt: skip
    return getattr(diffusers, f"PixArt{kind}Pipeline")(
        tokenizer=tokenizer, text_encoder=t5_encoder(tokenizer), vae=vae(),
        transformer=transformer, scheduler=diffusers.DPMSolverMultistepScheduler(),
    )  # fmt: skip


def sana(work: Path) -> Any:
    tokenizer = spelling("gemma", "<bos>", "<eos>", pad_token="<pad>", unk_token="<unk>")
    config = transformers.Gemma2Config(
        vocab_size=len(tokenizer), hidden_size=16, intermediate_size=32, num_hidden_layers=1,
        num_attention_heads=2, num_key_value_heads=2, head_dim=8,
        max_position_embeddings=4096, pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id,
    )  # fmt: skip
    transformer = diffusers.SanaTransformer2DModel(
        patch_size=1, in_channels=4, out_channels=4, num_layers=1, num_attention_heads=2,
        attention_head_dim=4, num_cross_attention_heads=2, cross_attention_head_dim=4,
        cross_attention_dim=8, caption_channels=16, sample_size=16,
    )  # fmt: skip
    codec = diffusers.AutoencoderDC(
        in_channels=3, latent_channels=4, attention_head_dim=2,
        encoder_block_types=("ResBlock", "EfficientViTBlock"),
        decoder_block_types=("ResBlock", "EfficientViTBlock"),
        encoder_block_out_channels=(8, 8), decoder_block_out_channels=(8, 8),
        encoder_qkv_multiscales=((), (5,)), decoder_qkv_multiscales=((), (5,)),
        encoder_layers_per_block=(1, 1), decoder_layers_per_block=(1, 1),
        downsample_block_type="conv", upsample_block_type="interpolate",
        decoder_norm_types="rms_norm", decoder_act_fns="silu", scaling_factor=0.4,
    )  # fmt: skip
    return diffusers.SanaPipeline(
        tokenizer=tokenizer, text_encoder=transformers.Gemma2Model(config), vae=codec,
        transformer=transformer,
        scheduler=diffusers.DPMSolverMultistepScheduler(
            prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0
        ),
    )  # fmt: skip


def hunyuan(work: Path) -> Any:
    work.mkdir(parents=True)
    (work / "vocab.txt").write_text(
        "\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *LETTERS])
        + "\n"
        + "\n".join("##" + c for c in LETTERS)
    )
    one, two = transformers.BertTokenizer(str(work / "vocab.txt")), t5_tokenizer()
    one.model_max_length = 77
    bert = transformers.BertModel(
        transformers.BertConfig(
            vocab_size=len(one), hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
            intermediate_size=32,
        )
    )  # fmt: skip
    transformer = diffusers.HunyuanDiT2DModel(
        sample_size=8, num_layers=2, patch_size=2, attention_head_dim=8, num_attention_heads=2,
        in_channels=4, cross_attention_dim=16, cross_attention_dim_t5=16, pooled_projection_dim=4,
        hidden_size=16, activation_fn="gelu-approximate",
    )  # fmt: skip
    return diffusers.HunyuanDiTPipeline(
        vae=vae(levels=4), text_encoder=bert, tokenizer=one, text_encoder_2=t5_encoder(two),
        tokenizer_2=two, transformer=transformer,
        scheduler=diffusers.DDPMScheduler(
            beta_start=0.00085, beta_end=0.02, beta_schedule="scaled_linear", steps_offset=1,
            clip_sample=False, prediction_type="v_prediction",
        ),
        **UNSAFE,
    )  # fmt: skip


def deepfloyd(work: Path) -> Any:
    tokenizer = t5_tokenizer()
    network = unet(
        in_channels=3, out_channels=6, encoder_hid_dim=16, encoder_hid_dim_type="text_proj",
        cross_attention_dim=16,
        down_block_types=("ResnetDownsampleBlock2D", "SimpleCrossAttnDownBlock2D"),
        mid_block_type="UNetMidBlock2DSimpleCrossAttn",
        up_block_types=("SimpleCrossAttnUpBlock2D", "ResnetUpsampleBlock2D"),
        resnet_time_scale_shift="scale_shift", time_embedding_type="positional",
    )  # fmt: skip
    return diffusers.IFPipeline(
        tokenizer=tokenizer, text_encoder=t5_encoder(tokenizer), unet=network,
        scheduler=diffusers.DDPMScheduler(
            beta_schedule="squaredcos_cap_v2", variance_type="learned_range", thresholding=True,
            dynamic_thresholding_ratio=0.95, sample_max_value=1.5,
        ),
        safety_checker=None, feature_extractor=None, watermarker=None,
        requires_safety_checker=False,
    )  # fmt: skip


def aura_flow(work: Path) -> Any:
    tokenizer = t5_tokenizer()
    transformer = diffusers.AuraFlowTransformer2DModel(
        sample_size=8, patch_size=2, in_channels=4, num_mmdit_layers=1, num_single_dit_layers=1,
        attention_head_dim=8, num_attention_heads=4, caption_projection_dim=32,
        joint_attention_dim=16, pos_embed_max_size=64, out_channels=4,
    )  # fmt: skip
    return diffusers.AuraFlowPipeline(
        tokenizer=tokenizer, text_encoder=t5_encoder(tokenizer, kind="UMT5"), vae=vae(),
        transformer=transformer,
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(shift=1.73),
    )  # fmt: skip


def language_model(folder: Path) -> Path:
    """A language model, with its tokenizer."""
    from tokenizers import Tokenizer, models
    from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

    inner = Tokenizer(models.WordLevel({"<end>": 0, "cat": 1}, unk_token="<end>"))
    PreTrainedTokenizerFast(tokenizer_object=inner, eos_token="<end>").save_pretrained(folder)
    config = GPT2Config(vocab_size=2, n_positions=32, n_embd=8, n_layer=1, n_head=1)
    GPT2LMHeadModel(config).save_pretrained(folder)
    return folder


def gguf_model(folder: Path) -> tuple[Path, Any]:
    """A Llama in llama.cpp's format, with its tokenizer; and the model as it was written."""
    import gguf
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=10, hidden_size=32, intermediate_size=32, num_hidden_layers=1,
        num_attention_heads=2, num_key_value_heads=1, max_position_embeddings=64, bos_token_id=0,
        eos_token_id=0, initializer_range=0.5, tie_word_embeddings=False,
    )  # fmt: skip
    model: Any = LlamaForCausalLM(config).eval()
    path = folder / "tiny.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(64)
    writer.add_embedding_length(32)
    writer.add_block_count(1)
    writer.add_feed_forward_length(32)
    writer.add_head_count(2)
    writer.add_head_count_kv(1)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_dimension_count(16)
    writer.add_vocab_size(10)
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(["<end>", "c", "a", "t", "d", "o", "g", "Ġ", "ca", "cat"])
    writer.add_token_types([3] + 9 * [1])
    writer.add_token_merges(["c a", "ca t"])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(0)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, 1)
    for key, weight in model.state_dict().items():
        values = weight.numpy()
        heads = 2 * ("q_proj" in key) + ("k_proj" in key)
        if heads:  # the format has the halves of a rotation beside each other
            parts = values.reshape(heads, 2, len(values) // heads // 2, -1)
            values = np.ascontiguousarray(parts.swapaxes(1, 2)).reshape(values.shape)
        name = names.get_name(key, try_suffixes=(".weight",))
        assert name is not None
        writer.add_tensor(name, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path, model


def image_encoder(folder: Path) -> Path:
    """An image encoder, with its processor."""
    from transformers import ViTConfig, ViTImageProcessor, ViTModel

    config = ViTConfig(
        hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1,
        image_size=16, patch_size=8,
    )  # fmt: skip
    ViTModel(config).save_pretrained(folder)
    ViTImageProcessor(size={"height": 16, "width": 16}).save_pretrained(folder)
    return folder


def sentence_encoder(folder: Path) -> Path:
    """A sentence encoder, with a layer of the library's own after its pooling."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules import Dense, Transformer
    from sentence_transformers.sentence_transformer.modules import Pooling
    from transformers import BertConfig, BertModel, BertTokenizer

    config = BertConfig(
        vocab_size=6, hidden_size=8, num_hidden_layers=1, num_attention_heads=1,
        intermediate_size=8, max_position_embeddings=16,
    )  # fmt: skip
    BertModel(config).save_pretrained(folder / "bert")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "cat"]
    BertTokenizer(vocab={word: n for n, word in enumerate(words)}).save_pretrained(folder / "bert")
    parts = [Transformer(str(folder / "bert")), Pooling(8), Dense(8, 4)]
    SentenceTransformer(modules=parts, device="cpu").save(str(folder / "whole"))
    return folder / "whole"


@dataclass(frozen=True)
class Tiny:
    """A tiny pipeline, and how the tests run it.

    Args:
        make: Builds it, given a folder to work in.
        pipeline: Its class in diffusers.
        flow: Whether it is a flow, which other samplers are for.
        only: Samplers to test it with; None for all.
        without: Samplers whose schedulers diffusers' own pipeline cannot be given.
        call: What a call of diffusers' pipeline takes so that it does no more than conjure.
        pixels: Side of its pictures, where the model has no size of its own.
    """

    make: Callable[[Path], Any]
    pipeline: str
    flow: bool = False
    only: tuple[str, ...] | None = None
    without: tuple[str, ...] = ()
    call: Mapping[str, Any] = field(default_factory=dict)
    pixels: int | None = None


BINNED, CLEANED = {"use_resolution_binning": False}, {"clean_caption": False}

FAMILIES: dict[str, Tiny] = {
    "stable-diffusion": Tiny(stable_diffusion, "StableDiffusionPipeline"),
    "stable-diffusion-v": Tiny(
        lambda work: stable_diffusion(work, "v_prediction"), "StableDiffusionPipeline"
    ),
    "masking": Tiny(masking, "StableDiffusionPipeline", only=("ddim",)),
    "lcm": Tiny(latent_consistency, "LatentConsistencyModelPipeline", only=("lcm",)),
    "sdxl": Tiny(sdxl, "StableDiffusionXLPipeline"),
    "sd3": Tiny(sd3, "StableDiffusion3Pipeline", flow=True),
    "flux": Tiny(flux, "FluxPipeline", flow=True, without=("heun",), pixels=16),
    "flux-schnell": Tiny(
        lambda work: flux(work, guided=False), "FluxPipeline", flow=True,
        without=("heun", "dpm++", "dpm++-sde", "unipc"), pixels=16,
    ),
    "pixart-alpha": Tiny(pixart, "PixArtAlphaPipeline", call=BINNED | CLEANED),
    "pixart-sigma": Tiny(
        lambda work: pixart(work, "Sigma"), "PixArtSigmaPipeline", call=BINNED | CLEANED
    ),
    "sana": Tiny(sana, "SanaPipeline", flow=True, call=BINNED | CLEANED),
    "hunyuan": Tiny(hunyuan, "HunyuanDiTPipeline", call=BINNED),
    "deepfloyd": Tiny(deepfloyd, "IFPipeline", call=CLEANED),
    "aura-flow": Tiny(aura_flow, "AuraFlowPipeline", flow=True),
}  # fmt: skip
"""A newcomer's one entry: the tests of families and the page on them go through these."""


def build(name: str, folder: Path) -> Path:
    """One of them, saved to a folder."""
    torch.manual_seed(0)
    pipeline = FAMILIES[name].make(folder / "work")
    for part in pipeline.components.values():
        for weight in part.parameters() if isinstance(part, torch.nn.Module) else ():
            if not weight.any():  # what starts at zero would hide what comes before it
                torch.nn.init.normal_(weight, std=0.1)
    pipeline.save_pretrained(folder / "pipeline", safe_serialization=True)
    return folder / "pipeline"
